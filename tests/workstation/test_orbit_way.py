"""The way in of a plate past an overhang that was drawn."""

import numpy as np
import pytest

from segmentation.volume import Floats, ImageGeometry, LabelMap
from workstation.planning.orbit_way import Bone, bone_around, free_way, stopped

FORWARD = np.array([0.0, -1.0, 0.0])


@pytest.fixture(scope="module")
def bone() -> Bone:
    """A lip of bone in front of y = -10, from z = -20 up to -4; asymmetric in x."""
    grid = ImageGeometry((60, 40, 40), (1.0, 1.0, 1.0), (-20.0, -30.0, -20.0),
                         tuple(np.eye(3).ravel()), "1")  # fmt: skip
    mask = np.zeros(grid.shape, np.uint8)
    mask[:16, 18:20, :] = 1  # z -20 to -5, y -12 and -11
    return bone_around(LabelMap(mask, grid), np.zeros(3))


def plate(height_mm: float) -> Floats:
    x, y = np.meshgrid(np.arange(-3.0, 4.0), np.arange(-8.0, 3.0))
    return np.column_stack([x.ravel(), y.ravel(), np.full(x.size, float(height_mm))])


def test_only_what_lies_behind_the_lip_is_stopped(bone: Bone) -> None:
    np.testing.assert_allclose(bone.points_mm.min(axis=0), (-20, -12, -20))
    np.testing.assert_allclose(bone.points_mm.max(axis=0), (39, -11, -5))
    assert stopped(plate(-8), FORWARD, bone).all()
    assert not stopped(plate(-3), FORWARD, bone).any()
    both = np.concatenate([plate(-8), plate(-3)])
    assert stopped(both, FORWARD, bone).mean() == 0.5


def test_the_way_leads_over_the_lip(bone: Bone) -> None:
    points = plate(-6)
    way = free_way(points, np.ones(len(points)), bone, FORWARD)
    assert not stopped(points, way, bone).any()
    assert way[2] > 0.1
    free = free_way(plate(5), np.ones(len(points)), bone, FORWARD)
    np.testing.assert_allclose(free, FORWARD)
