"""A lumen as a case of OpenFOAM: surfaces, dictionaries and boundary values as text, in SI units.

The mesh is hexahedral, snapped to the lumen, with layers at its wall (snappyHexMesh); steady flow
is solved by simpleFoam. Keywords are those of OpenFOAM 1912.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hemodynamics.domain import WALL_NAME
from hemodynamics.vessel_flow import DENSITY_KG_M3
from meshing.mesh import SurfaceMesh

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

M_PER_MM = 1e-3
SURFACE = "lumen"
"""The name of the surface file."""

SHARP = np.radians(45.0)
"""The angle between triangles above which the mesh keeps the edge between them."""

ITERATIONS = 3000
"""After which a flow that has not settled is given up."""

LAYERS, GROWTH, LAST_LAYER = 4, 1.25, 0.45
"""Layers at the wall, how each is thicker than the one before, the last one by a cell's edge."""


@dataclass(frozen=True)
class Grid:
    """How fine a mesh is.

    Attributes:
        cell_mm: edge of a cell away from walls.
        ball_mm: middle (LPS) and radius of a ball in which cells have half that edge.
        settled: residuals at which the flow has settled.
    """

    cell_mm: float
    ball_mm: tuple[tuple[float, float, float], float] | None = None
    settled: float = 1e-6


def write_case(folder: Path, lumen: SurfaceMesh, grid: Grid, inside_mm: Floats) -> None:
    """Write what meshing needs into an empty folder; ``inside_mm`` is a point of the lumen."""
    for name in ("system", "constant/triSurface", "0"):
        (folder / name).mkdir(parents=True)
    surfaces = folder / "constant" / "triSurface"
    (surfaces / f"{SURFACE}.stl").write_text(stl(lumen))
    (surfaces / f"{SURFACE}.eMesh").write_text(rims(lumen))
    system = folder / "system"
    texts = {
        "controlDict": control(),
        "fvSchemes": schemes(),
        "fvSolution": solution(grid.settled),
        "blockMeshDict": block(lumen, grid),
        "snappyHexMeshDict": snappy(lumen, grid, inside_mm),
        "meshQualityDict": quality(),
    }
    for name, content in texts.items():
        (system / name).write_text(text(name, content))


def write_physics(
    folder: Path, viscosity_pa_s: float, velocity: Mapping[str, Any], pressure: Mapping[str, Any]
) -> None:
    """Write the fluid and the boundary values of velocity (m/s) and pressure by density (m2/s2)."""
    nu = f"[0 2 -1 0 0 0 0] {viscosity_pa_s / DENSITY_KG_M3:.10g}"
    fluid = {"transportModel": "Newtonian", "nu": nu}
    constant = folder / "constant"
    (constant / "transportProperties").write_text(text("transportProperties", fluid))
    model = {"simulationType": "laminar"}
    (constant / "turbulenceProperties").write_text(text("turbulenceProperties", model))
    fields = {
        "U": ("volVectorField", "[0 1 -1 0 0 0 0]", "uniform (0 0 0)", velocity),
        "p": ("volScalarField", "[0 2 -2 0 0 0 0]", "uniform 0", pressure),
    }
    for name, (kind, dimensions, start, patches) in fields.items():
        content = {"dimensions": dimensions, "internalField": start, "boundaryField": patches}
        (folder / "0" / name).write_text(text(name, content, kind))


def text(name: str, content: Mapping[str, Any], kind: str = "dictionary") -> str:
    """Return an OpenFOAM file of that name and class."""
    head = {"version": 2.0, "format": "ascii", "class": kind, "object": name}
    return "\n".join(["FoamFile", *_block(head, 0), *_lines(content, 0), ""])


def _block(content: Mapping[str, Any], depth: int) -> list[str]:
    pad = "    " * depth
    return [f"{pad}{{", *_lines(content, depth + 1), f"{pad}}}"]


def _lines(content: Mapping[str, Any], depth: int) -> list[str]:
    pad = "    " * depth
    lines: list[str] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += [f"{pad}{key}", *_block(value, depth)]
        else:
            lines.append(f"{pad}{key} {_word(value)};")
    return lines


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | tuple | np.ndarray):
        return f"({' '.join(_word(part) for part in value)})"
    return str(value)


def vectors(values: Floats) -> str:
    """Return (n, 3) values of the faces of a patch, as a boundary value."""
    rows = "\n".join(f"({x:.9g} {y:.9g} {z:.9g})" for x, y, z in values)
    return f"nonuniform List<vector>\n{len(values)}\n(\n{rows}\n)"


