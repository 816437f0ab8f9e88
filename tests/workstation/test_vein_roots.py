"""Where the portal vein begins, in a label that ends with the liver or follows the trunk out."""

import numpy as np
import pytest

from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.vein_graph import vein_graph
from workstation.planning.vein_roots import portal_root

GRID = ImageGeometry((80, 72, 60), (1.5,) * 3, (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1), "roots")
X, Y, Z = GRID.to_world(np.argwhere(np.ones(GRID.shape))[:, ::-1]).T.reshape(3, *GRID.shape)
FORK = np.array([66.0, 50.0, 42.0])
ENTRY = np.array([88.0, 46.0, 36.0])
LIVER = (X > 6) & (X < 110) & (Y > 6) & (Y < 100) & (Z > 6) & (Z < 80) & ~((X > 86) & (Z < 60))


def tube(start, end, radius_mm):
    way = np.subtract(end, start)
    at = np.stack([X, Y, Z], -1) - start
    along = np.clip(at @ way / (way @ way), 0, 1)
    return np.linalg.norm(at - along[..., None] * way, axis=-1) <= radius_mm


def label(mask):
    return LabelMap(mask.astype(np.uint8), GRID, {1: Label("vein")})


@pytest.mark.parametrize("outside", [False, True])
def test_the_root_is_where_the_trunk_comes_in_though_a_branch_is_as_wide_and_runs_below(outside):
    trunk = tube(FORK, ENTRY + 14 * (ENTRY - FORK) / np.linalg.norm(ENTRY - FORK), 5.0)
    behind = tube(FORK, (44.0, 80.0, 16.0), 4.6)
    rest = tube(FORK, (30.0, 40.0, 60.0), 3.6) | tube(FORK, (70.0, 30.0, 66.0), 3.4)
    veins = trunk | behind | rest
    graph = vein_graph(label(veins if outside else veins & LIVER))
    root = graph.points_mm[portal_root(graph, label(LIVER), None)]
    if outside:
        assert root[0] > ENTRY[0] + 4
    else:
        assert np.linalg.norm(root - ENTRY) < 6.0


def test_a_vein_that_only_passes_under_the_surface_is_no_entry():
    """Its whole wall lies near the surface, yet the trunk ends deep in the liver."""
    trunk = tube(FORK, (74.0, 46.0, 24.0), 5.0)
    passing = tube((30.0, 10.0, 40.0), FORK, 3.2) | tube((30.0, 10.0, 40.0), (30, 10, 70), 2.4)
    graph = vein_graph(label((trunk | passing) & LIVER))
    root = graph.points_mm[portal_root(graph, label(LIVER), None)]
    assert np.linalg.norm(root - (74.0, 46.0, 24.0)) < 8.0
