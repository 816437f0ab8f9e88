"""A proposed cut spares the veins, and says where it cannot."""

import numpy as np
import pytest

from meshing.centerline import Branch, Centerline, Node
from segmentation.contract import FrameMismatch
from tests.meshing.shapes import ellipsoid, grid, label_of
from workstation.planning.cut_surface_stages import cut_surface
from workstation.planning.drainage import lost_territory
from workstation.planning.resection import cut_plane, margin
from workstation.planning.template import find_template

GRID = grid((54, 54, 54), (2.0, 2.0, 2.0), np.eye(3))
LIVER = label_of(GRID, ellipsoid((50.0,) * 3, (0, 0, 0)), "liver")
AT = np.array([-24.0, 6.0, 10.0])
TUMOR = label_of(GRID, ellipsoid((9.0,) * 3, tuple(AT)), "tumor")
OUT = AT / np.linalg.norm(AT)
ASIDE = np.array([0.0, 10.0, -6.0]) / np.linalg.norm((0.0, 10.0, -6.0))


def vein(*ways, frame=GRID.frame_uid):
    """Return a tree that begins at the first point, in mm from the middle of the liver."""
    points, branches, nodes = [], [], []
    for way in ways:
        line = GRID.centre_mm() + np.linspace(way[0], way[1], 41)
        nodes += [Node(tuple(p), 2.0, k) for p, k in ((line[0], "asked"), (line[-1], "round"))]
        branches.append(Branch(41 * len(points), 41 * len(points) + 41, *range(len(nodes))[-2:]))
        points.append(line)
    whole = np.concatenate(points)
    radius = np.full(len(whole), 2.0)
    return Centerline(whole, radius, tuple(branches), tuple(nodes), {"root": 0}, frame, "vein")


def value(result, name):
    return next(n.value for n in result.numbers if n.quantity == name)


def lost(cut, tree):
    return value(lost_territory(LIVER, tree, cut, dissected_mm=0.0), "fraction")


def test_a_proposal_goes_by_the_root_of_a_vein_that_the_least_specimen_would_take():
    tree = vein((14 * OUT + 38 * ASIDE, -35 * OUT))
    least = cut_plane(LIVER, TUMOR, margin_mm=7.0)
    assert lost(least, tree) > 95
    spared = cut_plane(LIVER, TUMOR, tree, margin_mm=7.0)
    assert lost(spared, tree) < 1
    assert margin(TUMOR, spared).numbers[0].value == pytest.approx(7.0, abs=1e-6)
    assert [f.code for f in spared.findings] == ["proposed_cut"]
    assert "(0 mL)" in spared.findings[0].sentence
    draining = cut_plane(LIVER, TUMOR, None, tree, margin_mm=7.0)
    bent = cut_surface(LIVER, TUMOR, tree, margin_mm=7.0)
    assert draining.normal == spared.normal
    assert bent.sheet.normal == pytest.approx(spared.normal)


def test_where_no_plane_at_the_margin_spares_the_trunk_a_narrower_one_is_proposed_and_said():
    tree = vein((AT - 13 * OUT, -35 * OUT))
    cut = cut_plane(LIVER, TUMOR, tree, margin_mm=7.0)
    assert margin(TUMOR, cut).numbers[0].value == pytest.approx(3.0, abs=1e-6)
    assert lost(cut, tree) < 1
    assert [f.code for f in cut.findings] == ["proposed_cut", "tumor_near_main_veins"]
    assert "this one keeps 3 mm" in cut.findings[1].sentence


def test_where_none_spares_it_the_margin_stays_and_that_is_said():
    tree = vein((AT, -35 * OUT))
    cut = cut_plane(LIVER, TUMOR, tree, margin_mm=7.0)
    assert margin(TUMOR, cut).numbers[0].value == pytest.approx(7.0, abs=1e-6)
    assert "takes the main veins" in cut.findings[1].sentence


def test_a_vein_of_another_frame_is_refused():
    with pytest.raises(FrameMismatch):
        cut_plane(LIVER, TUMOR, vein((AT, -AT), frame="other"))


@pytest.mark.parametrize(
    ("given", "veins"),
    [
        ((), {"portal", "hepatic"}),
        (("portal_vein",), {"portal"}),
        (("hepatic_vein",), {"hepatic"}),
        (("portal_vein", "hepatic_vein"), {"portal", "hepatic"}),
    ],
)
def test_the_cut_of_a_plan_takes_the_trees_that_there_are(given, veins):
    plan = find_template("liver-resection").plan("1.2.3", {"ct": "a"} | dict.fromkeys(given, "b"))
    assert set(plan.step("cut").inputs) == {"liver", "tumor"} | veins
