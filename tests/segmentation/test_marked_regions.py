"""Graph cut, random walk and watershed: what marked points make of an image."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from segmentation import graph_cut as graph_cut_module
from segmentation import random_walk as random_walk_module
from segmentation.graph_cut import graph_cut
from segmentation.marks import SeedOutside
from segmentation.metrics import dice
from segmentation.random_walk import random_walk
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from segmentation.watershed import watershed

AXES = Rotation.from_euler("xyz", [17, -28, 63], degrees=True).as_matrix() * [1, -1, 1]
GRID = ImageGeometry((52, 44, 30), (1.0, 1.25, 2.0), (-30, 12, 200), AXES.ravel(), "1")
Tool = Callable[..., LabelMap]
TOOLS = [graph_cut, random_walk, watershed]


def blob(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """An ellipsoid around an index (i, j, k), radii in mm along the image axes."""
    k, j, i = np.ogrid[0:30, 0:44, 0:52]
    parts = zip((i, j, k), centre, radii, GRID.spacing_mm)
    return sum(((axis - c) * s / r) ** 2 for axis, c, r, s in parts) <= 1


ORGAN = blob((20, 18, 13), (13, 11, 14))
NEIGHBOUR = blob((43, 18, 13), (9, 11, 14)) & ~ORGAN
RNG = np.random.default_rng(3)
NOISE = RNG.normal(0, 12, GRID.shape)
IMAGE = Volume((40 + 100 * ORGAN + 96 * NEIGHBOUR + NOISE).astype(np.int16), GRID)
TRUTH = LabelMap(ORGAN.astype(np.uint8), GRID, {1: Label("organ")})


def at(*index: float) -> tuple[float, float, float]:
    x, y, z = GRID.to_world(index)
    return float(x), float(y), float(z)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_noisy_organ_is_found_from_one_point_inside_and_some_outside(tool: Tool) -> None:
    """A neighbour that touches and looks alike is kept out by the points in it."""
    outside = (at(43, 18, 13), at(43, 24, 16), at(20, 40, 13), at(4, 4, 4))
    found = tool(IMAGE, foreground_mm=(at(20, 18, 13),), background_mm=outside, reach_mm=40.0)
    assert dice(found, TRUTH) > 0.87
    assert [label.name for label in found.labels.values()] == ["region"]
    again = tool(IMAGE, foreground_mm=(at(20, 18, 13),), background_mm=outside, reach_mm=40.0)
    assert np.array_equal(found.array, again.array)


@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_lies_beyond_the_reach_or_on_a_point_outside(tool: Tool) -> None:
    start, refused = at(20, 18, 13), at(26, 18, 13)
    found = tool(IMAGE, foreground_mm=(start,), background_mm=(refused,), reach_mm=9.0)
    k, j, i = np.indices(GRID.shape)
    away = np.linalg.norm(GRID.to_world(np.stack([i, j, k], -1)) - start, axis=-1)
    assert away[found.array > 0].max() <= 9.0
    assert found.array[13, 18, 20] == 1
    assert found.array[13, 18, 26] == 0


@pytest.mark.parametrize("tool", TOOLS)
def test_points_must_be_given_and_lie_in_the_image(tool: Tool) -> None:
    with pytest.raises(ValueError, match="at least one point"):
        tool(IMAGE, foreground_mm=())
    with pytest.raises(SeedOutside, match="outside the image"):
        tool(IMAGE, foreground_mm=(at(-5, 0, 0),))


@pytest.mark.parametrize("tool", TOOLS)
def test_work_stops_when_asked(tool: Tool) -> None:
    def stop(fraction: float, message: str = "") -> None:
        if fraction > 0.05:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        tool(IMAGE, foreground_mm=(at(20, 18, 13),), progress=stop)


def test_a_flood_that_stays_at_its_marks_says_so() -> None:
    start = {"foreground_mm": (at(20, 18, 13),), "reach_mm": 30.0}
    assert not watershed(IMAGE, **start).findings
    small = Volume((200 * blob((20, 18, 13), (5, 5, 5)) + NOISE).astype(np.int16), GRID)
    found = watershed(small, radius_mm=5.0, blur_mm=0.5, **start)
    assert [finding.code for finding in found.findings] == ["flood_stuck"]


def test_a_smoother_cut_leaves_small_pieces_out() -> None:
    """A cut pays for its surface: single noisy voxels never come in."""
    noisy = Volume((40 + 100 * ORGAN + 4 * NOISE).astype(np.int16), GRID)
    marks = {"foreground_mm": (at(20, 18, 13),), "radius_mm": 6.0, "reach_mm": 30.0}
    assert dice(graph_cut(noisy, smoothness_mm=3.0, **marks), TRUTH) > 0.85


@pytest.mark.parametrize(
    ("module", "limits"),
    [
        (graph_cut_module, {"_COARSE_CELLS": 3_000, "_FINE_CELLS": 12_000}),
        (random_walk_module, {"_CELLS": 8_000}),
    ],
)
def test_coarser_cells_find_much_the_same(
    module: object, limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = getattr(module, "graph_cut", None) or module.random_walk
    marks = {"foreground_mm": (at(20, 18, 13),), "background_mm": (at(43, 18, 13),)}
    fine = tool(IMAGE, reach_mm=30.0, **marks)
    for name, limit in limits.items():
        monkeypatch.setattr(module, name, limit)
    coarse = tool(IMAGE, reach_mm=30.0, **marks)
    assert not np.array_equal(fine.array, coarse.array)
    assert dice(fine, coarse) > 0.85