# ---------------------------------------------------------------- surfaces


def stl(lumen: SurfaceMesh) -> str:
    """Return the lumen as STL in metres, one solid for each named part."""
    lines = []
    for name, part in lumen.boundaries.items():
        corners = lumen.points_mm[lumen.triangles[part]] * M_PER_MM
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
        lines.append(f"solid {name}")
        for normal, triangle in zip(normals, corners):
            lines.append(f"facet normal {_three(normal)}\nouter loop")
            lines += [f"vertex {_three(point)}" for point in triangle]
            lines.append("endloop\nendfacet")
        lines.append(f"endsolid {name}")
    return "\n".join(lines) + "\n"


def sharp_edges(lumen: SurfaceMesh) -> Ints:
    """Return the edges (n, 2), as point numbers, between parts of a lumen and where it bends."""
    part_of = np.full(len(lumen.triangles), -1)
    for number, triangles in enumerate(lumen.boundaries.values()):
        part_of[triangles] = number
    edges = np.sort(lumen.triangles[:, (0, 1, 1, 2, 2, 0)].reshape(-1, 2), axis=1)
    owner = np.repeat(part_of, 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    pairs, sides = edges[order].reshape(-1, 2, 2)[:, 0], owner[order].reshape(-1, 2)
    beside = np.repeat(np.arange(len(lumen.triangles)), 3)[order].reshape(-1, 2)
    corners = lumen.points_mm[lumen.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
    bends = np.einsum("nx,nx->n", *normals[beside].transpose(1, 0, 2)) < np.cos(SHARP)
    return np.asarray(pairs[bends | (sides[:, 0] != sides[:, 1])], np.int64)


def rims(lumen: SurfaceMesh) -> str:
    """Return the rims of the openings and all sharp edges as a file of edges, in metres."""
    used, numbered = np.unique(sharp_edges(lumen), return_inverse=True)
    points = "\n".join(f"({_three(p)})" for p in lumen.points_mm[used] * M_PER_MM)
    pairs = "\n".join(f"({a} {b})" for a, b in numbered.reshape(-1, 2))
    head = text(f"{SURFACE}.eMesh", {}, "featureEdgeMesh")
    edges = len(numbered.reshape(-1, 2))
    return f"{head}\n{len(used)}\n(\n{points}\n)\n\n{edges}\n(\n{pairs}\n)\n"


def _three(point: Sequence[float] | Floats) -> str:
    return f"{point[0]:.9g} {point[1]:.9g} {point[2]:.9g}"


# ---------------------------------------------------------------- dictionaries


def block(lumen: SurfaceMesh, grid: Grid) -> dict[str, Any]:
    """Return the cube of cells around the lumen."""
    edge = grid.cell_mm
    low = lumen.points_mm.min(axis=0) - 1.37 * edge
    count = np.ceil((np.ptp(lumen.points_mm, axis=0) + 2.74 * edge) / edge).astype(int)
    low, high = low * M_PER_MM, (low + count * edge) * M_PER_MM
    corners = [
        (x, y, z) for z in (low[2], high[2]) for x, y in (
            (low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])
        )
    ]  # fmt: skip
    cells = " ".join(str(n) for n in count)
    return {
        "scale": 1,
        "vertices": corners,
        "blocks": f"(hex (0 1 2 3 4 5 6 7) ({cells}) simpleGrading (1 1 1))",
        "edges": "()",
        "boundary": "()",
    }


def snappy(lumen: SurfaceMesh, grid: Grid, inside_mm: Floats) -> dict[str, Any]:
    """Return how the mesh is cut, snapped to the lumen and lined with layers."""
    regions = {name: {"name": name} for name in lumen.boundaries}
    kinds = {
        name: {"level": "(0 0)", "patchInfo": {"type": "wall" if name == WALL_NAME else "patch"}}
        for name in lumen.boundaries
    }
    balls, finer = _ball(grid)
    return {
        "castellatedMesh": True,
        "snap": True,
        "addLayers": True,
        "geometry": {
            f"{SURFACE}.stl": {"type": "triSurfaceMesh", "name": SURFACE, "regions": regions},
            **balls,
        },
        "castellatedMeshControls": {
            "maxLocalCells": 5_000_000,
            "maxGlobalCells": 20_000_000,
            "minRefinementCells": 0,
            "nCellsBetweenLevels": 2,
            "features": f'({{ file "{SURFACE}.eMesh"; level 0; }})',
            "refinementSurfaces": {SURFACE: {"level": "(0 0)", "regions": kinds}},
            "resolveFeatureAngle": 30,
            "refinementRegions": finer,
            "locationInMesh": inside_mm * M_PER_MM,
            "allowFreeStandingZoneFaces": False,
        },
        "snapControls": {
            "nSmoothPatch": 3,
            "tolerance": 2.0,
            "nSolveIter": 50,
            "nRelaxIter": 8,
            "nFeatureSnapIter": 15,
            "implicitFeatureSnap": False,
            "explicitFeatureSnap": True,
            "multiRegionFeatureSnap": True,
        },
        "addLayersControls": {
            "relativeSizes": True,
            "layers": {WALL_NAME: {"nSurfaceLayers": LAYERS}},
            "expansionRatio": GROWTH,
            "finalLayerThickness": LAST_LAYER,
            "minThickness": 0.02,
            "nGrow": 0,
            "featureAngle": 130,
            "slipFeatureAngle": 30,
            "nRelaxIter": 5,
            "nSmoothSurfaceNormals": 1,
            "nSmoothNormals": 3,
            "nSmoothThickness": 10,
            "maxFaceThicknessRatio": 0.5,
            "maxThicknessToMedialRatio": 0.4,
            "minMedianAxisAngle": 90,
            "nBufferCellsNoExtrude": 0,
            "nLayerIter": 50,
        },
        "meshQualityControls": {"#include": '"meshQualityDict"', "nSmoothScale": 4,
                                "errorReduction": 0.75},
        "mergeTolerance": 1e-6,
    }  # fmt: skip


def _ball(grid: Grid) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the ball of finer cells as a geometry and as a region."""
    if grid.ball_mm is None:
        return {}, {}
    centre, radius = grid.ball_mm
    ball = {
        "type": "searchableSphere",
        "centre": np.array(centre) * M_PER_MM,
        "radius": radius * M_PER_MM,
    }
    return {"ball": ball}, {"ball": {"mode": "inside", "levels": "((1e15 1))"}}


def quality() -> dict[str, Any]:
    """Return what the cells of a mesh must be like."""
    return {
        "maxNonOrtho": 65,
        "maxBoundarySkewness": 20,
        "maxInternalSkewness": 4,
        "maxConcave": 80,
        "minVol": 1e-30,
        "minTetQuality": 1e-15,
        "minArea": -1,
        "minTwist": 0.02,
        "minDeterminant": 0.001,
        "minFaceWeight": 0.05,
        "minVolRatio": 0.01,
        "minTriangleTwist": -1,
    }


def control() -> dict[str, Any]:
    """Return how long the solver runs and what it writes."""
    return {
        "application": "simpleFoam",
        "startFrom": "latestTime",
        "startTime": 0,
        "stopAt": "endTime",
        "endTime": ITERATIONS,
        "deltaT": 1,
        "writeControl": "timeStep",
        "writeInterval": ITERATIONS,
        "purgeWrite": 1,
        "writeFormat": "ascii",
        "writePrecision": 9,
        "runTimeModifiable": False,
        "functions": {
            "shear": {
                "type": "wallShearStress",
                "libs": '("libfieldFunctionObjects.so")',
                "writeControl": "writeTime",
            }
        },
    }


def schemes() -> dict[str, Any]:
    """Return the discretisation: second order throughout."""
    return {
        "ddtSchemes": {"default": "steadyState"},
        "gradSchemes": {"default": "Gauss linear"},
        "divSchemes": {
            "default": "none",
            "div(phi,U)": "bounded Gauss linearUpwind grad(U)",
            "div((nuEff*dev2(T(grad(U)))))": "Gauss linear",
        },
        "laplacianSchemes": {"default": "Gauss linear limited corrected 0.5"},
        "interpolationSchemes": {"default": "linear"},
        "snGradSchemes": {"default": "limited corrected 0.5"},
        "wallDist": {"method": "meshWave"},
    }


def solution(settled: float) -> dict[str, Any]:
    """Return the linear solvers and SIMPLEC, which ends at residuals below ``settled``."""
    pressure = {"solver": "GAMG", "smoother": "GaussSeidel", "tolerance": 1e-9, "relTol": 0.05}
    velocity = {"solver": "smoothSolver", "smoother": "symGaussSeidel", "tolerance": 1e-10,
                "relTol": 0.1}  # fmt: skip
    return {
        "solvers": {"p": pressure, "U": velocity},
        "SIMPLE": {
            "nNonOrthogonalCorrectors": 1,
            "consistent": "yes",
            "residualControl": {"p": settled, "U": settled},
        },
        "relaxationFactors": {"equations": {"U": 0.9}},
    }
