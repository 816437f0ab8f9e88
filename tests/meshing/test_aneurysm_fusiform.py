"""What widens its vessel all around, or is a blind end of one, is taken for no sac unasked."""

import numpy as np
import pytest

from meshing.aneurysm import dome, neck
from meshing.aneurysm_fusiform import require_saccular
from meshing.aneurysm_neck import NoNeck
from meshing.aneurysm_vessel import Ball, ParentVessel
from meshing.centerline import centerline
from meshing.surface import is_watertight
from tests.meshing.sacs import placed, surface, tube

BOX = ((-10, -6, -6), (10, 6, 6))
VESSEL = tube((-25, 0, 0), (25, 0, 0), 1.5)


def spindle(radius_mm, half_mm):
    """A tube about x that widens to a radius in the middle of a stretch."""

    def depth(points):
        x = np.clip(points[..., 0] / half_mm, -1, 1)
        wide = 1.5 + (radius_mm - 1.5) * (1 + np.cos(np.pi * x)) / 2
        return wide - np.linalg.norm(points[..., 1:] - [0.4, 0.0], axis=-1)

    return depth


def test_a_fusiform_place_has_no_neck_but_one_may_be_drawn():
    lumen = surface([VESSEL, spindle(3.6, 4.5)], BOX, 0.5)
    line = centerline(lumen)
    middle = tuple(placed([[0, 0.4, 0]])[0])
    for click in (None, middle):
        with pytest.raises(NoNeck, match=r"no saccular.*fusiform, 6\.\d mm wide.*all around"):
            neck(lumen, line, click_mm=click)
    turns = np.arange(8) * np.pi / 4
    ring = placed([[2 * np.cos(t), 2 * np.sin(t) + 0.4, 2.9] for t in turns])
    drawn = neck(lumen, line, points_mm=tuple(map(tuple, ring)))
    assert is_watertight(dome(lumen, drawn))


def test_a_stump_is_no_sac_unless_it_is_clicked():
    lumen = surface([VESSEL, tube((0, 0, 0), (0, 0, 2.5), 1.0)], BOX, 0.3)
    line = centerline(lumen)
    with pytest.raises(NoNeck, match=r"no saccular.*stump"):
        neck(lumen, line)
    tip = tuple(placed([[0, 0, 2.4]])[0])
    assert "sac_narrow" in [f.code for f in neck(lumen, line, click_mm=tip).findings]


@pytest.mark.parametrize(
    ("off", "radius", "ends", "said"),
    [
        (0.0, 3.0, 2, "is fusiform"),
        (0.0, 1.9, 2, "is no aneurysm"),
        (1.5, 3.0, 2, "is fusiform"),
        (2.5, 3.0, 2, ""),
        (1.5, 3.0, 3, ""),
        (0.0, 4.0, 3, "is fusiform"),
    ],
)
def test_a_ball_that_holds_the_whole_vessel_is_no_sac(off, radius, ends, said):
    x = np.linspace(-12, 12, 97)
    way = (np.stack([x, 0 * x, 0 * x], axis=1), np.full(97, 1.5))
    vessel = ParentVessel(*way, ends, 1.5, 12.0, (way, way))
    place = Ball(np.array([0.0, 0.0, off]), radius)
    if not said:
        require_saccular(vessel, place)
        return
    with pytest.raises(NoNeck, match=said):
        require_saccular(vessel, place)
    past = (way[0] + [0, 0, -4.0], way[1])
    require_saccular(ParentVessel(*way, ends, 1.5, 12.0, (way, past)), place)
