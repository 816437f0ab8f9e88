"""Voxels nearest to lost points, beside asking every voxel."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of
from workstation.planning.nearest_lost import nearest_is_lost

GRID = grid((50, 40, 24), (0.6, 0.7, 1.6), LEFT_HANDED)
ORGAN = label_of(GRID, ellipsoid((14, 13, 18), (0, 0, 0)), "liver").mask()


@pytest.mark.parametrize("seed", range(4))
def test_blocks_answer_as_their_voxels_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = GRID.centre_mm() + rng.normal(0, 8.0, (60, 3))
    lost = (points - GRID.centre_mm()) @ rng.normal(0, 1, 3) > 0
    index = np.argwhere(ORGAN)
    nearest = cKDTree(points).query(GRID.to_world(index[:, ::-1]))[1]
    every = np.zeros_like(ORGAN)
    every[tuple(index.T)] = lost[nearest]
    assert 1000 < np.count_nonzero(every) < len(index) - 1000
    assert np.array_equal(nearest_is_lost(ORGAN, GRID, points, lost), every)


def test_all_or_nothing_lost_needs_no_search() -> None:
    points = GRID.centre_mm() + np.eye(3)
    every = np.ones(3, np.bool_)
    assert np.array_equal(nearest_is_lost(ORGAN, GRID, points, every), ORGAN)
    assert not nearest_is_lost(ORGAN, GRID, points, ~every).any()
