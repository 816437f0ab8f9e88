"""Segments are claimed only where the portal tree reaches them."""

import numpy as np
import pytest

from meshing.centerline import Branch, Centerline, Node
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.couinaud import portal_branches
from workstation.planning.couinaud_names import AREAS
from workstation.planning.couinaud_reach import undivided
from workstation.planning.territories import territories
from workstation.planning.vein_names import branch_names

ALL = {"II", "III", "IV", "V", "VI", "VII", "VIII"}


def liver():
    """A block 160 x 120 x 120 mm: the confluence is looked for at (-11, 8, 62)."""
    axes = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    grid = ImageGeometry((40, 30, 30), (4.0, 4.0, 4.0), (-110.0, -60.0, -40.0), axes, "f")
    return LabelMap(np.ones(grid.shape, np.uint8), grid, {1: Label("liver")})


def tree(*lines):
    """A tree of straight branches of 3 mm radius from (0, 0, 0), in order from the root."""
    nodes = list(dict.fromkeys(p for line in lines for p in line))
    points, branches = [], []
    for a, b in lines:
        at = np.linspace(a, b, 12)
        branches.append(Branch(len(points), len(points) + 12, nodes.index(a), nodes.index(b)))
        points += at.tolist()
    return Centerline(
        np.array(points), np.full(len(points), 3.0), tuple(branches),
        tuple(Node(p, 3.0, "junction") for p in nodes), {"root": 0}, "f",
    )  # fmt: skip


TRUNK = ((0.0, 20.0, -20.0), (-5.0, 5.0, 0.0))
RIGHT = (TRUNK[1], (-40.0, 10.0, 5.0))
LEFT = (TRUNK[1], (20.0, -35.0, 10.0))


def test_main_branches_alone_make_lobes_that_add_up_to_the_organ():
    named = portal_branches(tree(TRUNK, RIGHT, LEFT), liver())
    assert branch_names(named) == ("main", "right_lobe", "left_lobe")
    said = [f.sentence for f in named.findings if f.code == "segments_not_told_apart"]
    assert len(said) == 2
    assert "No branch to II, III or IV was found" in said[1]
    found = territories(liver(), named)
    assert {label.name for label in found.labels.values()} == {"right_lobe", "left_lobe"}
    ml = {n.quantity: n.value for n in found.numbers}
    whole = 160 * 120 * 120 / 1000
    assert ml["right_lobe.volume"] + ml["left_lobe.volume"] == pytest.approx(whole)
    assert 0.4 * whole < ml["right_lobe.volume"] < 0.9 * whole


def test_a_single_branch_names_the_whole_liver():
    assert branch_names(portal_branches(tree(TRUNK, RIGHT), liver()))[1] == "whole_liver"


def test_what_a_person_named_stays():
    names = (("VI", -38.0, 10.0, 5.0),)
    named = portal_branches(tree(TRUNK, RIGHT, LEFT), liver(), names=names)
    assert branch_names(named)[1:] == ("VI", "left_lobe")
    names = (*names, ("left_lobe", 18.0, -33.0, 10.0))
    named = portal_branches(tree(TRUNK, RIGHT, LEFT), liver(), names=names)
    assert branch_names(named)[1:] == ("VI", "left_lobe")


@pytest.mark.parametrize(
    ("lacking", "areas"),
    [
        ((), ()),
        (("VII",), ("right_posterior_sector",)),
        (("VI", "VII"), ("right_lobe",)),
        (("VII", "VIII"), ("right_anterior_sector", "right_posterior_sector")),
        (("II",), ("left_lateral_sector",)),
        (("IV",), ("left_lobe",)),
        (("II", "III", "V"), ("right_anterior_sector", "left_lobe")),
        (("II", "III", "IV"), ("whole_liver",)),
    ],
)
def test_a_segment_without_its_neighbour_is_called_by_the_area_of_both(lacking, areas):
    found = ALL - set(lacking)
    assert undivided(found, found, 0.35) == areas


def test_a_lobe_that_is_not_there_is_not_missed():
    right = set(AREAS["right_lobe"])
    assert undivided(right, right, 0.05) == ()


def test_a_mirrored_liver_is_told_of():
    """The bulk of a wedge lies where it is high: on the right in most patients."""
    organ = liver()
    k, _, i = np.indices(organ.array.shape)
    for flip, codes in ((1, set()), (-1, {"liver_on_the_left"})):
        array = (k <= 30 - 0.7 * i).astype(np.uint8)[:, :, ::flip]
        wedge = LabelMap(np.ascontiguousarray(array), organ.geometry, organ.labels)
        named = portal_branches(tree(TRUNK, RIGHT, LEFT), wedge)
        assert {f.code for f in named.findings} & {"liver_on_the_left"} == codes
