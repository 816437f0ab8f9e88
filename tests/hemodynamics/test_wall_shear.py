from types import SimpleNamespace

import numpy as np
import pytest

from hemodynamics.wall_shear import CALM, DELAY, undelayed, wall_shear
from meshing.mesh import SurfaceMesh
from tests.hemodynamics.tubes import periodic_tube

RADIUS, PAIRS = 6.0, ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
HALF, AROUND = 12.0, 80


def domain_of(cells, openings=()):
    return SimpleNamespace(cells_mm=cells, spacing_mm=1.0, openings=openings)


def wall_of(points):
    """Return the surface through rings of points."""
    here = np.arange(len(points) - AROUND)
    beside = here // AROUND * AROUND + (here + 1) % AROUND
    one = np.stack([here, beside, beside + AROUND], axis=1)
    two = np.stack([here, beside + AROUND, here + AROUND], axis=1)
    return SurfaceMesh(points, np.concatenate([one, two]), "1.2")


@pytest.fixture(scope="module")
def tube():
    """Return cells, their arms from the axis, the wall, its normals, the axis and places on it."""
    cells, _, _, axis, away = periodic_tube(RADIUS)
    period, turns = np.array((4, 2, 1)), range(-3, 4)
    cells = np.concatenate([cells + n * period for n in turns]).astype(float)
    away = np.concatenate([away for _ in turns])
    centre = cells[0] - away[0]
    centre = centre - (centre @ axis) * axis
    first = np.cross(axis, [1.0, 0, 0])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    steps = np.arange(-HALF, HALF + 1)
    angle, along = (a.ravel() for a in np.meshgrid(np.arange(AROUND) * 2 * np.pi / AROUND, steps))
    normals = np.outer(np.cos(angle), first) + np.outer(np.sin(angle), second)
    points = centre + RADIUS * normals + np.outer(along, axis)
    kept = np.abs(cells @ axis) < HALF
    return cells[kept], away[kept], wall_of(points), normals, axis, along, centre


def stress_of(size, away, axis):
    """Return (6, cells) of a shear of that size along the axis."""
    outward = away / np.linalg.norm(away, axis=1)[:, None]
    both = outward[:, :, None] * axis + axis[:, None] * outward[:, None, :]
    stress = -size[:, None, None] * both
    return np.stack([stress[:, a, b] for a, b in PAIRS])


def test_shear_that_grows_with_the_radius_is_exact_and_points_along_the_flow(tube):
    cells, away, wall, normals, axis, along, _ = tube
    fit = wall_shear(domain_of(cells), wall, normals)
    stress = stress_of(np.linalg.norm(away, axis=1) / RADIUS, away, axis)
    assert np.allclose(fit(stress)[np.abs(along) < 8], axis, atol=2e-3)
    assert np.allclose(fit.matrix.sum(axis=1), 1.0)


def test_a_layer_that_fades_as_a_parabola_is_exact(tube):
    cells, away, wall, normals, axis, along, _ = tube
    depth = RADIUS - np.linalg.norm(away, axis=1)
    stress = stress_of(1 - 0.4 * depth + 0.05 * depth**2, away, axis)
    found = wall_shear(domain_of(cells), wall, normals)(stress)
    assert np.allclose(found[np.abs(along) < 8], axis, atol=5e-3)


def ends_of(axis, centre):
    return [
        SimpleNamespace(
            centre_mm=centre + side * HALF * axis, normal=side * axis, diameter_mm=2 * RADIUS
        )
        for side in (-1, 1)
    ]


def test_stress_that_is_spoilt_beside_the_flat_ends_does_not_count(tube):
    cells, away, wall, normals, axis, along, centre = tube
    stress = stress_of(np.linalg.norm(away, axis=1) / RADIUS, away, axis)
    stress[:, np.abs((cells - centre) @ axis) > HALF - 2.5] *= 3.0
    fit = wall_shear(domain_of(cells, ends_of(axis, centre)), wall, normals)
    assert np.allclose(fit(stress), axis, atol=2e-3)
    bare = wall_shear(domain_of(cells), wall, normals)(stress)
    assert np.abs(bare @ axis - 1)[np.abs(along) > HALF - 1].min() > 0.5


