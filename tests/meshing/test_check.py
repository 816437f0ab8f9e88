"""Each fault of a surface is counted, and a sound surface has none."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from meshing.adjacency import incidence, neighbours
from meshing.check import check
from meshing.surface import SurfaceMesh, from_trimesh


@pytest.fixture
def cube() -> SurfaceMesh:
    return from_trimesh(trimesh.creation.box((2, 3, 4)), frame_uid="1.2.3", name="block")


def test_a_sound_surface_has_no_fault(cube: SurfaceMesh) -> None:
    report = check(cube)
    assert report.is_manifold
    assert report.is_sound
    assert report.findings() == ()
    assert (report.pieces, report.genus, report.volume_mm3) == (1, 0, pytest.approx(24))


def test_handles_and_pieces_are_counted(cube: SurfaceMesh) -> None:
    ring = trimesh.creation.torus(8, 2)
    both = SurfaceMesh(
        np.vstack([cube.points_mm, ring.vertices]),
        np.vstack([cube.triangles, ring.faces + len(cube.points_mm)]),
        "1.2.3",
    )
    report = check(both)
    assert (report.pieces, report.genus) == (2, 1)
    assert report.is_sound
    assert {n.quantity: n.value for n in report.numbers()}["genus"] == 1


def test_each_fault_is_found_and_placed(cube: SurfaceMesh) -> None:
    cells = cube.triangles
    hole = check(replace(cube, triangles=cells[1:]))
    assert len(hole.open_edges) == 3
    assert hole.genus is None
    assert not hole.is_manifold
    (finding,) = hole.findings()
    assert finding.code == "open_edges"
    missing = cube.points_mm[cells[0]]
    assert np.all(finding.location_mm >= missing.min(axis=0) - 1e-9)
    assert np.all(finding.location_mm <= missing.max(axis=0) + 1e-9)
    turned = cells.copy()
    turned[0] = turned[0, ::-1]
    assert len(check(replace(cube, triangles=turned)).turned_edges) == 3
    twice = check(replace(cube, triangles=np.vstack([cells, cells[:1]])))
    assert len(twice.crowded_edges) == 3
    assert len(twice.crossings) == 1
    inside_out = check(replace(cube, triangles=cells[:, ::-1]))
    assert inside_out.is_manifold
    assert not inside_out.is_sound
    assert [f.code for f in inside_out.findings()] == ["inside_out"]


def test_two_bodies_that_hang_together_at_a_point_or_an_edge(cube: SurfaceMesh) -> None:
    """Edge counts cannot see the point; both make a printed part fall apart."""
    other = np.add(cube.points_mm, (2, 3, 4))
    points = np.vstack([cube.points_mm, other])
    cells = np.vstack([cube.triangles, cube.triangles + len(other)])
    at_a_point = check(from_trimesh(trimesh.Trimesh(points, cells), frame_uid="1"))
    assert len(at_a_point.split_points) == 1
    assert not len(at_a_point.crowded_edges)
    assert not at_a_point.is_manifold
    points[len(other) :] -= (0, 0, 4)
    at_an_edge = check(from_trimesh(trimesh.Trimesh(points, cells), frame_uid="1"))
    assert len(at_an_edge.crowded_edges) == 1


def test_flat_triangles_and_an_empty_surface(cube: SurfaceMesh) -> None:
    points = np.vstack([cube.points_mm, cube.points_mm[:2].mean(axis=0)])
    flat = np.vstack([cube.triangles, [[0, 1, len(points) - 1]]])
    assert check(replace(cube, points_mm=points, triangles=flat)).flat_triangles.tolist() == [12]
    nothing = check(SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), "1"))
    assert (nothing.is_manifold, nothing.pieces, nothing.genus) == (False, 0, None)


def test_neighbours_lie_across_the_edges(cube: SurfaceMesh) -> None:
    cells = cube.triangles
    across = neighbours(cells, *incidence(cells, len(cube.points_mm)))
    for triangle, row in enumerate(across):
        for n, other in enumerate(row):
            edge = {cells[triangle, n], cells[triangle, (n + 1) % 3]}
            assert other not in (-1, triangle)
            assert edge < set(cells[other])
    opened = neighbours(cells[1:], *incidence(cells[1:], len(cube.points_mm)))
    assert (opened == -1).sum() == 3
