"""What a cut or a clamp leaves without supply or drainage."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.centerline import Branch, Centerline, Node
from segmentation.contract import FrameMismatch
from tests.workstation.test_territories import GRID, organ, tree
from workstation.planning.drainage import lost_territory
from workstation.planning.live import LivePreview
from workstation.planning.resection import cut_plane
from workstation.planning.vein_crossings import crossed_branches
from workstation.planning.vessels_crossed import cut_vessels

# One vein along x at voxel i 2 to 21, in the middle of the block.
LINE = tree(("V", ((2, 10, 8), (21, 10, 8))))
CORNERS = ((2, 10, 8), (9, 10, 8), (20, 10, 8), (14, 16, 8))
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


def ring():
    """Return the vein along x whose second half leads on, round, to where it begins."""
    start, middle, end, side = (np.array(GRID.to_world(p)) for p in CORNERS)
    parts = [(start, middle), (middle, end), (end, side), (side, middle)]
    points = np.concatenate([np.linspace(a, b, 9) for a, b in parts])
    branches = [
        Branch(9 * n, 9 * n + 9, *ends) for n, ends in enumerate([(0, 1), (1, 2), (2, 3), (3, 1)])
    ]
    nodes = [Node(tuple(p), 1.0, "junction") for p in (start, middle, end, side)]
    frame = GRID.frame_uid
    return Centerline(points, np.ones(36), tuple(branches), tuple(nodes), {}, frame)


def test_branches_in_a_ring_are_followed_once_as_while_a_cut_moves():
    whole, point, normal = organ(), GRID.to_world((14, 10, 8)), (1.0, 0.0, 0.0)
    cut = cut_plane(whole, point_mm=tuple(point), normal=normal)
    lost = lost_territory(whole, ring(), cut, dissected_mm=0.0)
    live = LivePreview(whole, portal=ring(), dissected_mm=(0.0, 0.0)).at(point, normal)
    assert numbers(lost)["volume"] > 0.0
    assert live.devascularised_ml == pytest.approx(numbers(lost)["volume"], rel=0.05)


def test_a_tree_without_branches_loses_nothing():
    whole, nothing = organ(), Centerline(np.empty((0, 3)), [], (), (), {}, GRID.frame_uid)
    point, normal = GRID.to_world((11.5, 10, 8)), (1.0, 0.0, 0.0)
    cut = cut_plane(whole, point_mm=tuple(point), normal=normal)
    live = LivePreview(whole, portal=nothing).at(point, normal)
    assert (live.crossed_mm, live.devascularised_ml) == ((), 0.0)
    assert numbers(lost_territory(whole, nothing, cut))["volume"] == 0.0


def test_clamps_say_what_they_clamp_and_what_they_miss():
    whole = organ()
    root, beyond = (tuple(GRID.to_world((i, 10, 8))) for i in (2, 12))
    found = lost_territory(whole, LINE, clamped=("V",), clamps_mm=(root, beyond))
    assert numbers(found)["branches_lost"] == 1.0, "behind a clamp no other counts"
    (said,) = found.findings
    assert said.code == "clamped"
    assert f"{found.volume_ml():.0f} mL (100 %) without supply" in said.sentence
    far = tuple(GRID.to_world((2, 10, 40)))
    vain = lost_territory(whole, LINE, clamped=("II",), clamps_mm=(far,))
    assert [f.code for f in vain.findings] == ["clamp_unknown", "clamp_off_branch", "clamped"]


def test_an_empty_organ_or_a_tumour_of_another_frame_is_refused():
    whole = organ()
    cut = cut_plane(whole, point_mm=tuple(GRID.to_world((11.5, 10, 8))), normal=(1.0, 0.0, 0.0))
    nothing = replace(whole, array=np.zeros_like(whole.array))
    with pytest.raises(ValueError, match="no voxel"):
        cut_vessels(whole, cut, nothing, LINE)
    foreign = replace(whole, geometry=replace(GRID, frame_uid="9.9"))
    with pytest.raises(FrameMismatch):
        cut_vessels(whole, cut, whole, LINE, None, foreign)
