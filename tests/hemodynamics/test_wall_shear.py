import numpy as np
import pytest

from hemodynamics.wall_shear import wall_shear
from tests.hemodynamics.tubes import periodic_tube

RADIUS, PAIRS = 6.0, ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


@pytest.fixture(scope="module")
def tube():
    """Return cells, their distance and direction from the axis, wall points, normals, axis."""
    cells, _, _, axis, away = periodic_tube(RADIUS)
    period, turns = np.array((4, 2, 1)), range(-3, 4)
    cells = np.concatenate([cells + n * period for n in turns]).astype(float)
    away = np.concatenate([away for _ in turns])
    centre = cells[0] - away[0]
    centre = centre - (centre @ axis) * axis
    first = np.cross(axis, [1.0, 0, 0])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    angle, along = (a.ravel() for a in np.meshgrid(np.arange(80) * np.pi / 40, np.arange(-8, 9)))
    normals = np.outer(np.cos(angle), first) + np.outer(np.sin(angle), second)
    points = centre + RADIUS * normals + np.outer(along, axis)
    return cells, away, points, normals, axis, np.abs(along) < 4


def stress_of(size, away, axis):
    """Return (6, cells) of a shear of that size along the axis."""
    outward = away / np.linalg.norm(away, axis=1)[:, None]
    both = outward[:, :, None] * axis + axis[:, None] * outward[:, None, :]
    stress = -size[:, None, None] * both
    return np.stack([stress[:, a, b] for a, b in PAIRS])


@pytest.mark.parametrize("pulsatile", [False, True])
def test_shear_that_grows_with_the_radius_is_exact_and_points_along_the_flow(tube, pulsatile):
    cells, away, points, normals, axis, middle = tube
    fit = wall_shear(cells, 1.0, points, normals, pulsatile)
    stress = stress_of(np.linalg.norm(away, axis=1) / RADIUS, away, axis)
    assert np.allclose(fit(stress)[middle], axis, atol=2e-3)
    assert np.allclose(fit.matrix.sum(axis=1), 1.0)


def test_a_curved_profile_needs_the_quadratic_fit(tube):
    cells, away, points, normals, axis, middle = tube
    share = np.linalg.norm(away, axis=1) / RADIUS
    stress = stress_of(share**3, away, axis)
    errors = [
        np.abs(wall_shear(cells, 1.0, points, normals, p)(stress)[middle] @ axis - 1).max()
        for p in (False, True)
    ]
    assert errors[1] < 0.04 < errors[0]


def test_uniform_pressure_shears_nothing(tube):
    cells, _, points, normals, _, _ = tube
    stress = np.zeros((6, len(cells)))
    stress[:3] = 7.0
    assert np.allclose(wall_shear(cells, 1.0, points, normals, False)(stress), 0, atol=1e-9)


def test_a_point_far_from_all_cells_takes_the_nearest():
    cells = np.array([[x, y, 0.0] for x in range(3) for y in range(3)])
    points = np.array([[1.0, 1.0, 1.0], [30.0, 1.0, 1.0]])
    fit = wall_shear(cells, 1.0, points, np.tile([0.0, 0, 1], (2, 1)), False)
    stress = np.zeros((6, 9))
    stress[4] = -1.0
    assert fit(stress)[1] == pytest.approx([1, 0, 0], abs=1e-6)
