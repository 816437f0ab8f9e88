"""Self-intersections are found exactly: the judge here clips triangles in rational numbers."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.intersections import intersecting_pairs, self_intersections
from meshing.predicates import _exact_side, side_of_line, side_of_plane
from meshing.surface import SurfaceMesh

Point = tuple[Fraction, Fraction, Fraction]


def _cross(a: Point, b: Point) -> Point:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _less(a: Point, b: Point) -> Point:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _dot(a: Point, b: Point) -> Fraction:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _clip(polygon: list[Point], origin: Point, normal: Point) -> list[Point]:
    """Return the part of a polygon on the normal's side of a plane, its border included."""
    kept: list[Point] = []
    for n, here in enumerate(polygon):
        there = polygon[(n + 1) % len(polygon)]
        a, b = _dot(_less(here, origin), normal), _dot(_less(there, origin), normal)
        if a >= 0:
            kept.append(here)
        if a * b < 0:
            share = a / (a - b)
            kept.append(tuple(x + share * (y - x) for x, y in zip(here, there)))
    return kept


def _meet(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two triangles (3, 3) have a point in common."""
    a, b = ([tuple(Fraction(float(x)) for x in p) for p in t] for t in (one, other))
    normal = _cross(_less(b[1], b[0]), _less(b[2], b[0]))
    part = _clip(a, b[0], normal)
    part = _clip(part, b[0], tuple(-x for x in normal))
    for n in range(3):
        part = _clip(part, b[n], _cross(normal, _less(b[(n + 1) % 3], b[n])))
    return bool(part)


def _soup(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 5, 0]))
def test_every_pair_is_found_and_no_other(seed: int, steps: int) -> None:
    """On a coarse lattice most contacts are touches, overlaps in a plane and points on edges."""
    random = np.random.default_rng(seed)
    corners = random.random((9, 3, 3)) * 4
    if steps:
        corners = np.round(corners * steps / 4) / 3  # thirds round, so the filter is passed
    flat = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    corners = corners[flat > 1e-6]
    expected = [
        (n, m) for n, m in combinations(range(len(corners)), 2) if _meet(corners[n], corners[m])
    ]
    assert intersecting_pairs(*_soup(corners)).tolist() == [list(pair) for pair in expected]


@given(st.integers(0, 2**32 - 1))
def test_sides_are_exact_where_rounding_is_not(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b, c = random.normal(size=(3, 3)) * 100
    s, t = random.random(2)
    d = a + s * (b - a) + t * (c - a)  # in the plane but for rounding
    rows = [[Fraction(float(x)) - Fraction(float(y)) for x, y in zip(p, d)] for p in (a, b, c)]
    value = _dot(tuple(rows[0]), _cross(tuple(rows[1]), tuple(rows[2])))
    assert side_of_plane(a, b, c, d) == _exact_side(a, b, c, d) == (value > 0) - (value < 0)
    e = a + s * (b - a)
    x, y = ([Fraction(float(p[n])) - Fraction(float(e[n])) for p in (a, b)] for n in (0, 1))
    line = x[0] * y[1] - y[0] * x[1]
    assert side_of_line(a, b, e, 0, 1) == (line > 0) - (line < 0)


def test_neighbours_count_only_where_they_fold() -> None:
    points = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0], [0.5, 0.5, 0], [1, 1, 1.0]])
    beside = np.array([[0, 1, 2], [1, 3, 2]])
    assert len(intersecting_pairs(points, beside)) == 0
    folded = np.array([[0, 1, 2], [0, 1, 4]])
    assert intersecting_pairs(points, folded).tolist() == [[0, 1]]
    twice = np.array([[0, 1, 2], [1, 2, 0]])
    assert intersecting_pairs(points, twice).tolist() == [[0, 1]]
    at_a_point = np.array([[0, 1, 2], [3, 5, 1]])
    assert len(intersecting_pairs(points, at_a_point)) == 0
    through = np.array([[0, 1, 2], [0, 4, 5]])  # its edge runs inside the other
    assert intersecting_pairs(points, through).tolist() == [[0, 1]]
    flat = np.array([[0, 1, 2], [0, 3, 4]])  # three points on a line: no triangle
    assert len(intersecting_pairs(points, flat)) == 0


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.9])
def test_two_spheres_that_overlap_are_found(shift: float) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=3)
    both = np.vstack([sphere.vertices, np.add(sphere.vertices, (2.02 - shift, 0.01, 0.02))])
    cells = np.vstack([sphere.faces, sphere.faces + len(sphere.vertices)])
    mesh = SurfaceMesh(both, cells, "1.2.3")
    pairs = self_intersections(mesh)
    assert bool(len(pairs)) == (shift > 0)
    assert np.all((pairs < len(sphere.faces)).sum(axis=1) == 1)
    assert pairs.tolist() == sorted(pairs.tolist())


def test_the_work_can_be_stopped() -> None:
    class Stop(Exception):
        pass

    def progress(fraction: float, message: str = "") -> None:
        raise Stop

    mesh = SurfaceMesh(np.eye(3), [[0, 1, 2]], "1.2.3")
    with pytest.raises(Stop):
        self_intersections(mesh, progress=progress)
