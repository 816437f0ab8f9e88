"""Necks beneath creases that voxels fill: narrower than the curve on the wall, and in the band."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from meshing.aneurysm import neck
from meshing.aneurysm_crossing import _FILLS, ANGLES, unfilled
from meshing.aneurysm_neck import from_record, neck_of, to_arrays, to_record
from meshing.centerline import centerline
from meshing.isosurface import isosurface
from segmentation.volume import ImageGeometry, Label, LabelMap
from tests.meshing.sacs import ball, ellipsoid, neck_points, tube

VESSEL = 1.6
TURN = np.linalg.qr(np.array([[5.0, 0.6, 0.3], [-0.5, 5.0, 0.9], [0.4, -0.8, 5.0]]))[0]


def voxels(sac, edge_mm):
    """A tube with a sac, turned against its grid."""
    low, high = np.array([-11.3, -7.0, -6.0]), np.array([11.0, 7.0, 11.0])
    count = np.ceil((high - low) / edge_mm).astype(int)
    k, j, i = np.indices(tuple(count[::-1]))
    points = (low + edge_mm * np.stack([i, j, k], axis=-1)) @ TURN
    vessel = tube((-25, 0, 0), (25, 0, 0), VESSEL)(points)
    inside = (np.maximum(vessel, sac(points)) > 0) & (np.abs(points[..., 0]) < 9.5)
    nx, ny, nz = (int(n) for n in count)
    x, y, z = (float(v) for v in low)
    axes = tuple(np.eye(3).ravel())
    geometry = ImageGeometry((nx, ny, nz), (edge_mm,) * 3, (x, y, z), axes, "1.2.3")
    return LabelMap(inside.astype(np.uint8), geometry, {1: Label("artery")})


def width_of(curve):
    none = (np.zeros((1, 3)), np.ones(1))
    return neck_of(curve, curve[0], curve.mean(axis=0), "", none, "known").width_mm


@pytest.mark.parametrize(("radius", "height"), [(3.0, 4.0), (2.0, 3.0), (3.0, 2.8)])
def test_the_width_of_a_neck_of_voxels_is_that_of_the_shapes(radius, height):
    label = voxels(ball((0, 0, height), radius), 0.5)
    lumen = isosurface(label)
    line = centerline(lumen)
    known = width_of(neck_points(radius, height, VESSEL))
    found = neck(lumen, line, label)
    assert found.width_mm == pytest.approx(known, rel=0.1)
    number = next(n for n in found.numbers if n.quantity == "width")
    assert number.low < known < number.high
    on_wall = neck(lumen, line)
    assert np.array_equal(on_wall.points_mm, found.points_mm)
    assert on_wall.width_mm > 1.07 * known
    again = from_record(to_record(found), to_arrays(found))
    assert again.width_mm == found.width_mm


def test_a_crease_is_filled_until_half_of_the_blur_lies_in_it():
    for n in (3, 9, 13):
        depth = _FILLS[n] * np.cos(ANGLES[n] / 2)
        cosine = np.cos(ANGLES[n])
        share = multivariate_normal(np.zeros(2), [[1, cosine], [cosine, 1]]).cdf([depth, depth])
        assert share == pytest.approx(0.5, abs=0.003)


def test_walls_too_short_to_be_carried_on_leave_the_curve_where_it_is():
    turn = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    wall = ellipsoid((0, 0, 0), (1, 1, 1))(ring) >= 0
    same = unfilled(ring, wall, ring, (np.zeros((1, 3)), np.ones(1)), 0.5)
    assert np.array_equal(same, ring)
