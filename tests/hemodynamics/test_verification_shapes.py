import numpy as np
import pytest

from hemodynamics.verification.shapes import (
    bend,
    revolved,
    tube,
    with_rounded_sphere,
    with_sphere,
)
from meshing.mesh import enclosed_mm3, is_watertight, volume_ml


def cap_normal(mesh, name):
    a, b, c = (mesh.points_mm[mesh.triangles[mesh.boundaries[name], n]] for n in range(3))
    whole = np.cross(b - a, c - a).sum(axis=0)
    return whole / np.linalg.norm(whole), np.linalg.norm(whole) / 2


def test_a_tube_holds_what_the_round_one_holds():
    made = tube(2.0, 10.0, 1.0, axis=(1, 2, 2))
    assert is_watertight(made)
    assert volume_ml(made) == pytest.approx(np.pi * 40e-3, rel=1e-9)
    normal, area = cap_normal(made, "outlet_1")
    assert np.allclose(normal, np.array([1, 2, 2]) / 3)
    assert np.allclose(cap_normal(made, "inlet")[0], -normal)
    assert area == pytest.approx(4 * np.pi)
    assert sum(len(part) for part in made.boundaries.values()) == len(made.triangles)


def test_a_step_in_the_outline_is_a_ring_across():
    made = revolved([(0, 2), (5, 2), (5, 6), (8, 6)], 1.0)
    assert is_watertight(made)
    assert volume_ml(made) == pytest.approx(np.pi * (20 + 108) * 1e-3, rel=1e-9)


def test_a_bend_turns_its_outlet():
    made = bend(2.0, 20.0, np.pi / 2, 6.0, 1.0)
    assert is_watertight(made)
    assert volume_ml(made) == pytest.approx(4 * np.pi * (12 + 10 * np.pi) * 1e-3, rel=2e-3)
    assert np.allclose(cap_normal(made, "inlet")[0], [0, 0, -1])
    assert np.allclose(cap_normal(made, "outlet_1")[0], [1, 0, 0])


def test_a_ball_rolls_around_a_rounded_neck():
    lumen = with_rounded_sphere(2.0, 10.0, 2.0, 3.0, 0.3, 0.2)
    points = lumen.points_mm
    assert is_watertight(lumen)
    to_tube = np.hypot(*points.T[:2]) - 2.0
    to_sphere = np.linalg.norm(points - [0.0, 3.0, 0.0], axis=1) - 2.0
    off = np.where(np.abs(points[:, 2]) < 4.99, np.minimum(to_tube, to_sphere), 0.0)
    arc = off > 0.02
    assert np.count_nonzero(arc) > 50
    assert off.min() > -0.01
    # In the plane of symmetry the ball's middle lies 2.3 mm from both axis and sphere's middle.
    middle = np.array([0.0, 2.3, np.sqrt(2.3**2 - 0.7**2)])
    flat = arc & (np.abs(points[:, 0]) < 0.1)
    folded = np.abs(points[flat]) * [0.0, 1.0, 1.0]
    assert len(folded) >= 4
    assert np.allclose(np.linalg.norm(folded - middle, axis=1), 0.3, atol=0.01)
    sharp = with_sphere(2.0, 10.0, 2.0, 3.0, 0.2, sections=128)
    assert 0.1 < enclosed_mm3(lumen) - enclosed_mm3(sharp) < 0.5
