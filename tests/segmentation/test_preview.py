"""A reduced image lies where the whole one lies, and tools find the same on it, coarser."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from segmentation.operations import threshold
from segmentation.preview import reduced
from segmentation.seeded import grow_from_seeds
from segmentation.volume import ImageGeometry, Volume

AXES = Rotation.from_euler("xyz", [17, -28, 63], degrees=True).as_matrix() * [1, -1, 1]
GRID = ImageGeometry((71, 60, 40), (1.0, 1.25, 2.0), (-30, 12, 200), AXES.ravel(), "1")
K, J, L = np.indices(GRID.shape)
WORLD = GRID.to_world(np.stack([L, J, K], -1))
MIDDLE = GRID.to_world((40, 25, 18))
BALL = np.linalg.norm(WORLD - MIDDLE, axis=-1) < 16
NOISE = np.random.default_rng(0).normal(0, 8, GRID.shape)
IMAGE = Volume((100 * BALL + NOISE).astype(np.int16), GRID)
POINT = (float(MIDDLE[0]), float(MIDDLE[1]), float(MIDDLE[2]))


@pytest.mark.parametrize("most", [100_000, 4_000])
def test_a_ball_keeps_its_place_and_size(most: int) -> None:
    small = reduced(IMAGE, (POINT,), 24.0, most)
    assert small.array.size <= 1.5 * most
    found = threshold(small, lower_hu=50.0)
    index = np.argwhere(found.array)[:, ::-1].mean(axis=0)
    assert np.linalg.norm(small.geometry.to_world(index) - MIDDLE) < 1.0
    assert found.volume_ml() == pytest.approx(threshold(IMAGE, lower_hu=50.0).volume_ml(), rel=0.1)


def test_a_tool_answers_on_it() -> None:
    small = reduced(IMAGE, (POINT,), 24.0, 12_000)
    found = grow_from_seeds(small, foreground_mm=(POINT,), reach_mm=24.0, radius_mm=8.0)
    assert 0.4 < found.volume_ml() / (4 / 3 * np.pi * 1.6**3) < 1.1
    index = np.argwhere(found.array)[:, ::-1].mean(axis=0)
    assert np.linalg.norm(small.geometry.to_world(index) - MIDDLE) < 2.0
    with pytest.raises(ValueError, match="at least one point"):
        reduced(IMAGE, (), 24.0)
