"""The process that meshes volumes: remeshing, layers and tetrahedra, told and answered in files.

Netgen (Schöberl, NETGEN: an advancing front 2D/3D-mesh generator, 1997) fills a surface and keeps
its triangles. It can neither be stopped nor say how far it is, so it runs where it can be killed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy.spatial import cKDTree

from meshing.cell_quality import with_quality
from meshing.cell_sizes import Sizing, edge_lengths_mm, edges_of, expected_tetrahedra, graded
from meshing.intersections import intersecting_pairs
from meshing.layers import Layers, NoRoomForLayers, lay, layer_levels
from meshing.sized_remeshing import lines_of, remeshed
from meshing.surface import SurfaceMesh, enclosed_mm3
from meshing.volume_mesh import (
    Floats,
    Integers,
    VolumeMesh,
    as_tetrahedra,
    tetrahedron_volumes_mm3,
    to_arrays,
)
from segmentation.contract import Finding, Progress, Severity

BYTES_EACH = 1500
"""Memory for each tetrahedron, all steps together; measured 300 to 1200."""

EACH_S = 2e-4
"""Time for each tetrahedron on one core of 2020."""

MOST = 30_000_000
"""More tetrahedra than this are a slip of the keyboard."""

SHARES = (1.0, 0.7, 0.4)
"""How thick the layers are in one try after another."""


REFINED = 3
"""How often even triangles are made anew, half as long where they cross."""


class NotFilled(RuntimeError):
    """A surface cannot be filled with tetrahedra."""


class TooManyCells(MemoryError):
    """The mesh would not fit into the memory that is free."""


@dataclass(frozen=True)
class Wanted:
    """What to make of a surface; lengths in mm.

    Attributes:
        sizing: how long edges are.
        remesh: whether the surface may get other triangles.
        layers, first_layer_mm, growth: of the prisms along the wall; None takes half an edge
            for the last layer.
        layers_on: names of the parts that get them; empty means all.
        split_prisms: whether prisms become tetrahedra.
    """

    sizing: Sizing
    remesh: bool = True
    layers: int = 0
    first_layer_mm: float | None = None
    growth: float = 1.2
    layers_on: tuple[str, ...] = ()
    split_prisms: bool = False


def meshed(
    surface: SurfaceMesh, names: tuple[str, ...], parts: Integers, wanted: Wanted, tell: Progress
) -> VolumeMesh:
    """Return the volume mesh of a closed surface, of which ``parts`` numbers the ``names``.

    Raises:
        NoRoomForLayers: if layers fold however thin they are.
        TooManyCells: if there is no memory for so many cells.
        NotFilled: if the surface crosses itself or is too poor to be filled.
    """
    tell(0.0, "finding the edge lengths")
    lines = lines_of(surface, parts)
    sizes = edge_lengths_mm(surface.points_mm, surface.triangles, lines, wanted.sizing)
    count = expected_tetrahedra(
        surface.points_mm, surface.triangles, sizes, enclosed_mm3(surface), wanted.sizing
    )
    _require_room(count, wanted.sizing.edge_mm)
    own = (surface, parts)
    tries = [own]
    if wanted.remesh:
        even = _uncrossed(surface, parts, sizes, wanted.sizing, _between(tell, 0.05, 0.30))
        tries.insert(0, even)
    shares = SHARES if wanted.layers else (1.0,)
    for number, (skin, skin_parts) in enumerate(tries):
        for share in shares:
            try:
                _require_uncrossed(skin)
                mesh = _with_layers(skin, names, skin_parts, wanted, share, count, tell)
            except (NotFilled, NoRoomForLayers) as error:
                last = error
                continue
            notes = () if not wanted.remesh or number == 0 else (_own_triangles(),)
            tell(0.9, "measuring the cells")
            return with_quality(replace(mesh, findings=(*mesh.findings, *notes)), surface)
    raise last


def _between(tell: Progress, low: float, high: float) -> Progress:
    """Return a `Progress` that fills the way from ``low`` to ``high``."""

    def part(fraction: float, message: str = "") -> None:
        tell(low + (high - low) * fraction, message)

    return part


def _require_room(count: float, edge_mm: float) -> None:
    free = 0.8 * psutil.virtual_memory().available
    if count > MOST or count * BYTES_EACH > free:
        fits = edge_mm * (count / min(MOST, free / BYTES_EACH)) ** (1 / 3)
        raise TooManyCells(
            f"about {count:,.0f} tetrahedra would need {count * BYTES_EACH / 1e9:.0f} GB, and "
            f"{free / 1e9:.0f} GB are free; edges {fits / edge_mm:.2g} times as long would fit"
        )


def _uncrossed(
    surface: SurfaceMesh, parts: Integers, sizes: Floats, sizing: Sizing, tell: Progress
) -> tuple[SurfaceMesh, Integers]:
    """Return even triangles and their parts; shorter ones where long ones would cross."""
    for _ in range(REFINED):
        even = remeshed(surface, parts, sizes, tell)
        pairs = intersecting_pairs(even[0].points_mm, even[0].triangles)
        if not len(pairs):
            break
        places = even[0].points_mm[even[0].triangles[pairs.ravel()]].reshape(-1, 3)
        away = cKDTree(places).query(surface.points_mm)[0]
        sizes = np.where(away < 2.0 * sizes, 0.5 * sizes, sizes)
        sizes = graded(surface.points_mm, edges_of(surface.triangles), sizes, sizing.grading)
    return even


def _require_uncrossed(surface: SurfaceMesh) -> None:
    """Raise where Netgen would search long before it gives up."""
    pairs = intersecting_pairs(surface.points_mm, surface.triangles)
    if len(pairs):
        x, y, z = surface.points_mm[surface.triangles[pairs[0, 0]]].mean(axis=0).tolist()
        raise NotFilled(
            f"the surface crosses itself at ({x:.1f}, {y:.1f}, {z:.1f}) mm and {len(pairs) - 1} "
            "other places; repair it first"
        )


def _own_triangles() -> Finding:
    return Finding(
        Severity.WARNING,
        "not_remeshed",
        "Even triangles could not be filled; the surface's own triangles were kept.",
        remedy="Repair or smooth the surface, or choose shorter edges.",
    )


def _with_layers(
    surface: SurfaceMesh,
    names: tuple[str, ...],
    parts: Integers,
    wanted: Wanted,
    share: float,
    count: float,
    tell: Progress,
) -> VolumeMesh:
    """Return layers and tetrahedra of one surface whose triangles are kept."""
    seconds = count * EACH_S
    message = f"filling with about {count:,.0f} tetrahedra, which takes about {seconds:.0f} s"
    if not wanted.layers:
        tell(0.35, message)
        points, tetrahedra = filled(surface.points_mm, surface.triangles, wanted.sizing)
        boundaries = {name: surface.triangles[parts == n] for n, name in enumerate(names)}
        return _named(surface, points, tetrahedra, None, boundaries, {}, wanted)
    chosen = [n for n, name in enumerate(names) if not wanted.layers_on or name in wanted.layers_on]
    levels = layer_levels(wanted.layers, _first_mm(surface, wanted), wanted.growth)
    layers = lay(
        surface.points_mm,
        surface.triangles,
        parts,
        np.asarray(chosen),
        levels,
        share,
        _between(tell, 0.30, 0.35),
    )
    tell(0.35, message)
    used, inner = np.unique(layers.inner, return_inverse=True)
    core, tetrahedra = filled(layers.points_mm[used], inner.reshape(-1, 3), wanted.sizing)
    new = np.arange(len(core) - len(used)) + len(layers.points_mm)
    tetrahedra = np.concatenate([used, new])[tetrahedra]
    points = np.concatenate([layers.points_mm, core[len(used) :]])
    boundaries = {name: layers.outer[parts == n] for n, name in enumerate(names)}
    quads = {name: layers.quads[layers.quad_parts == n] for n, name in enumerate(names)}
    return _named(surface, points, tetrahedra, layers, boundaries, quads, wanted)


def _first_mm(surface: SurfaceMesh, wanted: Wanted) -> float:
    """Return the height of the first layer; half an edge for the last one unless it is given."""
    if wanted.first_layer_mm is not None:
        return wanted.first_layer_mm
    corners = surface.points_mm[surface.triangles]
    edge = float(np.median(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)))
    return 0.5 * edge / wanted.growth ** (wanted.layers - 1)


def _named(
    surface: SurfaceMesh,
    points: Floats,
    tetrahedra: Integers,
    layers: Layers | None,
    boundaries: Mapping[str, Integers],
    quads: Mapping[str, Integers],
    wanted: Wanted,
) -> VolumeMesh:
    """Return the mesh with what belongs to it: names, regions, findings."""
    prisms = np.empty((0, 6), np.int64) if layers is None else layers.prisms
    quads = {name: rows for name, rows in quads.items() if len(rows)}
    core = len(tetrahedra)
    if wanted.split_prisms and layers is not None:
        whole = VolumeMesh(points, tetrahedra, "", boundaries=boundaries, boundary_quads=quads)
        boundaries = {name: whole.boundary_triangles(name) for name in boundaries}
        tetrahedra = np.concatenate([tetrahedra, as_tetrahedra(prisms)])
        prisms, quads = prisms[:0], {}
    cells = np.arange(len(tetrahedra) + len(prisms))
    return VolumeMesh(
        points,
        tetrahedra,
        surface.frame_uid,
        surface.name,
        surface.colour,
        prisms,
        {name: rows for name, rows in boundaries.items() if len(rows)},
        quads,
        {} if layers is None else {"core": cells[:core], "layers": cells[core:]},
        findings=() if layers is None else layers.findings,
    )


def filled(points_mm: Floats, triangles: Integers, sizing: Sizing) -> tuple[Floats, Integers]:
    """Return the points of a closed surface and new ones inside it, and tetrahedra.

    The surface's points come first, unmoved, and its triangles are faces of tetrahedra.

    Raises:
        NotFilled: if it cannot be filled.
    """
    from netgen import meshing as netgen

    mesh = netgen.Mesh()
    mesh.dim = 3
    mesh.Add(netgen.FaceDescriptor(surfnr=1, domin=1, domout=0, bc=1))
    mesh.SetMaterial(1, "inside")
    # Netgen's tolerances are made for lengths near 1, and far from the origin digits are lost.
    middle, scale = points_mm.mean(axis=0), sizing.edge_mm
    mesh.AddPoints(np.ascontiguousarray((points_mm - middle) / scale))
    mesh.AddElements(dim=2, index=1, data=np.ascontiguousarray(triangles, np.int32), base=0)
    if sizing.focus_mm is not None and sizing.focus_edge_mm is not None:
        _restrict(netgen, mesh, points_mm, sizing, middle)
    try:
        mesh.GenerateVolumeMesh(maxh=1.0, grading=sizing.grading)
    except Exception as error:  # its own class, that it does not export
        raise NotFilled(f"the surface cannot be filled with tetrahedra: {error}") from error
    tetrahedra = mesh.Elements3D().NumPy()["nodes"][:, :4].astype(np.int64) - 1
    points = np.array(mesh.Coordinates(), np.float64).reshape(-1, 3) * scale + middle
    if not len(tetrahedra) or not np.allclose(points[: len(points_mm)], points_mm):
        raise NotFilled("the surface cannot be filled with tetrahedra; repair it first")
    points[: len(points_mm)] = points_mm
    turned = tetrahedra[:, (0, 2, 1, 3)]
    if tetrahedron_volumes_mm3(points, turned).min() <= 0.0:
        raise NotFilled("the surface was filled with folded tetrahedra; smooth or repair it")
    return points, turned


def _restrict(netgen: Any, mesh: Any, points_mm: Floats, sizing: Sizing, middle: Floats) -> None:
    """Have edges around the focus as short there as asked."""
    assert sizing.focus_mm is not None
    assert sizing.focus_edge_mm is not None
    low, high = points_mm.min(axis=0), points_mm.max(axis=0)
    edge = sizing.focus_edge_mm
    reach = max(sizing.focus_radius_mm, 2.0 * edge)
    steps = np.arange(-reach, reach + edge, max(edge, reach / 20.0))
    ball = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    ball = ball[np.linalg.norm(ball, axis=1) <= reach] + np.asarray(sizing.focus_mm)
    inside = ball[((ball > low) & (ball < high)).all(axis=1)]
    scale = sizing.edge_mm
    point = getattr(netgen, "Point<3>")
    for place in ((inside - middle) / scale).tolist():
        mesh.RestrictLocalH(point(*place), edge / scale)


def main(folder: Path) -> None:
    """Mesh what is asked for in ``folder``/request and leave the answer there."""

    def tell(fraction: float, message: str = "") -> None:
        (folder / "progress.json").write_text(json.dumps([fraction, message]), "utf-8")

    request = json.loads((folder / "request.json").read_text("utf-8"))
    with np.load(folder / "request.npz", allow_pickle=False) as arrays:
        surface = SurfaceMesh(
            arrays["points_mm"],
            arrays["triangles"],
            request["frame_uid"],
            request["name"],
            tuple(request["colour"]),
        )
        parts = arrays["parts"]
    wanted = Wanted(**{**request["wanted"], "sizing": Sizing(**request["wanted"]["sizing"])})
    try:
        mesh = meshed(surface, tuple(request["names"]), parts, wanted, tell)
    except (NotFilled, NoRoomForLayers, MemoryError) as error:
        record = {"error": type(error).__name__, "text": str(error)}
        (folder / "answer.json").write_text(json.dumps(record), "utf-8")
        return
    arrays_by_name: dict[str, Any] = {**to_arrays(mesh)}
    np.savez(folder / "answer.npz", **arrays_by_name)
    notes = {
        "findings": [finding.to_json() for finding in mesh.findings],
        "numbers": [number.to_json() for number in mesh.numbers],
    }
    (folder / "answer.json").write_text(json.dumps(notes), "utf-8")


def _end_with_parent(folder: Path) -> None:
    """End this process when the one that started it is gone: its end of standard input closes."""
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    asked = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(asked,), daemon=True).start()
    main(asked)
