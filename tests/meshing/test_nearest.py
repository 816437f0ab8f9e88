"""Nearest places against brute force and spheres."""

import numpy as np
import pytest
import trimesh
from trimesh.triangles import closest_point

from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh

RANDOM = np.random.default_rng(3)


def test_nearest_places_are_those_of_a_search_over_all_triangles() -> None:
    body = trimesh.creation.torus(20.0, 6.0, major_sections=24, minor_sections=12)
    mesh = SurfaceMesh(body.vertices * (1, 1.4, 0.7) + (5, -3, 11), body.faces, "1")
    points = RANDOM.normal(size=(60, 3)) * (25, 30, 12) + (5, -3, 11)
    found = NearestOnSurface(mesh)(points)
    corners = mesh.points_mm[mesh.triangles]
    for n, point in enumerate(points):
        every = closest_point(corners, np.repeat(point[None], len(corners), axis=0))
        away = np.linalg.norm(every - point, axis=1).min()
        assert found.distance_mm[n] == pytest.approx(away, abs=1e-9)
        assert np.linalg.norm(found.point_mm[n] - point) == pytest.approx(away, abs=1e-9)


def test_the_side_is_told_also_next_to_corners_and_edges() -> None:
    box = trimesh.creation.box((4, 6, 10))
    finder = NearestOnSurface(SurfaceMesh(box.vertices, box.faces, "1"))
    half = np.array([2.0, 3.0, 5.0])
    points = RANDOM.uniform(-1.6, 1.6, (500, 3)) * half
    inside = (np.abs(points) < half).all(axis=1)
    assert np.array_equal(finder.signed_mm(points) < 0, inside)
    corner, edge = half + 1.0, half + np.array([1.0, 1.0, -2.0])
    assert finder.signed_mm([corner, edge]) == pytest.approx([np.sqrt(3), np.sqrt(2)])


def test_triangles_without_area_do_not_disturb() -> None:
    points = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [2, 0, 0]], float)
    mesh = SurfaceMesh(points, np.array([[0, 3, 1], [0, 1, 2]]), "1")
    assert NearestOnSurface(mesh)([[1.0, 1.0, 3.0]]).distance_mm == pytest.approx([3.0])


def test_a_surface_without_a_triangle_is_refused() -> None:
    with pytest.raises(ValueError, match="no triangle"):
        NearestOnSurface(SurfaceMesh(np.empty((0, 3)), np.empty((0, 3)), "1"))
