"""The side of voxels by a level on another grid, against interpolation point by point."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import map_coordinates

from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of
from workstation.planning.cut_level import along_same_axes, not_negative
from workstation.planning.cut_surface import grid_around
from workstation.planning.kept import kept
from workstation.planning.proposal import tight

GRID = grid((21, 17, 13), (0.8, 1.1, 1.9), LEFT_HANDED)


def test_a_level_is_interpolated_to_the_voxels_of_another_grid() -> None:
    organ = tight(label_of(GRID, ellipsoid((7, 8, 10), (1, 0, 0)), "liver"))
    assert organ is not None
    around = grid_around(organ)
    level = np.random.default_rng(4).normal(size=around.shape).astype(np.float32)
    assert along_same_axes(around, organ.geometry)
    found = not_negative(level, around, organ.mask(), organ.geometry)
    index = np.argwhere(organ.array)
    at = around.to_index(organ.geometry.to_world(index[:, ::-1]))[:, ::-1].T
    expected = map_coordinates(level, at, order=1, mode="nearest") >= 0
    assert np.array_equal(found[tuple(index.T)], expected)
    assert 0.2 < expected.mean() < 0.8
    assert not found[organ.array == 0].any()


def test_turned_grids_are_told() -> None:
    turned = replace(GRID, direction=(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    assert not along_same_axes(GRID, turned)


def test_a_result_is_kept_as_long_as_what_it_is_made_from() -> None:
    asked = []

    @kept
    def voxels(labels: object, other: object) -> int:
        asked.append((id(labels), id(other)))
        return len(asked)

    one, two = (label_of(GRID, ellipsoid((4, 4, 4), (0, 0, 0)), "a") for _ in range(2))
    assert [voxels(one, two), voxels(one, two), voxels(two, one), voxels(one, two)] == [1, 1, 2, 1]
    del one
    assert voxels(two, two) == 3
