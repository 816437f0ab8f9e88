"""What cutting a surface takes: an organ with all its triangles, and the proxy that is dragged."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from meshing.centerline import Branch, Centerline, Node
from meshing.cutting import cut_by_plane
from meshing.surface import SurfaceMesh
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.benchmark.rows import Row, median_ms
from workstation.planning.cut_surface_stages import cut_surface
from workstation.planning.drainage import lost_territory
from workstation.planning.live import LivePreview
from workstation.planning.live_cuts import LiveJoined, LivePlanes
from workstation.planning.live_wedge import LiveWedge
from workstation.planning.pressure import pressure_after
from workstation.planning.proposal import Point, as_point
from workstation.planning.resection import margin, remnant, specimen

WHOLE, PROXY = 194, 71
"""Cells along each edge of the cube from which the organ is blown up: 12 n n triangles."""

TARGETS_MS = {WHOLE: 1000.0, PROXY: 50.0}
NORMAL = (0.86, 0.43, -0.29)
POINT_MM = (11.3, 4.1, -2.7)


def organ(cells: int) -> SurfaceMesh:
    """Return a closed organ of about 1.5 L with lobes, LPS mm; ``cells`` as in `WHOLE`."""
    at = np.arange(cells + 1)
    u, v = (grid.ravel() for grid in np.meshgrid(at, at, indexing="ij"))
    low, high = np.zeros_like(u), np.full_like(u, cells)
    # Each side is turned so that its triangles are counter-clockwise seen from outside.
    sides = [(high, u, v), (low, v, u), (v, high, u), (u, low, v), (u, v, high), (v, u, low)]
    corners = np.concatenate([np.stack(side, axis=1) for side in sides])
    places, names = np.unique(corners, axis=0, return_inverse=True)
    a = (at[:-1, None] * (cells + 1) + at[:-1]).ravel()
    b, c, d = a + cells + 1, a + cells + 2, a + 1
    side_cells = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    triangles = np.concatenate([side_cells + n * len(u) for n in range(6)])
    ray = np.tan((places / cells - 0.5) * np.pi / 2)  # cells of about the same size
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    x, y, z = 69 * ray.T
    height = 69 - 6 * np.sin(x / 17) * np.cos(y / 13) * np.sin(z / 15)
    points = ray * height[:, None] * (1.25, 0.9, 0.95)
    return SurfaceMesh(points, names.ravel()[triangles], "1.2.3", "liver")


def cuts(peers: bool) -> list[Row]:
    """Measure the exact cut by a plane, both parts closed, and all numbers of a moving cut."""
    rows = []
    for cells, target_ms in TARGETS_MS.items():
        mesh = organ(cells)
        ms = median_ms(partial(cut_by_plane, mesh, point_mm=POINT_MM, normal=NORMAL))
        what = f"plane cut, {len(mesh.triangles):,} triangles"
        rows.append(Row("cut", what, ms, target_ms))
    return rows + drags()


def drags() -> list[Row]:
    """Measure all numbers of a moving cut, and the exact ones after its release.

    All are volumes, margin, branches crossed, devascularised and congested volume, pressures and
    flows before and after with their bands, and what the limits say.
    """
    liver, tumor, portal = _liver_in_voxels(), _tumor_in_voxels(), _tree()
    pressure = pressure_after({"portal_pressure_mmhg": 10.0}, liver.volume_ml())
    live = LivePreview(liver, tumor, portal=portal, hepatic=portal, pressure=pressure)
    rng = np.random.default_rng(1)
    bent = cut_surface(liver, point_mm=POINT_MM, normal=NORMAL)
    assert bent.sheet is not None
    sheet = bent.sheet
    live.over(sheet)
    middle = np.asarray(POINT_MM)
    joined = LiveJoined(LivePlanes((POINT_MM,), (NORMAL,)), LiveWedge())
    live.judge(joined)

    def turned() -> Point:
        normal = np.asarray(NORMAL) + rng.normal(0, 0.1, 3)
        return as_point(normal / np.linalg.norm(normal))

    def push() -> None:
        other = as_point(middle + rng.normal(30, 5) * np.asarray(NORMAL))
        x, y, z = turned()
        live.judge(LivePlanes((POINT_MM, other), (NORMAL, (-x, -y, -z))))

    def widen() -> None:
        live.judge(LiveWedge(margin_mm=float(rng.uniform(2, 20))))

    def join() -> None:
        live.judge(LiveJoined(LivePlanes((POINT_MM,), (turned(),)), joined.other))

    def tilt() -> None:
        live.at(POINT_MM, turned())

    def pull() -> None:
        row, column = rng.integers(0, 4, 2)
        live.over(sheet.moved(int(row), int(column), float(rng.normal(0, 10))))

    def release() -> None:
        cut = cut_surface(liver, point_mm=POINT_MM, normal=NORMAL)
        remnant(liver, cut, tumor)
        specimen(liver, cut)
        margin(tumor, cut)
        lost_territory(liver, portal, cut)
        lost_territory(liver, portal, cut, effect="congested")
        pressure(0.4)

    return [
        Row("cut", "all numbers of a tilted plane", median_ms(tilt, 30), 50.0),
        Row("cut", "all numbers of a moved control point", median_ms(pull, 30), 50.0),
        Row("cut", "all numbers of one of two planes moved", median_ms(push, 30), 50.0),
        Row("cut", "all numbers of a wedge widened", median_ms(widen, 30), 50.0),
        Row("cut", "all numbers of a plane joined with a wedge", median_ms(join, 30), 50.0),
        Row("cut", "portal pressure", median_ms(lambda: pressure(rng.uniform(0.1, 0.8)), 9), 50.0),
        Row("cut", "exact cut and all its numbers after release", median_ms(release, 3), 1000.0),
    ]


def _ball(radii_mm: tuple[float, float, float], middle_mm: tuple[float, float, float]) -> LabelMap:
    """Return an ellipsoid on a 0.8 x 0.8 x 1.5 mm grid."""
    start = (-90.0, -70.0, -70.0)
    grid = ImageGeometry((226, 176, 94), (0.8, 0.8, 1.5), start, tuple(np.eye(3).ravel()), "1.2.3")
    z, y, x = np.meshgrid(
        *(o + s * np.arange(n) for o, s, n in zip(start[::-1], (1.5, 0.8, 0.8), grid.shape)),
        indexing="ij",
        sparse=True,
    )
    away = sum(((a - m) / r) ** 2 for a, m, r in zip((x, y, z), middle_mm, radii_mm))
    return LabelMap((away < 1).astype(np.uint8), grid, {1: Label("part")})


def _liver_in_voxels() -> LabelMap:
    return _ball((86.0, 62.0, 65.0), (0.0, 0.0, 0.0))


def _tumor_in_voxels() -> LabelMap:
    return _ball((12.0, 12.0, 14.0), (45.0, 15.0, -5.0))


def _tree() -> Centerline:
    """Return a tree of 63 branches: a trunk that forks five times."""
    rng = np.random.default_rng(0)
    points: list[npt.NDArray[np.float64]] = []
    radius: list[npt.NDArray[np.float64]] = []
    branches, nodes = [], [Node((80.0, 0.0, 0.0), 7.0, "asked")]
    ends = [(0, np.array([-1.0, 0.0, 0.0]), 0)]
    count = 0
    while ends:
        before, way, level = ends.pop(0)
        start, length = np.asarray(nodes[before].point_mm), 70.0 * 0.7**level
        line = start + np.linspace(0, length, 60)[:, None] * way
        points.append(line)
        radius.append(np.full(60, 7.0 * 0.75**level))
        x, y, z = (float(v) for v in line[-1])
        nodes.append(Node((x, y, z), 7.0 * 0.75**level, "junction"))
        branches.append(Branch(count, count + 60, before, len(nodes) - 1))
        count += 60
        for _ in range(2 if level < 5 else 0):
            turned = way + rng.normal(0, 0.6, 3)
            ends.append((len(nodes) - 1, turned / np.linalg.norm(turned), level + 1))
    whole = np.concatenate(points), np.concatenate(radius)
    return Centerline(*whole, tuple(branches), tuple(nodes), {"root": 0}, "1.2.3", "portal")
