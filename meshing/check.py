"""What is wrong with a surface, each fault with its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meshing.adjacency import edge_uses, fans, incidence, pieces
from meshing.intersections import self_intersections
from meshing.mesh import SurfaceMesh, enclosed_mm3
from segmentation.contract import Finding, Number, Progress, Severity, share, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MeshReport:
    """The faults of one surface, as numbers of its points and triangles.

    Attributes:
        open_edges: (n, 2) points of edges with one triangle.
        crowded_edges: (n, 2) points of edges with more than two triangles.
        turned_edges: (n, 2) points of edges whose two triangles disagree on what is outside.
        split_points: points at which several fans of triangles meet.
        flat_triangles: triangles without an area.
        crossings: (n, 2) triangles that meet where they should not.
        pieces: number of connected pieces.
        genus: handles of all pieces together; None where the surface is not a closed manifold.
        volume_mm3: signed volume; negative means that the surface is inside out.
    """

    mesh: SurfaceMesh
    open_edges: Integers
    crowded_edges: Integers
    turned_edges: Integers
    split_points: Integers
    flat_triangles: Integers
    crossings: Integers
    pieces: int
    genus: int | None
    volume_mm3: float

    @property
    def is_manifold(self) -> bool:
        """Closed, with two triangles at each edge and one fan at each point, turned one way."""
        return bool(len(self.mesh.triangles)) and not (
            len(self.open_edges)
            + len(self.crowded_edges)
            + len(self.turned_edges)
            + len(self.split_points)
        )

    @property
    def is_sound(self) -> bool:
        """A manifold without self-intersections and flat triangles, the right side out."""
        return (
            self.is_manifold
            and self.volume_mm3 > 0
            and not (len(self.crossings) + len(self.flat_triangles))
        )

    def numbers(self) -> tuple[Number, ...]:
        """Return what was counted, as numbers of a report."""
        counts = {
            "open_edges": len(self.open_edges),
            "edges_of_more_than_two_triangles": len(self.crowded_edges),
            "edges_turned_against_each_other": len(self.turned_edges),
            "points_where_fans_meet": len(self.split_points),
            "triangles_without_area": len(self.flat_triangles),
            "self_intersections": len(self.crossings),
            "pieces": self.pieces,
        } | ({} if self.genus is None else {"genus": self.genus})
        source = "counted on the surface"
        return tuple(Number(name, float(count), "", source) for name, count in counts.items())

    def findings(self) -> tuple[Finding, ...]:
        """Return one finding for each kind of fault, at the place of the first."""
        points, cells = self.mesh.points_mm, self.mesh.triangles
        faults: list[tuple[str, int, str, Floats]] = [
            (
                "open_edges",
                len(self.open_edges),
                "edges have one triangle only",
                points[self.open_edges[:1].ravel()],
            ),
            (
                "crowded_edges",
                len(self.crowded_edges),
                "edges have more than two triangles",
                points[self.crowded_edges[:1].ravel()],
            ),
            (
                "turned_edges",
                len(self.turned_edges),
                "neighbours disagree on what is outside",
                points[self.turned_edges[:1].ravel()],
            ),
            (
                "split_points",
                len(self.split_points),
                "points hold separate fans together",
                points[self.split_points[:1]],
            ),
            (
                "flat_triangles",
                len(self.flat_triangles),
                "triangles have no area",
                points[cells[self.flat_triangles[:1]].ravel()],
            ),
            (
                "self_intersections",
                len(self.crossings),
                "pairs of triangles cross or touch",
                points[cells[self.crossings[:1, :1].ravel()].ravel()],
            ),
        ]
        name = self.mesh.name or "without a name"
        found = [
            Finding(
                Severity.WARNING,
                code,
                f"The surface {name}: {count} {what}.",
                (float(at[0]), float(at[1]), float(at[2])),
                "Repair the surface.",
            )
            for code, count, what, where in faults
            if count
            for at in [where.mean(axis=0)]
        ]
        if self.is_manifold and self.volume_mm3 < 0:
            text = f"The surface {name} is inside out."
            found.append(Finding(Severity.WARNING, "inside_out", text, remedy="Turn it around."))
        return tuple(found)


def check(mesh: SurfaceMesh, *, crossings: bool = True, progress: Progress = silent) -> MeshReport:
    """Return every fault of a surface: edges, points, orientation and self-intersections.

    Without ``crossings`` self-intersections, which take most of the time, are not looked for.
    """
    cells, count = mesh.triangles, len(mesh.points_mm)
    progress(0.0, "checking edges and points")
    starts, members = incidence(cells, count)
    edges, uses, balance = edge_uses(cells, starts, members)
    split = np.flatnonzero(fans(cells, starts, members) > 1)
    progress(0.3, "counting the pieces")
    parts = int(pieces(cells, starts, members).max(initial=-1)) + 1
    a, b, c = (mesh.points_mm[cells[:, n]] for n in range(3))
    flat = np.flatnonzero(~np.cross(b - a, c - a).any(axis=1))
    manifold = bool(np.all(uses == 2) and np.all(balance == 0) and not len(split) and len(edges))
    met = np.empty((0, 2), np.int64)
    if crossings:
        met = self_intersections(mesh, progress=share(progress, 1, 2))
    euler = int(np.count_nonzero(np.diff(starts))) - len(edges) + len(cells)
    return MeshReport(
        mesh,
        edges[uses == 1],
        edges[uses > 2],
        edges[(uses == 2) & (balance != 0)],
        split,
        flat,
        met,
        parts,
        parts - euler // 2 if manifold else None,
        enclosed_mm3(mesh),
    )
