"""What a person changes about branches: names, systems, clamps and territories, as plans."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.centerline import Branch, Centerline, Node
from meshing.centerline_tubes import SIDES, as_vessels
from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.branch_territory import branch_territory
from workstation.planning.couinaud_names import VALUES
from workstation.planning.plan import Plan, Step
from workstation.planning.vein_changes import (
    branch_of,
    clamp_steps,
    clamped,
    is_clamped,
    lacks_move,
    moved,
    renamed,
    with_territory,
)
from workstation.planning.vein_names import (
    branch_names,
    colour_of,
    following,
    inner_point,
    width_mm,
)

LINES = {
    "": [((0, 0, 0), (0, 0, 10)), ((0, 0, 10), (-20, 0, 10)), ((-20, 0, 10), (-30, -9, 10)),
         ((-20, 0, 10), (-30, 9, 10))],
    "II": [((0, 0, 10), (25, 0, 10))],
    "VIII": [((-30, -9, 10), (-30, -9, 35))],
    "V": [((-30, -9, 10), (-30, -9, -20))],
    "VII": [((-30, 9, 10), (-30, 9, 30))],
    "VI": [((-30, 9, 10), (-30, 9, -25))],
}  # fmt: skip
STEPS = (
    Step("planning.tell_veins_apart", "veins", 2, {"vessels": "vessels", "liver": "liver"}),
    Step("planning.one_system", "portal_vein", 1, {"veins": "veins"}, {"system": "portal_vein"}),
    Step("planning.vein_tree", "lines", 3, {"vein": "portal_vein", "liver": "liver"}),
    Step("planning.portal_branches", "named", 3, {"tree": "lines", "liver": "liver"}),
    Step("planning.lost_territory", "lost", 1, {"liver": "liver", "tree": "named"}),
)
PLAN = Plan("f", {"vessels": "1" * 64, "liver": "2" * 64}, STEPS)


def tree(name="portal"):
    points, radius, codes, branches, nodes = [], [], [], [], []
    for segment, lines in LINES.items():
        for a, b in lines:
            for end in (a, b):
                if end not in nodes:
                    nodes.append(end)
            start = len(points)
            points += list(np.linspace(a, b, 9))
            radius += list(np.linspace(3.0, 2.0, 9))
            codes += [VALUES.get(segment, 0)] * 9
            branches.append(Branch(start, start + 9, nodes.index(a), nodes.index(b)))
    return Centerline(
        np.array(points, float), np.array(radius), tuple(branches),
        tuple(Node(tuple(map(float, p)), 3.0, "junction") for p in nodes), {"root": 0}, "f", name,
        point_data={"territory": np.array(codes, np.uint8)},
    )  # fmt: skip


def test_stems_are_called_after_what_they_lead_to():
    stems = ("main", "right", "right_anterior", "right_posterior")
    assert branch_names(tree()) == (*stems, "II", "VIII", "V", "VII", "VI")
    assert len({colour_of(name) for name in branch_names(tree())}) == 9
    assert following(tree(), 2) == [2, 5, 6]
    assert width_mm(tree(), 4) == pytest.approx(5.0)


def test_a_name_goes_into_the_plan_and_replaces_those_behind_it():
    once = renamed(PLAN, "named", tree(), 6, "VI")
    assert once.step("named").params["names"] == (("VI", -30.0, -9.0, -5.0),)
    twice = renamed(once, "named", tree(), 2, "VIII")
    assert twice.step("named").params["names"] == (("VIII", -25.0, -4.5, 10.0),)
    beside = renamed(once, "named", tree(), 7, "none")
    assert [row[0] for row in beside.step("named").params["names"]] == ["VI", "none"]
    with pytest.raises(ValueError, match="no branch can be called 'IX'"):
        renamed(PLAN, "named", tree(), 6, "IX")


def test_a_branch_moves_to_the_other_system_and_back():
    there = moved(PLAN, "named", tree(), 4)
    assert there.step("veins").params == {"portal_mm": (), "hepatic_mm": ((12.5, 0.0, 10.0),)}
    back = there.with_params("portal_vein", system="hepatic_vein")
    again = moved(back, "named", tree("hepatic"), 4)
    assert again.step("veins").params == {"portal_mm": ((12.5, 0.0, 10.0),), "hepatic_mm": ()}
    assert lacks_move(PLAN, "named") == ""
    alone = Plan("f", {"portal_vein": "1" * 64, "liver": "2" * 64}, STEPS[2:])
    assert "told apart" in lacks_move(alone, "named")
    with pytest.raises(ValueError, match="a label of its own"):
        moved(alone, "named", tree(), 4)


def test_a_clamp_is_set_and_opened_also_one_by_name():
    shut = clamped(PLAN, "named", tree(), 5)
    assert is_clamped(shut, "named", tree(), 5)
    assert not is_clamped(shut, "named", tree(), 6)
    (place,) = shut.step("lost").params["clamps_mm"]
    assert branch_of(tree(), place) == 5
    assert clamped(shut, "named", tree(), 5).step("lost").params["clamps_mm"] == (place,)
    assert not is_clamped(clamped(shut, "named", tree(), 5, on=False), "named", tree(), 5)
    named = PLAN.with_params("lost", clamped=("VIII", "VI"))
    assert is_clamped(named, "named", tree(), 5)
    opened = clamped(named, "named", tree(), 5, on=False)
    assert opened.step("lost").params["clamped"] == ("VI",)
    bare = Plan("f", PLAN.sources, STEPS[:4])
    assert clamp_steps(bare, "named") == ()
    with pytest.raises(ValueError, match="what is lost behind a clamp"):
        clamped(bare, "named", tree(), 5)


def test_the_territory_of_a_branch_is_what_lies_nearest_to_it_and_its_followers():
    plan, name = with_territory(PLAN, "named", tree(), 2)
    step = plan.step(name)
    assert (name, with_territory(plan, "named", tree(), 2)[1]) == ("territory_1", "territory_2")
    grid = ImageGeometry(
        (22, 12, 20), (4.0, 4.0, 4.0), (-50, -22, -35), (1, 0, 0, 0, 1, 0, 0, 0, 1), "f"
    )
    array = np.zeros(grid.shape, np.uint8)
    array[1:-1, 1:-1, 1:-1] = 1
    organ = LabelMap(array, grid, {1: Label("liver")})
    found = branch_territory(organ, tree(), **step.params)
    index = np.argwhere(array)
    points = grid.to_world(index[:, ::-1])
    away = np.linalg.norm(points[:, None] - tree().points_mm, axis=2)
    owner = np.repeat(np.arange(9), 9)[away.argmin(axis=1)]
    own = np.isin(owner, [2, 5, 6])
    differ = np.count_nonzero(found.array[tuple(index.T)] != own)
    assert differ <= 0.02 * own.sum(), "of voxels as near to the fork's point, which all share"
    assert found.numbers[0].value == pytest.approx(np.count_nonzero(found.array) * 0.064)
    with pytest.raises(FrameMismatch):
        branch_territory(organ, replace(tree(), frame_uid="g"), places_mm=())
    assert [f.code for f in branch_territory(organ, tree(), places_mm=()).findings] == ["no_place"]


def test_tubes_are_as_wide_as_the_vein():
    tube = as_vessels(tree(), [4, 5], "two")
    assert len(tube.points_mm) == 2 * 9 * SIDES
    ring = tube.points_mm[:SIDES]
    assert np.allclose(np.linalg.norm(ring - (0, 0, 10), axis=1), 3.0)
    assert np.allclose(inner_point(tree(), 4), (12.5, 0, 10))
