"""Lungs, airway and skin against a chest with known parts, stored either way round."""

import numpy as np
import pytest
from scipy import ndimage

from segmentation.airway import NoAirway, propose_airway
from segmentation.body import NotThisModality, propose_skin
from segmentation.lung import NoLung, propose_lung
from segmentation.volume import ImageGeometry, Volume
from tests.segmentation.thorax import thorax


@pytest.fixture(scope="module", params=[True, False], ids=["feet to head", "head to feet"])
def chest(request):
    return thorax(head_first=request.param)


def overlap(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_lungs_are_told_apart_where_they_touch(chest):
    lungs = propose_lung(chest.volume)
    for side in ("left lung", "right lung"):
        assert overlap(lungs.mask(side), chest.parts[side]) > 0.95
    assert not (lungs.mask("left lung") & chest.parts["right lung"])[:, :, ::3].sum() > 300
    assert not (lungs.mask() & chest.parts["airway"]).any()
    deep = chest.parts["vessel"]
    assert np.count_nonzero(lungs.mask() & deep) > 0.8 * np.count_nonzero(deep)
    assert {n.quantity for n in lungs.numbers} >= {"volume.left lung", "volume.right lung"}


def test_airway_ends_at_its_wall(chest):
    airway = propose_airway(chest.volume)
    assert overlap(airway.mask(), chest.parts["airway"]) > 0.97


def test_airway_does_not_leak_through_a_gap_in_its_wall():
    chest = thorax()
    parts, grid = chest.parts, chest.volume.geometry
    hu = chest.volume.array.copy()
    gap = parts["wall"] & ~parts["airway"]
    inner = np.argwhere(gap & (hu > -200))
    middle = inner[len(inner) // 2]
    k, j, i = (slice(max(0, m - 2), m + 3) for m in middle)
    hole = gap[k, j, i]
    hu[k, j, i][hole] = -840
    airway = propose_airway(Volume(hu, grid))
    assert overlap(airway.mask(), parts["airway"]) > 0.9


def test_airway_from_a_click():
    chest = thorax()
    deep = ndimage.distance_transform_edt(chest.parts["airway"])
    point = chest.volume.geometry.to_world(np.unravel_index(deep.argmax(), deep.shape)[::-1])
    airway = propose_airway(chest.volume, click_mm=tuple(point))
    assert overlap(airway.mask(), chest.parts["airway"]) > 0.97
    with pytest.raises(NoAirway, match="no air at the click"):
        propose_airway(chest.volume, click_mm=(0.0, 50.0, 0.0))


def test_skin_leaves_the_table_out():
    chest = thorax()
    skin = propose_skin(chest.volume)
    assert overlap(skin.mask(), chest.parts["skin"]) > 0.99
    assert not (skin.mask() & chest.parts["table"]).any()
    assert skin.findings == ()


def test_a_cropped_body_is_said():
    chest = thorax()
    n = chest.volume.geometry.size
    grid = chest.volume.geometry.cropped((40, 0, 0), (n[0] - 40, n[1], n[2]))
    skin = propose_skin(Volume(chest.volume.array[:, :, 40:], grid))
    assert [finding.code for finding in skin.findings] == ["body_cut"]


@pytest.mark.parametrize("stage", [propose_lung, propose_airway, propose_skin])
def test_other_images_are_refused(stage):
    grid = ImageGeometry((8, 8, 8), (2, 2, 2), (0, 0, 0), np.eye(3).ravel(), "1")
    with pytest.raises(NotThisModality, match="MR intensity"):
        stage(Volume(np.zeros(grid.shape, np.int16), grid, "MR intensity"))
    with pytest.raises(NotThisModality, match="air or fat"):
        stage(Volume(np.full(grid.shape, 100, np.int16), grid))


def test_a_scan_without_chest_is_refused():
    x = np.arange(60) - 29.5
    body = np.hypot(x[:, None], x[None, :]) < 25
    hu = np.where(np.repeat(body[None], 12, 0), 40, -1000).astype(np.int16)
    grid = ImageGeometry((60, 60, 12), (4, 4, 4), (0, 0, 0), np.eye(3).ravel(), "1")
    with pytest.raises(NoLung, match="shows the chest"):
        propose_lung(Volume(hu, grid))
    with pytest.raises(NoAirway, match="click in it"):
        propose_airway(Volume(hu, grid))
