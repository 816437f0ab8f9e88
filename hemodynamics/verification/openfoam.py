"""Steady flow by OpenFOAM, another maker's finite-volume solver, in the lumens we compute too.

It runs in processes of its own in a temporary folder; Debian's package ``openfoam`` (version 1912)
gives the programs. Inflow has the same developed profile and outflow the same split as ours.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemodynamics import profiles
from hemodynamics.domain import WALL_NAME
from hemodynamics.verification.openfoam_case import (
    ITERATIONS,
    Grid,
    vectors,
    write_case,
    write_physics,
)
from hemodynamics.verification.openfoam_files import Patch, read_field, read_patches
from hemodynamics.verification.rows import CannotRun
from hemodynamics.vessel_flow import DENSITY_KG_M3
from meshing.mesh import SurfaceMesh
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]

PROGRAMS = ("blockMesh", "snappyHexMesh", "simpleFoam", "postProcess")
HOME = Path("/usr/share/openfoam")
LIMIT_S = 3600.0


class Failed(RuntimeError):
    """A program of OpenFOAM ended with an error; the text holds its last lines."""


@dataclass(frozen=True)
class Drive:
    """What drives a flow: mL/s into the inlet, shares of the outlets by name, Pa s."""

    flow_ml_s: float
    shares: Mapping[str, float]
    viscosity_pa_s: float
    inlet: str = "inlet"


@dataclass(frozen=True)
class Solution:
    """Steady flow on a mesh of OpenFOAM.

    Attributes:
        cells_mm, volumes_mm3: centres (n, 3) and sizes of the cells.
        velocity_m_s, pressure_pa: of the cells; pressure is 0 at the largest outlet.
        wall_mm, wall_areas_mm2: centres (m, 3) and areas of the faces at the wall.
        wss_pa: (m, 3) shear on the wall, along the flow.
        iterations: that it took.
        meshing_s, solving_s: processor time.
    """

    cells_mm: Floats
    volumes_mm3: Floats
    velocity_m_s: Floats
    pressure_pa: Floats
    wall_mm: Floats
    wall_areas_mm2: Floats
    wss_pa: Floats
    iterations: int
    meshing_s: float
    solving_s: float


def require_openfoam() -> None:
    """Raise unless the programs of OpenFOAM are here.

    Raises:
        CannotRun: saying how to get them.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise CannotRun(
            f"OpenFOAM is not installed ({', '.join(missing)} not found); "
            "apt-get install openfoam (Debian, version 1912)"
        )


def solve(lumen: SurfaceMesh, grid: Grid, drive: Drive, progress: Progress = silent) -> Solution:
    """Mesh a lumen with named ends and solve for its steady flow.

    Raises:
        CannotRun: if OpenFOAM is not installed.
        Failed: if one of its programs fails.
    """
    require_openfoam()
    with tempfile.TemporaryDirectory(prefix="hilum-openfoam-") as scratch:
        folder = Path(scratch) / "case"
        folder.mkdir()
        write_case(folder, lumen, grid, _inside(lumen, drive.inlet, grid))
        progress(0.0, "OpenFOAM divides the lumen into cells")
        meshing = run(folder, "blockMesh") + run(folder, "snappyHexMesh", "-overwrite")
        patches = read_patches(folder / "constant" / "polyMesh")
        write_physics(folder, drive.viscosity_pa_s, *boundaries(lumen, patches, drive))
        progress(0.3, "OpenFOAM solves for the flow")
        solving = run(folder, "simpleFoam")
        settled(folder)
        progress(0.9, "reading what OpenFOAM wrote")
        for function in ("writeCellCentres", "writeCellVolumes"):
            run(folder, "postProcess", "-func", function, "-latestTime")
        return _read(folder, patches[WALL_NAME], meshing, solving)


