"""Volume meshes for solvers, made from closed surfaces in a process that can be stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import psutil
from annotated_types import Ge, Gt, Le

from meshing.cell_sizes import REGULAR, Sizing
from meshing.surface import OpenSurface, SurfaceMesh, enclosed_mm3, require_watertight
from meshing.volume_mesh import Integers, VolumeMesh, from_arrays
from segmentation.contract import Finding, Number, Progress, silent

WORKER = "meshing.tetrahedra_process"
TICK_S = 0.1
EVEN_CELLS = 40_000
"""Without an edge length, cells are as large as so many regular tetrahedra."""

WALL = "wall"
"""The name of the boundary where a surface names none."""


class MeshingFailed(RuntimeError):
    """A surface could not be meshed; the text says why and what to do."""


def tetrahedralize(
    surface: SurfaceMesh,
    *,
    edge_mm: Annotated[float, Gt(0), Le(100)] | None = None,
    wall_edge_mm: Annotated[float, Gt(0), Le(100)] | None = None,
    layers: Annotated[int, Ge(0), Le(30)] = 0,
    first_layer_mm: Annotated[float, Gt(0), Le(20)] | None = None,
    finest_edge_mm: Annotated[float, Gt(0), Le(100)] | None = None,
    cells_across: Annotated[int, Ge(0), Le(50)] = 4,
    curve_degrees: Annotated[float, Ge(0), Le(90)] = 25.0,
    grading: Annotated[float, Gt(0), Le(1)] = 0.3,
    focus_mm: tuple[float, float, float] | None = None,
    focus_radius_mm: Annotated[float, Ge(0), Le(200)] = 0.0,
    focus_edge_mm: Annotated[float, Gt(0), Le(100)] | None = None,
    layer_growth: Annotated[float, Ge(1), Le(3)] = 1.2,
    layers_on: str = WALL,
    layer_cells: Literal["prisms", "tetrahedra"] = "prisms",
    surface_triangles: Literal["even", "as they are"] = "even",
    progress: Progress = silent,
) -> VolumeMesh:
    """Fill a closed surface with tetrahedra for a solver.

    The surface's named parts become the boundaries of the mesh; what has no name is "wall".
    Edges are short where the surface curves and where opposite walls are close, and grow
    inside. Layers of prisms lie along the wall where asked, thinner where there is no room.

    Args:
        surface: a closed surface, LPS mm; its named parts become the boundaries.
        edge_mm: longest edge; empty takes what gives about 40,000 even cells.
        wall_edge_mm: longest edge on the surface; empty takes the longest edge.
        layers: number of layers of prisms along the wall; 0 for none.
        first_layer_mm: height of the layer at the wall; empty makes the innermost layer half an
            edge high.
        finest_edge_mm: shortest edge that curves and narrow places may ask for; empty takes a
            quarter of the longest.
        cells_across: edges between opposite walls; 0 pays no heed to narrow places.
        curve_degrees: by how much a wall may turn along one edge; 0 pays no heed to curves.
        grading: by how many mm edges may grow for each mm of distance.
        focus_mm: a point (x, y, z) around which edges are shorter; empty for none.
        focus_radius_mm: how far around that point.
        focus_edge_mm: longest edge there.
        layer_growth: height of each layer by that of the one before.
        layers_on: name of the part that has layers, or several with commas; empty for all.
        layer_cells: prisms, or each cut into three tetrahedra for solvers that know no prisms.
        surface_triangles: even makes new triangles of the wanted size on the surface, within its
            named parts; as they are keeps those of the surface.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the surface is not closed, or inside out.
        MeshingFailed: if it crosses itself, or there is no room for layers.
        MemoryError: if there is no memory for so many cells; told before they are made.
        ValueError: if lengths or names do not fit together.
    """
    require_watertight(surface)
    volume = enclosed_mm3(surface)
    if volume <= 0:
        raise OpenSurface(f"the surface {surface.name!r} is inside out; turn its triangles")
    if (focus_mm is None) != (focus_edge_mm is None):
        raise ValueError("a focus needs both its point and its edge length")
    edge = edge_mm or float((volume / (EVEN_CELLS * REGULAR)) ** (1 / 3))
    sizing = Sizing(
        edge,
        min(finest_edge_mm or edge / 4.0, edge),
        wall_edge_mm,
        curve_degrees,
        cells_across,
        grading,
        focus_mm,
        focus_radius_mm,
        focus_edge_mm,
    )
    names, parts = numbered_parts(surface)
    wanted = {
        "sizing": asdict(sizing),
        "remesh": surface_triangles == "even",
        "layers": layers,
        "first_layer_mm": first_layer_mm,
        "growth": layer_growth,
        "layers_on": _chosen(layers_on, names) if layers else (),
        "split_prisms": layer_cells == "tetrahedra",
    }
    return _ask(surface, names, parts, wanted, progress)


def numbered_parts(surface: SurfaceMesh) -> tuple[tuple[str, ...], Integers]:
    """Return the names of a surface's parts and the number of the part of each triangle.

    Triangles without a part belong to "wall".
    """
    parts = np.full(len(surface.triangles), -1, np.int64)
    names = [*surface.boundaries]
    for number, part in enumerate(surface.boundaries.values()):
        parts[part] = number
    if (parts < 0).any():
        if WALL not in names:
            names.append(WALL)
        parts[parts < 0] = names.index(WALL)
    return tuple(names), parts


def _chosen(layers_on: str, names: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(name.strip() for name in layers_on.split(",") if name.strip())
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ValueError(
            f"the surface has no part {', '.join(unknown)!r} for layers; it has: {', '.join(names)}"
        )
    return chosen


def _ask(
    surface: SurfaceMesh,
    names: tuple[str, ...],
    parts: Integers,
    wanted: dict[str, Any],
    progress: Progress,
) -> VolumeMesh:
    """Have the process mesh; it is dead when this returns or raises."""
    progress(0.0, "starting")
    with tempfile.TemporaryDirectory(prefix="hilum-mesh-") as name:
        folder = Path(name)
        np.savez(
            folder / "request.npz",
            points_mm=surface.points_mm,
            triangles=surface.triangles,
            parts=parts,
        )
        request = {
            "names": names,
            "wanted": wanted,
            "frame_uid": surface.frame_uid,
            "name": surface.name,
            "colour": surface.colour,
        }
        (folder / "request.json").write_text(json.dumps(request), "utf-8")
        _run(folder, progress)
        answer = _read_json(folder / "answer.json")
        if not answer:
            raise MeshingFailed(f"the process that meshes has ended: {_last_words(folder)}")
        if "error" in answer:
            kind = MemoryError if answer["error"] == "TooManyCells" else MeshingFailed
            raise kind(str(answer["text"]))
        with np.load(folder / "answer.npz", allow_pickle=False) as arrays:
            return from_arrays(
                dict(arrays),
                frame_uid=surface.frame_uid,
                name=surface.name,
                colour=surface.colour,
                findings=tuple(Finding.from_json(entry) for entry in answer["findings"]),
                numbers=tuple(Number.from_json(entry) for entry in answer["numbers"]),
            )


def _run(folder: Path, progress: Progress) -> None:
    """Run the process to its end; kill it if ``progress`` raises or memory runs out."""
    paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, str(folder)],
            stdin=subprocess.PIPE,  # its end is what the process sees of ours
            stdout=said,
            stderr=said,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
        )
    free = psutil.virtual_memory().available
    told: tuple[float, str] = (0.0, "starting")
    try:
        while process.poll() is None:
            time.sleep(TICK_S)
            record = _read_json(folder / "progress.json")
            told = (float(record[0]), str(record[1])) if record else told
            progress(*told)
            _check_memory(process.pid, free)
    finally:
        process.kill()
        process.communicate()


def _read_json(path: Path) -> Any:
    """Return what a file holds, or None while it is being written or is not there."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _check_memory(number: int, free: int) -> None:
    try:
        used = psutil.Process(number).memory_info().rss
    except psutil.Error:  # it has ended
        return
    if used > 0.95 * free:
        raise MemoryError(
            f"meshing took {used / 1e9:.1f} GB, nearly all that was free, and was stopped; choose "
            "longer edges"
        )


def _last_words(folder: Path) -> str:
    lines = (folder / "said.txt").read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "it may have run out of memory"
