"""Fitted shapes against the shapes that the points were drawn from."""

import numpy as np
import pytest
import trimesh

from meshing.fitting import fit_cylinder, fit_plane, fit_sphere
from meshing.surface import SurfaceMesh
from segmentation.measured import Measured
from segmentation.volume import ImageGeometry, Volume

TURN = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
CENTRE = np.array([13.0, -40.0, 71.0])
GRID = ImageGeometry((4, 4, 4), (1, 1, 1), (0, 0, 0), np.eye(3).ravel(), "1")
IMAGE = Volume(np.zeros((4, 4, 4), np.int16), GRID)


def value(made: Measured, name: str) -> float:
    return next(n.value for n in made.numbers if n.quantity == name)


def cloud(points: np.ndarray, noise: float, strangers: int, seed: int) -> tuple:
    random = np.random.default_rng(seed)
    points = points @ TURN.T + CENTRE + random.normal(scale=noise, size=points.shape)
    others = CENTRE + random.uniform(20, 60, (strangers, 3))
    return tuple(map(tuple, np.vstack([points, others])))


@pytest.mark.parametrize("strangers", [0, 120])
def test_a_plane_is_found_among_strangers(strangers: int) -> None:
    flat = np.random.default_rng(1).uniform(-30, 30, (300, 3)) * (1, 0.6, 0)
    made = fit_plane(IMAGE, points_mm=cloud(flat, 0.2, strangers, 2))
    assert abs(np.dot(made.places["normal"], TURN[:, 2])) > np.cos(np.radians(0.3))
    off = np.dot(np.subtract(made.places["point_mm"], CENTRE), TURN[:, 2])
    assert off == pytest.approx(0, abs=0.1)
    assert value(made, "rms_residual") == pytest.approx(0.2, rel=0.4)
    if strangers:
        plain = fit_plane(IMAGE, points_mm=cloud(flat, 0.2, strangers, 2), robust=False)
        assert abs(np.dot(plain.places["normal"], TURN[:, 2])) < np.cos(np.radians(5))


@pytest.mark.parametrize("strangers", [0, 150])
def test_a_sphere_is_found_from_a_third_of_it_among_strangers(strangers: int) -> None:
    ways = np.random.default_rng(1).normal(size=(1200, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    cap = 24.0 * ways[ways[:, 2] > 0.35]
    made = fit_sphere(IMAGE, points_mm=cloud(cap, 0.15, strangers, 3))
    assert value(made, "radius") == pytest.approx(24.0, abs=0.15)
    assert made.places["centre_mm"] == pytest.approx(CENTRE, abs=0.2)
    radius = next(n for n in made.numbers if n.quantity == "radius")
    assert radius.low < 24.0 < radius.high


@pytest.mark.parametrize("strangers", [0, 100])
def test_a_cylinder_is_found_from_half_of_it_among_strangers(strangers: int) -> None:
    random = np.random.default_rng(1)
    turn, along = random.uniform(0, np.pi * 1.2, 500), random.uniform(-35, 35, 500)
    shaft = np.stack([11 * np.cos(turn), 11 * np.sin(turn), along], axis=1)
    made = fit_cylinder(IMAGE, points_mm=cloud(shaft, 0.1, strangers, 5))
    assert value(made, "radius") == pytest.approx(11.0, abs=0.1)
    assert abs(np.dot(made.places["axis"], TURN[:, 2])) > np.cos(np.radians(0.5))
    away = np.subtract(made.places["point_mm"], CENTRE)
    off_axis = away - np.dot(away, TURN[:, 2]) * TURN[:, 2]
    assert np.linalg.norm(off_axis) < 0.15


def test_the_caps_of_a_closed_cylinder_do_not_count() -> None:
    body = trimesh.creation.cylinder(radius=9.0, height=70.0, sections=60).subdivide_to_size(4.0)
    mesh = SurfaceMesh(body.vertices @ TURN.T + CENTRE, body.faces, "1")
    made = fit_cylinder(mesh)
    assert value(made, "radius") == pytest.approx(9.0, abs=0.05)
    assert abs(np.dot(made.places["axis"], TURN[:, 2])) > np.cos(np.radians(0.2))
    assert value(made, "length") == pytest.approx(70.0, abs=0.5)


def test_a_fit_is_the_same_every_time() -> None:
    ways = np.random.default_rng(1).normal(size=(300, 3))
    points = cloud(10 * ways / np.linalg.norm(ways, axis=1, keepdims=True), 0.3, 60, 7)
    assert fit_sphere(IMAGE, points_mm=points).places == fit_sphere(IMAGE, points_mm=points).places


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(ValueError, match="pick points"):
        fit_plane(IMAGE)
    with pytest.raises(ValueError, match="at least 4 points"):
        fit_sphere(IMAGE, points_mm=((0, 0, 0), (1, 0, 0), (0, 1, 0)))
    flat = tuple((float(x), float(y), 0.0) for x in range(4) for y in range(4))
    with pytest.raises(ValueError, match="in one plane"):
        fit_sphere(IMAGE, points_mm=flat)