def run(folder: Path, program: str, *arguments: str) -> float:
    """Run a program in a case's folder; return the processor time that it took.

    Raises:
        Failed: with its last lines, if it ends with an error or takes an hour.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "WM_PROJECT_DIR": str(HOME), "FOAM_SIGFPE": "false"}
    path = shutil.which(program)
    assert path is not None
    log = folder / f"log.{program}"
    with log.open("w") as out:
        try:
            done = subprocess.run(
                [path, *arguments], cwd=folder, env=environment, stdout=out,
                stderr=subprocess.STDOUT, check=False, timeout=LIMIT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{program} took longer than an hour; take larger cells") from error
    if done.returncode != 0:
        raise Failed(f"{program} of OpenFOAM failed: {' '.join(_last_lines(log))}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def _last_lines(log: Path) -> list[str]:
    return [line.strip() for line in log.read_text(errors="replace").splitlines() if line][-12:]


def boundaries(
    lumen: SurfaceMesh, patches: Mapping[str, Patch], drive: Drive
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the boundary values of velocity and pressure.

    The outlet with the largest share is held at zero pressure, and a developed profile is
    prescribed at all other ends.
    """
    free = max(drive.shares, key=lambda name: drive.shares[name])
    still = {"type": "zeroGradient"}
    velocity: dict[str, Any] = {WALL_NAME: {"type": "noSlip"}, free: still}
    pressure: dict[str, Any] = {
        WALL_NAME: still,
        free: {"type": "fixedValue", "value": "uniform 0"},
    }
    flows = {drive.inlet: -drive.flow_ml_s}
    flows |= {name: share * drive.flow_ml_s for name, share in drive.shares.items()}
    for name, flow in flows.items():
        if name != free:
            values = profile_m_s(lumen, name, patches[name], flow)
            velocity[name] = {"type": "fixedValue", "value": vectors(values)}
            pressure[name] = still
    return velocity, pressure


def profile_m_s(lumen: SurfaceMesh, name: str, patch: Patch, flow_ml_s: float) -> Floats:
    """Return developed velocities (n, 3) at the faces of an end; ``flow_ml_s`` leaves there."""
    section = profiles.section_of(lumen, name)
    speed = profiles.at(section, profiles.developed(section), 1e3 * patch.centres_m).real
    normal = patch.areas_m2.sum(axis=0)
    normal /= np.linalg.norm(normal)
    return np.outer(speed * 1e-6 * flow_ml_s / (speed @ (patch.areas_m2 @ normal)), normal)


def _inside(lumen: SurfaceMesh, inlet: str, grid: Grid) -> Floats:
    """Return a point behind the inlet that lies on no face of the grid."""
    corners = lumen.points_mm[lumen.triangles[lumen.boundaries[inlet]]]
    arms = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2.0
    normal = arms.sum(axis=0)
    area = float(np.linalg.norm(normal))
    centre = np.average(corners.mean(axis=1), axis=0, weights=np.linalg.norm(arms, axis=1))
    aside = grid.cell_mm * np.array([0.0317, 0.0271, 0.0193])
    return np.asarray(centre - 0.61 * np.sqrt(area / np.pi) * normal / area + aside)


def settled(folder: Path) -> Path:
    """Return the folder of the flow that has settled.

    Raises:
        Failed: if there is none.
    """
    times = [path for path in folder.iterdir() if path.name.isdigit() and path.name != "0"]
    if not times:
        raise Failed("simpleFoam of OpenFOAM wrote no result")
    last = max(times, key=lambda path: int(path.name))
    if int(last.name) >= ITERATIONS:
        raise Failed(
            f"simpleFoam of OpenFOAM did not settle in {ITERATIONS} iterations; the flow may have "
            "no steady state: give less flow"
        )
    return last


def _read(folder: Path, wall: Patch, meshing_s: float, solving_s: float) -> Solution:
    last = settled(folder)
    shear = -DENSITY_KG_M3 * read_field(last / "wallShearStress", WALL_NAME)
    return Solution(
        1e3 * read_field(last / "C"),
        1e9 * read_field(last / "V"),
        read_field(last / "U"),
        DENSITY_KG_M3 * read_field(last / "p"),
        1e3 * wall.centres_m,
        1e6 * np.linalg.norm(wall.areas_m2, axis=1),
        shear,
        int(last.name),
        meshing_s,
        solving_s,
    )
