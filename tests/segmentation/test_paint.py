"""Brushes that follow the image and masks that limit them; each also as a stage."""

import numpy as np
import pytest

from segmentation.brush import brush_stroke
from segmentation.paint import (
    PaintMask,
    cut_with_scissors,
    difference,
    fill_slices,
    masked,
    paint,
    stroke,
)
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

GRID = ImageGeometry((40, 32, 20), (1, 1, 2), (0, 0, 0), tuple(np.eye(3).ravel()), "1")
Z, Y, X = np.indices(GRID.shape)
RNG = np.random.default_rng(0)
EDGE = Volume((100 * (X >= 20) + RNG.normal(0, 8, GRID.shape)).astype(np.int16), GRID)
EMPTY = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, {1: Label("organ")})
MIDDLE = (17.0, 14.0, 18.0)


def painted(**options: object) -> np.ndarray:
    patch = stroke(EMPTY, MIDDLE, radius_mm=8.0, value=1, **options)
    return EMPTY.array if patch is None else patch.applied(EMPTY.array)


def test_a_plain_stroke_is_that_of_the_brush() -> None:
    plain = brush_stroke(EMPTY, MIDDLE, radius_mm=8.0, value=1)
    assert np.array_equal(painted(), plain.applied(EMPTY.array))


def test_a_brush_that_follows_edges_stops_at_them() -> None:
    whole, followed = painted() > 0, painted(edges_of=EDGE) > 0
    wanted = whole & (X < 20)
    assert (followed & (X >= 20)).sum() <= 0.01 * wanted.sum()
    assert (followed & wanted).sum() >= 0.97 * wanted.sum()


def test_without_an_edge_it_paints_all() -> None:
    flat = Volume(RNG.normal(0, 8, GRID.shape).astype(np.int16), GRID)
    assert np.array_equal(painted(edges_of=flat), painted())


def test_it_goes_on_over_what_is_painted_already() -> None:
    """A second stroke at the same place changes nothing and leaks nowhere."""
    once = LabelMap(painted(edges_of=EDGE), GRID, EMPTY.labels)
    assert stroke(once, MIDDLE, radius_mm=8.0, value=1, edges_of=EDGE) is None


def test_a_mask_limits_by_intensity_and_by_a_label() -> None:
    bright = painted(mask=PaintMask(EDGE, lower=50.0)) > 0
    assert bright.any()
    assert (EDGE.array[bright] >= 50).all()
    other = LabelMap((Y < 14).astype(np.uint8), GRID)
    inside = painted(mask=PaintMask(label=other)) > 0
    outside = painted(mask=PaintMask(label=other, where="outside")) > 0
    assert np.array_equal(inside, (painted() > 0) & (Y < 14))
    assert np.array_equal(inside | outside, painted() > 0)


def test_any_patch_can_be_masked() -> None:
    patch = brush_stroke(EMPTY, MIDDLE, radius_mm=8.0, value=1)
    other = LabelMap((Y < 14).astype(np.uint8), GRID)
    part = masked(patch, PaintMask(label=other))
    assert np.array_equal(part.applied(EMPTY.array) > 0, (painted() > 0) & (Y < 14))
    assert masked(patch, PaintMask(label=EMPTY)) is None
    assert masked(None, PaintMask()) is None


def test_the_stages_do_what_the_gestures_do() -> None:
    by_stage = paint(EMPTY, EDGE, points_mm=(MIDDLE,), radius_mm=8.0, follow="edges")
    assert np.array_equal(by_stage.array, painted(edges_of=EDGE))
    ranged = paint(EMPTY, EDGE, points_mm=(MIDDLE,), radius_mm=8.0, lower_hu=50.0)
    assert np.array_equal(ranged.array, painted(mask=PaintMask(EDGE, lower=50.0)))
    erased = paint(by_stage, points_mm=(MIDDLE,), radius_mm=20.0, erase=True)
    assert not erased.array.any()
    with pytest.raises(ValueError, match="choose it as the volume"):
        paint(EMPTY, points_mm=(MIDDLE,), follow="edges")
    corners = ((0.0, 0.0, 0.0), (17.5, 0.0, 0.0), (17.5, 40.0, 0.0), (0.0, 40.0, 0.0))
    cut = cut_with_scissors(ranged, polygon_mm=corners, direction=(0.0, 0.0, 1.0))
    assert np.array_equal(cut.array, np.where(X > 17, ranged.array, 0))
    drawn = LabelMap(np.where((Z == 6) | (Z == 12), painted() > 0, 0).astype(np.uint8), GRID)
    filled = fill_slices(drawn)
    assert filled.array[7:12].any(axis=(1, 2)).all()


def test_the_difference_of_two_labels_is_a_patch() -> None:
    after = LabelMap(painted(), GRID, EMPTY.labels)
    patch = difference(EMPTY, after)
    assert np.array_equal(patch.applied(EMPTY.array), after.array)
    assert difference(after, after) is None
