"""Synthetic patients with known answers, for the demonstration and the tests.

Everything here is made from analytic shapes: no person was scanned.
"""

from workstation.phantom.aneurysm import AneurysmPhantom, head
from workstation.phantom.patient import Phantom, abdomen
from workstation.phantom.series import HEAD_MRA, write_dicom
from workstation.phantom.shapes import Ellipsoid
from workstation.phantom.solids import KnownSolid, sphere, tube

__all__ = [
    "HEAD_MRA",
    "AneurysmPhantom",
    "Ellipsoid",
    "KnownSolid",
    "Phantom",
    "abdomen",
    "head",
    "sphere",
    "tube",
    "write_dicom",
]