def test_shear_beside_an_end_is_that_found_farther_inside(tube):
    cells, away, wall, normals, axis, along, centre = tube
    rises = 1.0 + 0.05 * ((cells - centre) @ axis)
    stress = stress_of(rises * np.linalg.norm(away, axis=1) / RADIUS, away, axis)
    shear = wall_shear(domain_of(cells, ends_of(axis, centre)), wall, normals)(stress) @ axis
    taken = np.clip(along, -HALF + CALM, HALF - CALM)
    assert np.allclose(shear, 1.0 + 0.05 * taken, atol=0.01)


def test_a_vessel_that_passes_in_front_of_an_end_keeps_its_shear(tube):
    cells, away, wall, normals, axis, along, centre = tube
    stress = stress_of(np.linalg.norm(away, axis=1) / RADIUS, away, axis)
    facing = SimpleNamespace(centre_mm=centre - 3 * axis, normal=axis, diameter_mm=2 * RADIUS)
    stress[:, (cells - centre) @ axis < 0] = np.nan
    fit = wall_shear(domain_of(cells, [facing]), wall, normals)
    ahead = (along > 3) & (along < 8)
    assert np.allclose(fit(stress)[ahead], axis, atol=2e-3)
    assert np.allclose(fit.matrix.sum(axis=1), 1.0)


def test_a_lumen_as_short_as_its_ends_are_stirred_still_has_shear(tube):
    cells, away, wall, normals, axis, along, centre = tube
    short = np.abs((cells - centre) @ axis) < 2
    ends = [
        SimpleNamespace(centre_mm=centre + side * 2 * axis, normal=side * axis, diameter_mm=12.0)
        for side in (-1, 1)
    ]
    on = np.abs(along) <= 2
    wall = wall_of(wall.points_mm[on])
    fit = wall_shear(domain_of(cells[short], ends), wall, normals[on])
    stress = stress_of(np.linalg.norm(away[short], axis=1) / RADIUS, away[short], axis)
    assert np.abs(fit(stress) @ axis - 1).max() < 0.35


def test_many_points_are_fitted_as_one(tube, monkeypatch):
    cells, away, wall, normals, axis, _, _ = tube
    stress = stress_of(np.linalg.norm(away, axis=1) / RADIUS, away, axis)
    whole = wall_shear(domain_of(cells), wall, normals)(stress)
    monkeypatch.setattr("hemodynamics.wall_shear.BATCH", 100)
    assert np.allclose(wall_shear(domain_of(cells), wall, normals)(stress), whole, rtol=1e-12)


def test_uniform_pressure_shears_nothing(tube):
    cells, _, wall, normals, _, _, _ = tube
    stress = np.zeros((6, len(cells)))
    stress[:3] = 7.0
    assert np.allclose(wall_shear(domain_of(cells), wall, normals)(stress), 0, atol=1e-9)


def test_a_point_far_from_all_cells_takes_the_nearest():
    cells = np.array([[x, y, 0.0] for x in range(3) for y in range(3)])
    points = np.array([[1.0, 1.0, 1.0], [30.0, 1.0, 1.0], [1.0, 30.0, 1.0]])
    wall = SurfaceMesh(points, np.array([[0, 1, 2]]), "1.2")
    fit = wall_shear(domain_of(cells), wall, np.tile([0.0, 0, 1], (3, 1)))
    stress = np.zeros((6, 9))
    stress[4] = -1.0
    assert fit(stress)[1] == pytest.approx([1, 0, 0], abs=1e-6)


@pytest.mark.parametrize("frames", [16, 21])
def test_shear_that_came_late_is_put_where_it_belongs(frames):
    spacing, nu, period = 0.3, 3.3, 0.7
    late = DELAY * spacing**2 / nu
    times = period * np.arange(frames) / frames

    def shear(times):
        wave = 2 + np.cos(2 * np.pi * times / period) + 0.3 * np.sin(6 * np.pi * times / period)
        return np.stack([wave, 0 * wave, -wave], axis=1)[:, None].astype(np.float32)

    early = undelayed(shear(times - late), period, spacing, nu)
    assert early.dtype == np.float32
    assert np.allclose(early, shear(times), atol=1e-5)
    assert np.abs(shear(times - late) - shear(times)).max() > 0.02
