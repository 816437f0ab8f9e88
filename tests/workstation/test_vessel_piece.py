"""The piece of vessel about an aneurysm: the right sac, the right side, nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.centerline import Sac, centerline
from segmentation.contract import FrameMismatch
from segmentation.volume import Label
from workstation.phantom import head
from workstation.phantom.aneurysm import SAC
from workstation.planning.template import find_template
from workstation.planning.vessel_piece import NoAneurysm, around_aneurysm


@pytest.fixture(scope="module")
def vessels():
    truth = head(spacing_mm=(0.8, 0.8, 0.8)).truth
    return replace(truth, array=(truth.array > 0).view(np.uint8), labels={1: Label("vessels")})


@pytest.fixture(scope="module")
def tree(vessels):
    return centerline(vessels)


def points_of(labels):
    k, j, i = np.nonzero(labels.array)
    return labels.geometry.to_world(np.stack([i, j, k], axis=1))


def test_the_piece_holds_the_sac_and_ends_at_the_reach(vessels, tree):
    piece = around_aneurysm(vessels, tree, reach_mm=10.0)
    points = points_of(piece)
    assert points[:, 0].min() > 2.0, "the aneurysm is on the left"
    away = np.linalg.norm(points - SAC.centre_mm, axis=1)
    assert away.max() < 10.0 + 3 * max(SAC.radii_mm)
    sac = np.linalg.norm(points_of(vessels) - SAC.centre_mm, axis=1) < 2.5
    assert (away < 2.5).sum() == sac.sum()
    (said,) = piece.findings
    assert "taken for the aneurysm" in said.sentence


def test_a_longer_reach_gives_more_of_the_same_vessel(vessels, tree):
    short, long = (around_aneurysm(vessels, tree, reach_mm=r).array > 0 for r in (8.0, 16.0))
    assert (short <= long).all()
    assert long.sum() > 1.3 * short.sum()


def test_a_click_chooses_the_vessel_on_the_other_side(vessels, tree):
    piece = around_aneurysm(vessels, tree, click_mm=(-13.0, -6.0, 6.0), reach_mm=8.0)
    assert points_of(piece)[:, 0].max() < 0


def test_no_sac_is_told_and_nothing_is_guessed(vessels, tree):
    healthy = replace(tree, sacs=())
    with pytest.raises(NoAneurysm, match=r"no aneurysm was found.*click_mm"):
        around_aneurysm(vessels, healthy)
    flat = Sac((-13.0, -6.0, 6.0), 2.2, (-13.0, -8.0, 6.0), 2.1)
    with pytest.raises(NoAneurysm, match=r"doubtful bulges are 4.4 mm at \(-13, -6, 6\)"):
        around_aneurysm(vessels, replace(tree, sacs=(flat,)))


def test_two_sacs_of_like_size_are_asked_about(vessels, tree):
    (sac,) = tree.sacs
    other = replace(sac, centre_mm=(-17.0, -8.0, 6.0))
    with pytest.raises(NoAneurysm, match="2 sacs stand out"):
        around_aneurysm(vessels, replace(tree, sacs=(sac, other)))
    piece = around_aneurysm(vessels, replace(tree, sacs=(sac, other)), click_mm=sac.centre_mm)
    assert points_of(piece)[:, 0].min() > 2.0


def test_a_click_far_from_all_vessels_and_another_frame_are_refused(vessels, tree):
    with pytest.raises(NoAneurysm, match="no vessel is within"):
        around_aneurysm(vessels, tree, click_mm=(0.0, 30.0, 20.0))
    with pytest.raises(FrameMismatch):
        around_aneurysm(vessels, replace(tree, frame_uid="9.9"))


def test_vessels_that_may_be_a_piece_already_are_kept_where_no_sac_stands_out(vessels, tree):
    healthy = replace(tree, sacs=())
    extent = np.ptp(tree.points_mm, axis=0).max()
    kept = around_aneurysm(vessels, healthy, cropped=True, reach_mm=float(extent / 3 + 1))
    assert np.array_equal(kept.array, vessels.array)
    assert [finding.code for finding in kept.findings] == ["piece_kept"]
    with pytest.raises(NoAneurysm):
        around_aneurysm(vessels, healthy, cropped=True, reach_mm=float(extent / 3 - 1))
    alike = (around_aneurysm(vessels, tree, cropped=c).array for c in (True, False))
    assert np.array_equal(*alike)


def test_a_label_of_all_vessels_is_cut_down_as_those_of_an_image_are():
    template = find_template("aneurysm")
    plan = template.plan("1.2.3", {"lumen": "key"}, {"lumen": "labels"})
    steps = {step.output: step for step in plan.steps}
    assert steps["region"].inputs == {"vessels": "lumen_file", "tree": "tree"}
    assert steps["surface"].inputs == {"labels": "region"}
    assert "region" not in {
        step.output for step in template.plan("1.2.3", {"lumen": "k"}, {"lumen": "surface"}).steps
    }
