"""The dome cut off at a known neck: spheres on straight and branching tubes."""

import numpy as np
import pytest

from segmentation.dome import NoDome, propose_dome
from segmentation.volume import ImageGeometry, Label, LabelMap


def scene(kind, sac_mm, vessel_mm, neck_share, step_mm=0.5):
    """A sphere on a tilted vessel; its neck radius is a share of its own radius."""
    half = 10 + 2 * sac_mm
    n = int(2 * half / step_mm) | 1
    grid = ImageGeometry((n, n, n), (step_mm,) * 3, (5, -8, 20), np.eye(3).ravel(), "1")
    along = (np.arange(n) - (n - 1) / 2) * step_mm
    z, y, x = np.meshgrid(along, along, along, indexing="ij")
    x, y = np.cos(0.3) * x + np.sin(0.3) * y, np.cos(0.3) * y - np.sin(0.3) * x
    height = vessel_mm + sac_mm * np.sqrt(1 - neck_share**2)
    if kind == "side wall":
        vessel = (np.hypot(y, z) < vessel_mm) & (np.abs(x) < half - 1)
    else:
        branches = np.hypot(y - 0.3 * np.abs(x), z) < 0.8 * vessel_mm
        vessel = (np.hypot(x, z) < vessel_mm) & (y < 0) & (y > 1 - half)
        vessel |= branches & (np.abs(x) < half - 1)
    ball = np.sqrt(x**2 + (y - height) ** 2 + z**2) < sac_mm
    near = x**2 + (y - height - 0.3 * sac_mm) ** 2 + z**2
    click = grid.to_world(np.unravel_index(int(near.argmin()), x.shape)[::-1])
    vessels = LabelMap((vessel | ball).astype(np.uint8), grid, {1: Label("vessels")})
    return vessels, ball & ~vessel, tuple(float(v) for v in click)


def overlap(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("kind", ["side wall", "terminal"])
@pytest.mark.parametrize(
    ("sac_mm", "vessel_mm", "neck_share", "least"),
    [
        (3.0, 1.5, 0.45, 0.97),
        (3.0, 1.5, 0.95, 0.93),
        (2.0, 1.5, 0.7, 0.97),  # fewer than 300 voxels
        (1.5, 1.2, 0.7, 0.97),  # about 100
        (1.5, 1.8, 0.45, 0.97),  # smaller than its vessel
    ],
)
def test_dome_ends_at_its_neck(kind, sac_mm, vessel_mm, neck_share, least):
    vessels, truth, click = scene(kind, sac_mm, vessel_mm, neck_share)
    dome = propose_dome(vessels, click_mm=click)
    assert overlap(dome.mask("aneurysm dome"), truth) > least
    assert np.array_equal(dome.mask(), vessels.mask())
    numbers = {n.quantity: n.value for n in dome.numbers}
    parent_mm = 2 * vessel_mm * (1.0 if kind == "side wall" else 0.8)  # two of three are branches
    assert numbers["parent_diameter"] == pytest.approx(parent_mm, abs=0.7)
    assert numbers["volume.aneurysm dome"] == pytest.approx(truth.sum() * 0.125e-3, rel=0.1)


def test_a_small_dome_is_doubted():
    vessels, _, click = scene("side wall", 1.2, 1.2, 0.5, 0.6)
    assert "dome_small" in [f.code for f in propose_dome(vessels, click_mm=click).findings]


def test_a_click_elsewhere_is_refused():
    vessels, _, click = scene("side wall", 3.0, 1.5, 0.5)
    with pytest.raises(NoDome, match="within 3 mm"):
        propose_dome(vessels, click_mm=(click[0], click[1], click[2] + 12))
    with pytest.raises(NoDome, match="outside the image"):
        propose_dome(vessels, click_mm=(500.0, 0.0, 0.0))


def test_a_ball_without_vessel_is_refused():
    grid = ImageGeometry((21, 21, 21), (0.5,) * 3, (0, 0, 0), np.eye(3).ravel(), "1")
    ball = np.linalg.norm(np.indices(grid.shape) - 10, axis=0) < 7
    with pytest.raises(NoDome, match="fewer than two"):
        propose_dome(LabelMap(ball.astype(np.uint8), grid), click_mm=(5.0, 5.0, 5.0))
