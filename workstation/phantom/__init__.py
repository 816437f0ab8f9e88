"""Synthetic patients with known answers, for the demonstration and the tests.

Everything here is made from analytic shapes: no person was scanned.
"""

from workstation.phantom.aneurysm import AneurysmPhantom, head
from workstation.phantom.patient import Phantom, abdomen
from workstation.phantom.series import HEAD_CT, HEAD_MRA, write_dicom
from workstation.phantom.shapes import Ellipsoid
from workstation.phantom.skull import SkullPhantom, skull_with_hole
from workstation.phantom.solids import KnownSolid, sphere, tube

__all__ = [
    "HEAD_CT",
    "HEAD_MRA",
    "AneurysmPhantom",
    "Ellipsoid",
    "KnownSolid",
    "Phantom",
    "SkullPhantom",
    "abdomen",
    "head",
    "skull_with_hole",
    "sphere",
    "tube",
    "write_dicom",
]
