"""Necks beneath creases that voxels fill: narrower than the curve on the wall, and in the band."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial import ConvexHull
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from meshing.aneurysm import dome, neck
from meshing.aneurysm_crossing import _FILLS, ANGLES, BLUR, of_voxels, unfilled
from meshing.aneurysm_neck import from_record, neck_of, to_arrays, to_record
from meshing.aneurysm_shape import shape_of
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
    on_wall = replace(found, unfilled_mm=np.empty((0, 3)), fill=None)
    assert on_wall.width_mm > 1.07 * known
    again = from_record(to_record(found), to_arrays(found))
    assert again.width_mm == found.width_mm
    assert again.fill == found.fill == of_voxels(BLUR * 0.5)
    bare_surface = neck(lumen, line)  # where nobody knows the voxels any more, its triangles tell
    assert np.array_equal(bare_surface.points_mm, found.points_mm)
    assert bare_surface.width_mm == pytest.approx(known, rel=0.12)
    undulation = shape_of(dome(lumen, found), found, None).values["undulation_index"]
    bare = shape_of(dome(lumen, on_wall), on_wall, None).values["undulation_index"]
    exact = undulation_of(radius, height)
    assert undulation == pytest.approx(exact, abs=0.01)
    assert bare > exact + 0.018


def test_a_stretched_sac_is_carried_on_as_an_ellipsoid():
    across, along, height = 2.2, 3.6, 4.4
    label = voxels(ellipsoid((0, 0, height), (across, across, along)), 0.5)
    lumen = isosurface(label)
    angle = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    y, z = VESSEL * np.sin(angle), VESSEL * np.cos(angle)
    square = 1 - (y / across) ** 2 - ((z - height) / along) ** 2
    x, y, z = across * np.sqrt(square[square > 0]), y[square > 0], z[square > 0]
    known = width_of(np.concatenate([np.stack([x, y, z], 1), np.stack([-x, y, z], 1)[::-1]]))
    assert neck(lumen, centerline(lumen), label).width_mm == pytest.approx(known, rel=0.12)


def undulation_of(radius, height):
    """What the hull of a ball above its neck has more than the ball, closed by a fan."""
    count = 20_000
    turn, level = np.pi * (1 + 5**0.5) * np.arange(count), 1 - (2 * np.arange(count) + 1) / count
    ring = np.sqrt(1 - level**2)
    points = radius * np.stack([ring * np.cos(turn), ring * np.sin(turn), level], axis=1)
    points = points[np.hypot(points[:, 1], points[:, 2] + height) > VESSEL]
    rim = neck_points(radius, height, VESSEL) - [0, 0, height]
    cones = np.cross(rim, np.roll(rim, -1, axis=0)) @ rim.mean(axis=0)
    volume = 4 / 3 * np.pi * radius**3 * len(points) / count + np.abs(cones).sum() / 6
    return 1 - volume / ConvexHull(np.concatenate([points, rim])).volume


def test_the_edge_of_a_blurred_ball_is_drawn_in_by_its_curvature():
    radius, blur = 3.0, 0.35

    def seen(at):
        near, far = (radius - at) / blur, (radius + at) / blur
        bells = np.exp(-(near**2) / 2) - np.exp(-(far**2) / 2)
        return ndtr(near) + ndtr(far) - 1 - blur / at / np.sqrt(2 * np.pi) * bells

    edge = brentq(lambda at: seen(at) - 0.5, 2.0, 4.0)
    assert radius - edge == pytest.approx(blur**2 / radius, rel=0.05)


def test_walls_that_were_drawn_in_are_put_back():
    sphere = np.random.default_rng(4).normal(size=(6000, 3))
    sphere *= 3.0 / np.linalg.norm(sphere, axis=1, keepdims=True)
    sphere = sphere[sphere[:, 2] > -1.5]
    z, turn = np.random.default_rng(5).uniform([-6, 0], [-1.5, 2 * np.pi], (6000, 2)).T
    side = np.stack([1.5 * np.cos(turn), 1.5 * np.sin(turn), z], axis=1)
    side = side[side[:, 2] < -np.sqrt(9 - 1.5**2)]
    about = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    ring = np.stack([1.5 * np.cos(about), 1.5 * np.sin(about), 0 * about - 2.6], axis=1)
    points = np.concatenate([sphere, side])
    sac = np.arange(len(points)) < len(sphere)
    vessel = (np.column_stack([np.zeros((40, 2)), np.linspace(-9, -2, 40)]), np.full(40, 1.5))
    wall = points, np.repeat(np.arange(len(points)), 3).reshape(-1, 3)
    fills = [of_voxels(0.3, drawn_in) for drawn_in in (False, True)]
    widths = [width_of(unfilled(wall, sac, ring, vessel, fill)) for fill in fills]
    assert widths[0] == pytest.approx(3.0, abs=0.05)
    assert widths[1] - widths[0] == pytest.approx(2 * 0.5 * 0.3**2 / 1.5, rel=0.3)


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
    cells = np.repeat(np.arange(len(ring)), 3).reshape(-1, 3)
    same = unfilled((ring, cells), wall, ring, (np.zeros((1, 3)), np.ones(1)), of_voxels(0.5))
    assert np.array_equal(same, ring)
