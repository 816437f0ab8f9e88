"""The cells of a lumen and where its wall and openings cut their links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label as number_pieces

from hemodynamics.lattice import OPPOSITE, VELOCITIES
from hemodynamics.layout import WALL, Links
from meshing.distance_fields import grid_around, signed_distance
from meshing.mesh import SurfaceMesh, require_watertight
from meshing.rays import first_hits
from meshing.tree import TriangleTree, triangle_tree
from segmentation.contract import Progress, share, silent

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WALL_NAME = "wall"
LEAST_ACROSS = 3.0
"""Cells across an opening, by its area, below which no flow is computed."""

DEPTH = 3.0
"""Cells from beyond an outlet back to the flow that goes on there."""

FLATNESS = 0.05
"""How far a cap may lie off its plane, of the radius of a circle of its area."""


BESIDE = 0.5 * np.sqrt(3.0)
"""Cells from the wall within which lies an end of each link that crosses it."""


class UnusableLumen(ValueError):
    """A surface is no lumen that flow can be computed in; the text says why and what to do."""


@dataclass(frozen=True)
class Opening:
    """A flat end of the lumen.

    Attributes:
        name: such as "inlet" or "outlet_1".
        part: its number in `Links.part`.
        centre_mm, normal: LPS; the normal points out of the lumen.
        area_mm2: of the cap.
        links: numbers of the links that cross it.
        inside, factors: (8, links) cells and their shares, summing to one, for the point that
            lies `DEPTH` cells back along the normal from where the link would end.
    """

    name: str
    part: int
    centre_mm: Floats
    normal: Floats
    area_mm2: float
    links: Ints
    inside: Ints
    factors: Floats

    @property
    def diameter_mm(self) -> float:
        """The diameter of a circle of its area."""
        return float(2.0 * np.sqrt(self.area_mm2 / np.pi))


@dataclass(frozen=True)
class Domain:
    """A lumen in cells.

    Attributes:
        cells_mm: (n, 3) centres, LPS mm.
        spacing_mm: edge of a cell.
        neighbours: (27, n) numbers of the cells in each direction, -1 for none.
        links: where the wall and the openings cut.
        crossings_mm: (links, 3) where they do, LPS mm.
        openings: the ends, inlets and outlets.
        dropped: cells that no opening leads to, and that were left out.
    """

    cells_mm: Floats
    spacing_mm: float
    neighbours: Ints
    links: Links
    crossings_mm: Floats
    openings: tuple[Opening, ...]
    dropped: int


def divide(lumen: SurfaceMesh, spacing_mm: float, progress: Progress = silent) -> Domain:
    """Return the cells of a closed lumen whose flat ends are named parts of its surface.

    Raises:
        OpenSurface: if it is not closed.
        UnusableLumen: if it has no named ends, an end is not flat or too small for the cells,
            or no cell lies inside.
        TooFine: if there were too many cells.
    """
    require_watertight(lumen)
    ends = _ends(lumen)
    for name, (_, _, area) in ends.items():
        across = 2.0 * np.sqrt(area / np.pi) / spacing_mm
        if across < LEAST_ACROSS:
            raise UnusableLumen(
                f"the opening {name} is {across:.1f} cells of {spacing_mm:.3g} mm across; take "
                f"cells of {across * spacing_mm / LEAST_ACROSS:.2g} mm or less, or cut the vessel "
                "where it is wider"
            )
    grid = grid_around([lumen.points_mm], spacing_mm)
    depth = signed_distance(lumen.points_mm, lumen.triangles, grid, share(progress, 0, 3))
    inside = depth < 0.0
    index, kept = _numbered(inside, ends, grid.origin_mm, spacing_mm)
    ijk = np.argwhere(index >= 0)[:, ::-1]
    neighbours = np.stack([index[tuple((ijk + v)[:, ::-1].T)] for v in VELOCITIES])
    cells = grid.origin_mm + spacing_mm * ijk
    tree = triangle_tree(lumen.points_mm, lumen.triangles)
    near = depth[index >= 0] > -BESIDE * spacing_mm
    _part(neighbours, cells, near, tree, share(progress, 1, 3))
    direction, cell = np.nonzero(neighbours < 0)
    fraction, part = _cuts(
        lumen, tree, tuple(ends), cells[cell], direction, spacing_mm, share(progress, 2, 3)
    )
    crossings = cells[cell] + fraction[:, None] * VELOCITIES[direction] * spacing_mm
    links = Links(cell, direction, fraction, part)
    openings = tuple(
        _opening(name, n + 1, ends[name], links, cells, index, grid.origin_mm, spacing_mm)
        for n, name in enumerate(ends)
    )
    return Domain(
        cells,
        spacing_mm,
        neighbours,
        links,
        crossings,
        openings,
        int(np.count_nonzero(inside)) - kept,
    )


def _ends(lumen: SurfaceMesh) -> dict[str, tuple[Floats, Floats, float]]:
    """Return name to centre, outward normal and area (mm2) of each flat end.

    Raises:
        UnusableLumen: if there is none, or one is not flat.
    """
    found = {}
    for name, triangles in lumen.boundaries.items():
        if name == WALL_NAME or not len(triangles):
            continue
        corners = lumen.points_mm[lumen.triangles[triangles]]
        arms = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2.0
        areas, whole = np.linalg.norm(arms, axis=1), arms.sum(axis=0)
        normal = whole / np.linalg.norm(whole)
        area = float(areas.sum())
        centre = np.average(corners.mean(axis=1), axis=0, weights=areas)
        off = float(np.abs((corners - centre) @ normal).max())
        if off > FLATNESS * np.sqrt(area / np.pi):
            raise UnusableLumen(
                f"the end {name} is not flat: it lies {off:.2f} mm off its plane; cut the vessel "
                "there at a right angle"
            )
        found[name] = (centre, normal, area)
    if len(found) < 2:
        raise UnusableLumen(
            f"the lumen {lumen.name or 'without a name'!r} has {len(found)} open ends by name; "
            "flow needs an inlet and an outlet: cut and cap its ends first"
        )
    return found


def _numbered(
    inside: npt.NDArray[np.bool_],
    ends: dict[str, tuple[Floats, Floats, float]],
    origin_mm: Floats,
    spacing_mm: float,
) -> tuple[Ints, int]:
    """Return [k, j, i] numbers of the cells that the ends lead to, -1 elsewhere, and how many.

    Raises:
        UnusableLumen: if no cell lies inside, or the ends do not lead to each other.
    """
    pieces, count = number_pieces(inside, np.ones((3, 3, 3), bool))
    if not count:
        raise UnusableLumen(
            f"no cell of {spacing_mm:.3g} mm lies inside the lumen; take finer ones"
        )
    where = np.argwhere(inside)
    at = {}
    for name, (centre, normal, _) in ends.items():
        away = origin_mm + spacing_mm * where[:, ::-1] - (centre - normal * spacing_mm)
        nearest = where[np.argmin((away**2).sum(axis=1))]
        at[name] = int(pieces[tuple(nearest)])
    if len(set(at.values())) > 1:
        first, *rest = at
        apart = [name for name in rest if at[name] != at[first]]
        raise UnusableLumen(
            f"at {spacing_mm:.3g} mm the lumen falls apart between {first} and {', '.join(apart)}; "
            "take finer cells, or widen the lumen where it is closed"
        )
    mask = pieces == next(iter(at.values()))
    index = np.full(inside.shape, -1, np.int64)
    kept = int(np.count_nonzero(mask))
    index[mask] = np.arange(kept)
    return index, kept


def _part(
    neighbours: Ints,
    cells_mm: Floats,
    near: npt.NDArray[np.bool_],
    tree: TriangleTree,
    progress: Progress,
) -> None:
    """Cut links between cells where tissue that is thinner than they are lies between them.

    The edge of a neck is such tissue, and so is what parts two vessels that touch. One of the
    two cells is ``near`` the wall.
    """
    for n, q in enumerate(np.flatnonzero(np.abs(VELOCITIES).any(axis=1))):
        across = np.flatnonzero(near & (neighbours[q] >= 0))
        steps = cells_mm[neighbours[q, across]] - cells_mm[across]
        length = np.linalg.norm(steps, axis=1)
        far, _ = first_hits(
            tree, cells_mm[across], steps / length[:, None], np.full(len(across), -1),
            reach_mm=float(length.max(initial=0.0)), progress=share(progress, n, len(VELOCITIES)),
        )  # fmt: skip
        here = across[far < length]
        neighbours[OPPOSITE[q], neighbours[q, here]] = -1
        neighbours[q, here] = -1


def _cuts(
    lumen: SurfaceMesh,
    tree: TriangleTree,
    names: tuple[str, ...],
    starts_mm: Floats,
    direction: Ints,
    spacing_mm: float,
    progress: Progress,
) -> tuple[Floats, Ints]:
    """Return how far along each link the surface lies (above 0 to 1), and which part it is."""
    part_of = np.full(len(lumen.triangles), WALL, np.int64)
    for number, name in enumerate(names, 1):
        part_of[lumen.boundaries[name]] = number
    steps = VELOCITIES[direction] * spacing_mm
    length = np.linalg.norm(steps, axis=1)
    far, triangle = first_hits(
        tree,
        starts_mm,
        steps / length[:, None],
        np.full(len(steps), -1),
        reach_mm=2.0 * spacing_mm,
        progress=progress,
    )
    # A ray through an edge may slip by; such a link is cut half-way by the wall.
    met = np.isfinite(far) & (triangle >= 0)
    fraction = np.where(met, np.where(met, far, 0.0) / length, 0.5)
    part = np.where(met, part_of[np.maximum(triangle, 0)], WALL)
    return np.clip(fraction, 1e-3, 1.0), part


def _opening(
    name: str,
    part: int,
    end: tuple[Floats, Floats, float],
    links: Links,
    cells_mm: Floats,
    index: Ints,
    origin_mm: Floats,
    spacing_mm: float,
) -> Opening:
    """Return an opening with its links and, for each, the cells around a point inside."""
    centre, normal, area = end
    mine = np.flatnonzero(links.part == part)
    start = cells_mm[links.cell[mine]] - origin_mm
    goal = start / spacing_mm + VELOCITIES[links.direction[mine]] - DEPTH * normal
    base = np.floor(goal + 1e-9).astype(int)
    rest = goal - base
    inside, factors = np.empty((8, len(mine)), np.int64), np.empty((8, len(mine)))
    last = np.array(index.shape[::-1]) - 1
    for n, corner in enumerate(np.ndindex(2, 2, 2)):
        ijk = np.clip(base + corner, 0, last)
        inside[n] = index[tuple(ijk[:, ::-1].T)]
        factors[n] = np.prod(np.where(np.array(corner) == 1, rest, 1.0 - rest), axis=1)
    factors[inside < 0] = 0.0
    # Beside the wall there may be no cell; the link's own cell stands in.
    lost = factors.sum(axis=0) < 1e-3
    factors[0, lost], inside[0, lost] = 1.0, links.cell[mine][lost]
    return Opening(
        name,
        part,
        centre,
        normal,
        area,
        mine,
        np.maximum(inside, 0),
        factors / factors.sum(axis=0),
    )
