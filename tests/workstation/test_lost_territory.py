"""What a cut or a clamp leaves without supply or drainage."""

import numpy as np
import pytest

from segmentation.contract import FrameMismatch
from tests.workstation.test_territories import GRID, organ, tree
from workstation.planning.drainage import lost_territory
from workstation.planning.resection import cut_plane
from workstation.planning.vein_crossings import crossed_branches

# One vein along x at voxel i 2 to 21, in the middle of the block.
LINE = tree(("V", ((2, 10, 8), (21, 10, 8))))
TWO = tree(("V", ((2, 5, 8), (21, 5, 8))), ("II", ((2, 15, 8), (21, 15, 8))))


def numbers(labels):
    return {n.quantity: n.value for n in labels.numbers}


def test_a_crossing_lies_on_the_cut_with_the_branch_s_name():
    (crossing,) = crossed_branches(LINE, lambda points: points[:, 0] + 18.3)
    assert crossing.point_mm[0] == pytest.approx(-18.3)
    assert (crossing.name, crossing.diameter_mm) == ("V", pytest.approx(2.0))


def test_what_stays_behind_a_cut_branch_is_lost():
    whole = organ()
    middle = GRID.to_world((11.5, 10, 8))
    # The specimen is on the side of the root: what stays lies behind the cut.
    cut = cut_plane(whole, point_mm=tuple(middle), normal=(-1.0, 0.0, 0.0))
    found = lost_territory(whole, LINE, cut, dissected_mm=0.0)
    stays = cut.distance_mm(GRID.to_world(np.argwhere(whole.array)[:, ::-1])) < 0
    # Points of the line are 2.4 mm apart: a layer of 1.2 mm is nearest to the one before the cut.
    assert 0.9 * stays.sum() * GRID.voxel_ml < found.volume_ml() <= stays.sum() * GRID.voxel_ml
    assert numbers(found)["fraction"] > 90.0
    # With the specimen behind the cut, the root's side keeps its supply.
    assert not lost_territory(whole, LINE, cut).array.any(), "a root so near is freed"
    kept = lost_territory(whole, LINE, cut_plane(whole, point_mm=tuple(middle), normal=(1, 0, 0)))
    assert numbers(kept)["fraction"] < 10.0
    assert "branches_crossed" in [f.code for f in kept.findings]


def test_a_clamp_by_name_or_click_takes_its_branch_alone():
    whole = organ()
    by_name = lost_territory(whole, TWO, effect="congested", clamped=("II",))
    click = tuple(GRID.to_world((2, 15, 8)))
    by_click = lost_territory(whole, TWO, effect="congested", clamps_mm=(click,))
    assert np.array_equal(by_name.array, by_click.array)
    assert by_name.labels[1].name == "congested"
    assert by_name.mask()[8, 12:, :].sum() == whole.mask()[8, 12:, :].sum()
    assert not by_name.mask()[:, :9].any()


def test_nothing_cut_nothing_lost():
    assert not lost_territory(organ(), TWO).array.any()


def test_another_frame_is_refused():
    with pytest.raises(FrameMismatch):
        lost_territory(organ(), tree(("V", ((2, 5, 8), (21, 5, 8))), frame="other"))
