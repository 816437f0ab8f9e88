"""Lumens with sacs that are compared with OpenFOAM: made by code, idealised, and of a patient."""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from hemodynamics.verification.rows import CannotRun, Means
from hemodynamics.verification.sacs import Sac
from hemodynamics.verification.shapes import with_rounded_sphere, with_sphere
from meshing.centerline import centerline
from meshing.reading import read_surface
from meshing.vessel_ends import cap_ends, cut_ends

Floats = npt.NDArray[np.float64]

GRIDS_MM = (0.3, 0.22, 0.16)
"""Edges of OpenFOAM's cells, half as long at the sac."""

DOME, NECK = 1, 2
"""What the labels of a point of the data set IntrA mean; 0 is the vessel."""


def sphere(means: Means) -> Sac:
    """Return a tube of 2 mm with a sphere of 2 mm on its side, at a Reynolds number of 303."""
    return Sac(
        "openfoam-sphere",
        "tube of radius 2 mm with a sphere of radius 2 mm on its side, Reynolds number 303",
        with_sphere(2.0, 16.0, 2.0, 3.0, 0.25),
        3.143,
        lambda points: points[:, 1] - 2.4,
        (0.28, 0.2, 0.14),
        GRIDS_MM,
    )


def rounded(means: Means) -> Sac:
    """Return the tube with a sphere whose neck is rounded by a ball of 0.3 mm, as necks are."""
    return Sac(
        "openfoam-rounded",
        "the tube with a sphere, its neck rounded by 0.3 mm, Reynolds number 303",
        with_rounded_sphere(2.0, 16.0, 2.0, 3.0, 0.3, 0.12),
        3.143,
        lambda points: points[:, 1] - 2.4,
        (0.28, 0.2, 0.14),
        GRIDS_MM,
    )


def bifurcation(means: Means) -> Sac:
    """Return the idealised bifurcation with an aneurysm.

    At the usual 0.27 m/s the jet into the sac finds no steady state, and on fine meshes neither
    does half of it; a quarter does. The sac's flow hangs on the jet below it and on the lips of
    its neck, so OpenFOAM's finer cells reach down to where the vessels part.

    Raises:
        CannotRun: if the surface is not among the data.
    """
    archive = data_file(means, "aneurysm_idealised_pair.zip")
    with TemporaryDirectory() as folder, zipfile.ZipFile(archive) as packed:
        stl = packed.extract("aneurysm_idealised_pair/aneurysm_vascular_model.stl", folder)
        lumen = cap_ends(read_surface(stl))
    return Sac(
        "openfoam-bifurcation",
        "idealised bifurcation with an aneurysm at its apex, Reynolds number 72",
        lumen,
        0.65,
        lambda points: points[:, 2] - 12.0,
        (0.2, 0.14, 0.09),
        GRIDS_MM,
        around=2.5,
    )


def patient(means: Means) -> Sac:
    """Return the aneurysm AN171 of the data set IntrA, with the sac as it is marked there.

    Raises:
        CannotRun: if it is not among the data.
    """
    surface = data_file(means, "aneurysm_intra/AN171_full.obj")
    marked = np.loadtxt(data_file(means, "aneurysm_intra/AN171-_norm.ad"))
    vessel = read_surface(surface)
    course = centerline(vessel)
    return Sac(
        "openfoam-aneurysm",
        "aneurysm AN171 of IntrA, 1.84 mL/s",
        cap_ends(cut_ends(vessel, course, distance_mm=0.5), course),
        1.84,
        MarkedSac(marked[:, :3], marked[:, 6].astype(int)),
        (0.2, 0.14, 0.1),
        # On coarser meshes the steps between sac speeds still grow from one to the next.
        (0.15, 0.115, 0.09),
        finer=False,
    )


class MarkedSac:
    """The depth of points behind the neck of a sac whose surface was marked."""

    def __init__(self, points_mm: Floats, labels: npt.NDArray[np.int_]) -> None:
        neck, dome = points_mm[labels == NECK], points_mm[labels == DOME]
        self._centre = neck.mean(axis=0)
        normal = np.linalg.svd(neck - self._centre)[2][2]
        self._normal = normal * np.sign((dome.mean(axis=0) - self._centre) @ normal)
        self._near = KDTree(points_mm)
        self._is_dome = labels == DOME

    def __call__(self, points_mm: Floats) -> Floats:
        """Return how far points (n, 3) lie behind the neck's plane, -infinity beside the sac."""
        depth = (points_mm - self._centre) @ self._normal
        beside = ~self._is_dome[self._near.query(points_mm)[1]] & (depth > 0.0)
        return np.where(beside, -np.inf, depth)


def data_file(means: Means, name: str) -> Path:
    """Return a file among the data.

    Raises:
        CannotRun: if it is not there.
    """
    if means.data is None:
        raise CannotRun(f"{name} is needed; give its folder by --data or HILUM_DATA")
    path = means.data / name
    if not path.exists():
        raise CannotRun(f"there is no {path}; give another folder by --data or HILUM_DATA")
    return path
