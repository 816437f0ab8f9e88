import numpy as np
import pytest

from hemodynamics.verification.shapes import bend, revolved, tube
from meshing.mesh import is_watertight, volume_ml


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
