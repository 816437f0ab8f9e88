import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workstation.dicom.geometry import (
    CORNER_TOLERANCE_MM,
    Planes,
    StackProblem,
    equidistant_blocks,
    stack_geometry,
)

angles = st.floats(-3.1, 3.1)
lengths = st.floats(0.2, 6.0)


def turned(a, b, c):
    """A right-handed frame from three angles; columns are its axes."""
    rotation = np.eye(3)
    for axis, angle in enumerate((a, b, c)):
        i, j = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    return rotation


def planes(positions, axes, pixel=(0.7, 1.1), rows=40, columns=30, thickness=None):
    n = len(positions)
    orientation = np.concatenate([axes[:, 0], axes[:, 1]])
    return Planes(
        np.asarray(positions, float),
        np.tile(orientation, (n, 1)),
        np.tile(pixel, (n, 1)).astype(float),
        rows,
        columns,
        thickness,
    )


@given(angles, angles, angles, lengths, st.integers(2, 9), st.randoms())
def test_every_orientation_gives_back_its_own_corners(a, b, c, step, count, random):
    axes = turned(a, b, c)
    order = list(range(count))
    random.shuffle(order)
    positions = np.array([[1.0, -2.0, 3.0] + k * step * axes[:, 2] for k in order])
    stack = stack_geometry(planes(positions, axes), "1.2")
    np.testing.assert_allclose(stack.geometry.axes, axes, atol=1e-6)
    np.testing.assert_allclose(stack.geometry.spacing_mm, (1.1, 0.7, step), atol=1e-6)
    assert [order[n] for n in stack.order] == sorted(order)
    assert not stack.tilted


@given(angles, angles, st.floats(-30, 30), st.floats(-30, 30))
def test_sheared_stacks_keep_every_corner(a, b, across, along):
    axes = turned(a, b, 0.3)
    shear = np.tan(np.radians([across, along]))
    assume(2 * np.linalg.norm(shear) < 0.95)
    step = 2.0 * (axes[:, 2] + shear[0] * axes[:, 0] + shear[1] * axes[:, 1])
    positions = [k * step for k in range(7)]
    own = planes(positions, axes)
    stack = stack_geometry(own, "1.2")
    first = np.concatenate([stack.offsets, np.arange(7)[:, None]], axis=1)
    np.testing.assert_allclose(stack.geometry.to_world(first), positions, atol=CORNER_TOLERANCE_MM)
    extent = stack.offsets.max(axis=0) + np.array([30, 40])
    assert np.all(extent <= np.array(stack.geometry.size[:2]) + 1e-5)
    if np.linalg.norm(shear) > 0.01:
        assert stack.tilt_degrees == pytest.approx(
            np.degrees(np.arctan(np.linalg.norm(shear))), abs=1e-3
        )


@given(st.integers(0, 5), st.integers(0, 2), st.floats(0.2, 5.0))
def test_any_slice_moved_out_of_place_is_refused(which, axis, millimetres):
    positions = np.array([[0, 0, 3.0 * k] for k in range(6)])
    positions[which, axis] += millimetres
    assume(axis < 2 or abs(millimetres - 3) > 0.1)
    with pytest.raises(StackProblem):
        stack_geometry(planes(positions, np.eye(3)), "1.2")


def test_one_slice_needs_a_thickness():
    with pytest.raises(StackProblem, match="thickness"):
        stack_geometry(planes([[0, 0, 0]], np.eye(3)), "1.2")
    stack = stack_geometry(planes([[0, 0, 0]], np.eye(3), thickness=4.0), "1.2")
    assert stack.geometry.spacing_mm[2] == 4


def test_directions_that_are_no_right_angle_are_refused():
    skewed = np.eye(3)
    skewed[:, 1] = (0.1, 0.995, 0)
    with pytest.raises(StackProblem, match="orthonormal"):
        stack_geometry(planes([[0, 0, k] for k in range(3)], skewed), "1.2")


def test_one_turned_slice_fails_the_corner_check():
    own = planes([[0, 0, 2.0 * k] for k in range(5)], np.eye(3), rows=400, columns=300)
    own.orientations[2, :3] = (np.cos(8e-4), np.sin(8e-4), 0)
    own.orientations[2, 3:] = (-np.sin(8e-4), np.cos(8e-4), 0)
    with pytest.raises(StackProblem) as caught:
        stack_geometry(own, "1.2")
    assert caught.value.code == "corners"


@pytest.mark.parametrize(
    ("heights", "blocks"),
    [
        ([0, 4, 8, 15, 22, 29], [3, 3]),
        ([0, 1, 2, 3], [4]),
        ([0, 1, 2, 9, 10], None),
    ],
)
def test_blocks_of_even_spacing(heights, blocks):
    found = equidistant_blocks(planes([[0, 0, z] for z in heights], np.eye(3)))
    assert (found and [len(b) for b in found]) == blocks
