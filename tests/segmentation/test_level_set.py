"""An outline that settles on edges: where it goes, how far, and that it can be stopped."""

import numpy as np
import pytest

from segmentation.contract import FrameMismatch
from segmentation.level_set import level_set
from segmentation.metrics import dice
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

AXES = np.eye(3)[:, [1, 0, 2]] * [1, -1, 1]
GRID = ImageGeometry((40, 36, 24), (1.0, 1.2, 2.0), (5, 6, 7), tuple(AXES.ravel()), "1")


def ball(radius_mm: float) -> np.ndarray:
    k, j, i = np.ogrid[0:24, 0:36, 0:40]
    return ((i - 22) ** 2 + ((j - 16) * 1.2) ** 2 + ((k - 11) * 2.0) ** 2) <= radius_mm**2


RNG = np.random.default_rng(0)
IMAGE = Volume((50 + 100 * ball(12) + RNG.normal(0, 6, GRID.shape)).astype(np.int16), GRID)


def label(radius_mm: float) -> LabelMap:
    return LabelMap(ball(radius_mm).astype(np.uint8) * 3, GRID, {3: Label("organ")})


@pytest.mark.parametrize("start_mm", [10.0, 14.0])
def test_the_outline_moves_to_the_edge(start_mm: float) -> None:
    settled = level_set(label(start_mm), IMAGE, smoothness=0.5)
    before = dice(label(start_mm), label(12))
    assert dice(settled, label(12)) > max(before + 0.05, 0.93)
    assert set(np.unique(settled.array)) == {0, 3}


def test_it_moves_no_farther_than_the_reach() -> None:
    settled = level_set(label(8), IMAGE, reach_mm=1.0, push=2.0)
    assert not (settled.mask() & ~ball(8 + 1.0 + 2.0)).any()
    assert settled.mask().sum() > label(8).mask().sum()


def test_an_empty_label_stays_empty_and_grids_must_agree() -> None:
    assert not level_set(label(-1), IMAGE).array.any()
    other = Volume(IMAGE.array, ImageGeometry(GRID.size, (1, 1, 1), (0, 0, 0), AXES.ravel(), "1"))
    with pytest.raises(FrameMismatch):
        level_set(label(8), other)


def test_it_stops_when_asked() -> None:
    def stop(fraction: float, message: str = "") -> None:
        if fraction > 0.15:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        level_set(label(8), IMAGE, push=1.0, progress=stop)
