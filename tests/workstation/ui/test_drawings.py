"""What of a measurement lies in a slice, and what a hand can take hold of."""

import numpy as np
import pytest

from segmentation.measured import Measured
from segmentation.volume import ImageGeometry
from workstation.slices import Placement, parts_in_slice, slice_plane
from workstation.ui.drawings import handles_in_slice, point_at, shape_in_slice

GRID = ImageGeometry((60, 50, 40), (1.0, 1.0, 2.5), (-30, -25, -50), np.eye(3).ravel(), "1")
PLACEMENT = Placement(slice_plane(GRID, "axial", 20), 600, 500)  # z = 0


def test_only_the_part_within_half_a_slice_is_solid() -> None:
    line = PLACEMENT.to_widget(np.array([[0.0, 0, -12.5], [10, 0, 0], [20, 0, 0], [20, 0, 25]]))
    parts = parts_in_slice(line)
    x = (parts[..., 0] - PLACEMENT.to_widget((0.0, 0, 0))[0]) / PLACEMENT.scale
    assert x[0] == pytest.approx((9.0, 10.0)), "a tenth of the way lies within half a slice"
    assert x[1] == pytest.approx((10.0, 20.0))
    assert x[2] == pytest.approx((20.0, 20.0)), "a line across the slice is a dot"
    assert len(parts_in_slice(PLACEMENT.to_widget(np.array([[0.0, 0, 5], [9, 0, 5]])))) == 0


def test_points_in_other_slices_cannot_be_grabbed() -> None:
    points = np.array([[0.0, 0, 0], [5, 0, 0], [5, 0, 10]])
    places = handles_in_slice(PLACEMENT, points)
    x, y, _ = PLACEMENT.to_widget(points[1])
    assert point_at(places, x + 3, y - 3) == 1
    assert point_at(places, x + 30, y) is None
    assert point_at(handles_in_slice(PLACEMENT, points[2:]), x, y) is None
    assert point_at(np.empty((0, 2)), x, y) is None


def test_fitted_shapes_are_cut_by_the_slice() -> None:
    turn = np.linspace(0, 2 * np.pi, 73)[:, None]
    ring = 10 * (np.cos(turn) * (1, 0, 0) + np.sin(turn) * (0, 0, 1)) + (0, 0, 6.0)
    sphere = Measured("1", (ring,), np.empty((0, 3)), "", (0, 0, 6), {"centre_mm": (0, 0, 6.0)})
    circle = shape_in_slice(PLACEMENT, sphere)
    middle = PLACEMENT.to_widget((0.0, 0.0, 0.0))[:2]
    away = np.linalg.norm(circle - middle, axis=1) / PLACEMENT.scale
    assert away == pytest.approx(8.0)
    loop = np.array([[-9.0, 3, -9], [9, 3, -9], [9, 3, 9], [-9, 3, 9], [-9, 3, -9]])
    places = {"point_mm": (0, 3, 0), "normal": (0, 1, 0)}
    plane = Measured("1", (loop,), np.empty((0, 3)), "", (0, 0, 0), places)
    ends = shape_in_slice(PLACEMENT, plane)
    assert np.linalg.norm(ends[0] - ends[1]) / PLACEMENT.scale == pytest.approx(18.0)
    rims = [5 * (np.cos(turn) * (1, 0, 0) + np.sin(turn) * (0, 1, 0)) + (0, 0, z) for z in (-8, 9)]
    tube = Measured("1", (loop[:2], *rims), np.empty((0, 3)), "", (0, 0, 0), {"axis": (0, 0, 1)})
    rim = shape_in_slice(PLACEMENT, tube)
    assert np.linalg.norm(rim - middle, axis=1) / PLACEMENT.scale == pytest.approx(5.0)
    assert shape_in_slice(PLACEMENT, Measured("1", (loop,), loop, "", (0, 0, 0))) is None
