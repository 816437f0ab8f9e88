"""The piece of vessels about a narrowing, on a bent tube beside another one."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.centerline import centerline
from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.narrowed_piece import NoNarrowing, around_narrowing

LENGTH, NARROW = 60.0, 22.0


def radius(z):
    return 2.5 - 1.2 * np.exp(-(((z - NARROW) / 3) ** 2))


@pytest.fixture(scope="module")
def vessels():
    """A tube along z that is narrowed, and a wider one 12 mm beside it."""
    eye = tuple(np.eye(3).ravel())
    geometry = ImageGeometry((44, 22, 100), (0.6, 0.6, 0.6), (-4.0, -6.0, 0.0), eye, "1.2.3")
    k, j, i = np.indices(geometry.shape)
    x, y, z = np.moveaxis(geometry.to_world(np.stack([i, j, k], axis=-1)), -1, 0)
    narrowed = np.hypot(x, y) < radius(z)
    beside = np.hypot(x - 12, y) < 3.2
    array = (narrowed | beside).astype(np.uint8)
    return LabelMap(array, geometry, {1: Label("artery")})


@pytest.fixture(scope="module")
def tree(vessels):
    return centerline(vessels)


def extent(piece):
    k, j, i = np.nonzero(piece.array)
    world = piece.geometry.to_world(np.stack([i, j, k], axis=1))
    return world.min(axis=0), world.max(axis=0)


def test_the_worst_narrowing_is_found_and_its_vessel_kept(vessels, tree):
    piece = around_narrowing(vessels, tree, reach_mm=12.0)
    low, high = extent(piece)
    assert (low[2], high[2]) == pytest.approx((NARROW - 12, NARROW + 12), abs=1.5)
    assert high[0] < 5, "the vessel beside is left out"
    (note,) = [f for f in piece.findings if f.code == "narrowing_chosen"]
    assert note.location_mm[2] == pytest.approx(NARROW, abs=1.5)


def test_a_click_chooses_and_a_click_beside_is_refused(vessels, tree):
    low, high = extent(around_narrowing(vessels, tree, click_mm=(12.0, 0, 40.0), reach_mm=10.0))
    assert low[0] > 8
    assert (low[2], high[2]) == pytest.approx((30, 50), abs=1.5)
    with pytest.raises(NoNarrowing, match="no vessel is within 10 mm"):
        around_narrowing(vessels, tree, click_mm=(40.0, 30.0, 20.0))


def test_another_frame_is_refused(vessels, tree):
    other = replace(vessels, geometry=replace(vessels.geometry, frame_uid="9"))
    with pytest.raises(FrameMismatch):
        around_narrowing(other, tree)
