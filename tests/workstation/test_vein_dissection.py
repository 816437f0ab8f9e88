"""Stems in the specimen that lead to what stays: freed, as far as that goes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.centerline import Branch, Centerline, Node
from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of
from workstation.planning.drainage import lost_territory
from workstation.planning.live import LivePreview
from workstation.planning.plan import Plan, Step
from workstation.planning.proposal import as_point
from workstation.planning.resection import cut_plane
from workstation.planning.vein_changes import dissected_mm, freeing_steps, with_dissected
from workstation.planning.vein_division import divided_by
from workstation.planning.vessels_crossed import cut_vessels

GRID = grid((40, 36, 36), (2.0, 2.2, 3.0), LEFT_HANDED)
LIVER = label_of(GRID, ellipsoid((70, 60, 70), (0, 0, 0)), "liver")
MIDDLE = np.asarray(GRID.centre_mm())


def line(*corners, step_mm=1.0):
    """Points about the middle of the organ, a step apart."""
    corners = np.asarray(corners, float)
    parts = [corners[:1]]
    for a, b in pairwise(corners):
        count = max(int(np.linalg.norm(b - a) / step_mm), 1)
        parts.append(a + np.linspace(0, 1, count + 1)[1:, None] * (b - a))
    return MIDDLE + np.concatenate(parts)


def tree(lines, links, radius_mm=3.0):
    """Branches along lines, from node to node."""
    nodes = {}
    for points, (a, b) in zip(lines, links):
        nodes[a], nodes[b] = points[0], points[-1]
    branches, start = [], 0
    for points, (a, b) in zip(lines, links):
        branches.append(Branch(start, start + len(points), a, b))
        start += len(points)
    made = tuple(Node(as_point(nodes[n]), radius_mm, "junction") for n in sorted(nodes))
    points = np.concatenate(lines)
    width = np.full(len(points), radius_mm)
    return Centerline(points, width, tuple(branches), made, {"root": 0}, "1.2.3", "portal")


def detour(by_mm):
    """From the left: a trunk that dips so deep into the right side and forks there; one branch
    comes back to the left and the back, the other stays at the right."""
    return tree(
        [
            line((62, 0, 0), (5, 0, 0), (-by_mm, 0, 0)),
            line((-by_mm, 0, 0), (-by_mm, 1, 0), (20, 1 + by_mm, 0), (20, 45, 0)),
            line((-by_mm, 0, 0), (-58, 0, 0)),
        ],
        [(0, 1), (1, 2), (1, 3)],
    )


CUT = cut_plane(LIVER, point_mm=as_point(MIDDLE), normal=(-1.0, 0.0, 0.0))


def numbers(value):
    return {n.quantity: n.value for n in value.numbers}


def test_a_stem_that_dips_into_the_specimen_and_comes_back_is_freed():
    found = lost_territory(LIVER, detour(6.0), CUT)
    told = numbers(found)
    strict = lost_territory(LIVER, detour(6.0), CUT, dissected_mm=0.0)
    # Divided, the branch to the left is lost; freed, hardly anything: only the cut's own border.
    assert told["volume"] < 0.05 * numbers(strict)["volume"]
    assert told["volume_if_divided"] == numbers(strict)["volume"]
    assert "volume_if_divided" not in numbers(strict)
    # In by 6 mm, out by 6.6 mm along the slope: the right branch is divided where it forks.
    assert told["dissected"] == pytest.approx(12.6, abs=1.5)
    (freed,) = (f for f in found.findings if f.code == "stem_freed")
    assert freed.severity.name == "INFO"
    assert freed.location_mm == pytest.approx(tuple(MIDDLE - [0, 0, 0]), abs=1.5)
    vessels = cut_vessels(LIVER, CUT, LIVER, detour(6.0))
    assert numbers(vessels)["crossed"] == told["branches_lost"] == 1.0


@pytest.mark.parametrize(("at_most", "freed"), [(5.0, False), (10.0, False), (20.0, True)])
def test_a_stretch_longer_than_asked_counts_as_divided(at_most, freed):
    made = divided_by(CUT, LIVER, detour(6.0), None, at_most)
    assert bool(made.freed.any()) == freed
    assert len(made.crossings) == (1 if freed else 2)


def test_a_stem_at_the_tumour_is_not_freed_and_one_near_it_is_warned_of():
    near = label_of(GRID, ellipsoid((8, 8, 8), (-6.0, -15.0, 0.0)), "tumor")
    found = lost_territory(LIVER, detour(6.0), CUT, near)
    told = numbers(found)
    # Its surface lies 7 mm from the axis at the nearest, the wall 3 mm nearer.
    assert told["dissected_to_tumor"] == pytest.approx(4.0, abs=1.0)
    assert [f.severity.name for f in found.findings if f.code == "stem_freed"] == ["WARNING"]
    at = label_of(GRID, ellipsoid((8, 8, 8), (-6.0, -10.0, 0.0)), "tumor")
    assert "dissected" not in numbers(lost_territory(LIVER, detour(6.0), CUT, at))


def test_what_leads_to_nothing_that_stays_is_divided_at_the_cut():
    plain = tree([line((62, 0, 0), (-58, 0, 0))], [(0, 1)])
    made = divided_by(CUT, LIVER, plain, None, 40.0)
    assert not made.freed.any()
    assert [c.point_mm[0] for c in made.crossings] == pytest.approx([MIDDLE[0]])


def test_a_twig_that_peeps_through_the_cut_does_not_spare_its_stem():
    lines = [
        line((62, 0, 0), (6, 0, 0)),
        line((6, 0, 0), (6, 50, 0)),
        line((6, 0, 0), (-9, 0, 0)),
        line((-9, 0, 0), (2, 5, 0)),
        line((-9, 0, 0), (-58, 0, 0)),
    ]
    twig = tree(lines, [(0, 1), (1, 2), (1, 3), (3, 4), (3, 5)])
    assert not divided_by(CUT, LIVER, twig, None, 40.0).freed.any()


def test_a_root_in_the_specimen_is_freed_where_what_stays_hangs_on_it():
    rooted = tree([line((-15, 0, 0), (58, 0, 0)), line((-15, 0, 0), (-58, 0, 0))], [(0, 1), (0, 2)])
    made = divided_by(CUT, LIVER, rooted, None, 40.0)
    assert len(made.crossings) == 1
    assert made.crossings[0].point_mm[0] < MIDDLE[0] - 14
    strict = divided_by(CUT, LIVER, rooted, None, 0.0)
    assert len(strict.entered) == 2, "both branches begin where all is removed"


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), at_most=st.floats(0, 80))
def test_live_and_exact_agree_and_more_is_freed_with_more_allowed(seed, at_most):
    rng = np.random.default_rng(seed)
    lines, links, ends = [], [], [(0, np.array([55.0, 0.0, 0.0]))]
    for number in range(1, 14):
        node, start = ends.pop(0)
        stop = rng.uniform(-50, 50, 3) * (1, 0.8, 0.9)
        lines.append(line(start, stop, step_mm=2.0))
        links.append((node, number))
        ends += [(number, stop)] * 2
    wild = tree(lines, links)
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    cut = cut_plane(LIVER, point_mm=as_point(MIDDLE + 10 * normal), normal=as_point(normal))
    made = divided_by(cut, LIVER, wild, None, at_most)
    assert not (made.freed & ~made.removed).any()
    wider = divided_by(cut, LIVER, wild, None, at_most + 15).freed
    assert numbers(lost_territory(LIVER, wild, cut, dissected_mm=at_most + 15))["volume"] <= (
        numbers(lost_territory(LIVER, wild, cut, dissected_mm=at_most))["volume"] + 1e-9
    )
    assert wider.sum() >= made.freed.sum() or not made.freed.any()
    live = LivePreview(LIVER, portal=wild, dissected_mm=(at_most, 0.0))
    told = live.at(cut.point_mm, cut.normal)
    exact = numbers(lost_territory(LIVER, wild, cut, dissected_mm=at_most))
    assert told.crossed_mm is not None
    assert len(told.crossed_mm) == exact["branches_lost"]
    assert told.devascularised_ml == pytest.approx(exact["volume"], abs=0.01 * LIVER.volume_ml())


def test_one_choice_reaches_every_step_that_follows_it():
    tumor = {"liver": "liver", "tree": "portal_tree"}
    plan = Plan(
        "1.2.3",
        {"liver": "1", "portal_tree": "2", "hepatic_tree": "3", "cut": "4", "v": "5"},
        (
            Step("planning.lost_territory", "clamps", 4, tumor),
            Step("planning.lost_territory", "lost", 4, {**tumor, "cut": "cut"}),
            Step("planning.cut_vessels", "crossed", 3, {"vessels": "v", "cut": "cut"}),
        ),
    )
    assert dissected_mm(plan, "portal_tree") == 40.0
    other = with_dissected(plan, 0.0)
    assert freeing_steps(plan) == ("lost", "crossed")
    assert [dict(other.step(n).params) for n in freeing_steps(plan)] == [{"dissected_mm": 0.0}] * 2
    assert not other.step("clamps").params
    assert dissected_mm(other, "portal_tree") == 0.0
