"""Territories of branches: volumes, nearest branch, and that each hangs together."""

import numpy as np
import pytest
from scipy import ndimage

from meshing.centerline import Branch, Centerline, Node
from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.couinaud_names import VALUES
from workstation.planning.territories import territories

GRID = ImageGeometry((24, 20, 16), (1.0, 1.2, 2.0), (-30, 5, 40), (1, 0, 0, 0, 1, 0, 0, 0, 1), "f")


def organ(mask=None):
    array = np.zeros(GRID.shape, np.uint8)
    array[1:-1, 1:-1, 1:-1] = 1 if mask is None else mask[1:-1, 1:-1, 1:-1]
    return LabelMap(array, GRID, {1: Label("liver")})


def tree(*lines, frame="f"):
    """Branches as (name, points) with points in voxels (i, j, k)."""
    points, codes, branches, nodes = [], [], [], []
    for name, ends in lines:
        line = GRID.to_world(np.linspace(*np.asarray(ends, float), 9))
        start = len(points)
        points += list(line)
        codes += [VALUES.get(name, 0)] * len(line)
        nodes += [Node(tuple(line[0]), 1.0, "junction"), Node(tuple(line[-1]), 1.0, "round")]
        branches.append(Branch(start, len(points), len(nodes) - 2, len(nodes) - 1))
    data = {"territory": np.array(codes, np.uint8)}
    ends = {f"end_{n}": 2 * n + 1 for n in range(len(lines))}
    return Centerline(
        np.array(points), np.ones(len(points)), tuple(branches), tuple(nodes), ends, frame,
        point_data=data,
    )  # fmt: skip


SIDES = tree(("V", ((3, 4, 4), (3, 15, 11))), ("none", ((12, 4, 4), (12, 9, 4))),
             ("II", ((19, 4, 4), (19, 15, 11))))  # fmt: skip
VEINS = tree(("right_hepatic_vein", ((4, 3, 2), (18, 3, 2))),
             ("left_hepatic_vein", ((4, 3, 13), (18, 3, 13))))  # fmt: skip


def numbers(labels):
    return {n.quantity: n.value for n in labels.numbers}


def test_parts_add_up_to_the_organ_exactly():
    whole = organ()
    found = territories(whole, SIDES)
    assert np.array_equal(found.mask(), whole.mask())
    given = numbers(found)
    assert given["volume"] == pytest.approx(whole.volume_ml(), rel=1e-12)
    assert given["V.volume"] + given["II.volume"] == pytest.approx(given["volume"], rel=1e-12)
    assert given["V.fraction"] + given["II.fraction"] == pytest.approx(100.0)
    assert found.mask("V")[8, 10, :11].sum() == 10, "the border lies in the middle"
    assert found.labels[5].code == "277959000"


def test_drainage_and_both_together():
    whole = organ()
    drained = territories(whole, SIDES, VEINS, by="hepatic")
    assert {x.name for x in drained.labels.values()} == {"right_hepatic_vein", "left_hepatic_vein"}
    both = territories(whole, SIDES, VEINS, by="combined")
    part = both.mask("V_right_hepatic_vein")
    supply = territories(whole, SIDES)
    assert np.array_equal(part, supply.mask("V") & drained.mask("right_hepatic_vein"))
    assert sum(v for q, v in numbers(both).items() if q.endswith(".fraction")) == pytest.approx(100)


def test_a_voxel_across_a_fissure_goes_to_the_territory_it_touches():
    mask = np.ones(GRID.shape, np.uint8)
    mask[:, 4:, 11] = 0  # open only at the front
    fissured = organ(mask)
    lines = tree(("V", ((9, 15, 3), (9, 15, 12))), ("II", ((20, 15, 3), (20, 15, 12))),
                 ("II", ((12, 1, 1), (12, 1, 14))))  # fmt: skip
    found = territories(fissured, lines)
    for name in ("V", "II"):
        assert ndimage.label(found.mask(name))[1] == 1
    assert np.array_equal(found.mask(), fissured.mask())
    assert (found.array[8, 10, 12:23] == VALUES["II"]).all(), "nearer to V, but behind the fissure"


def test_labels_of_branches_serve_as_well_as_a_tree():
    array = np.zeros(GRID.shape, np.uint8)
    array[4:12, 10, 3], array[4:12, 10, 19] = 1, 7
    branches = LabelMap(array, GRID, {1: Label("anterior"), 7: Label("left")})
    found = territories(organ(), branches)
    assert {x.name for x in found.labels.values()} == {"anterior", "left"}
    assert found.mask("anterior")[8, 10, 3]
    assert found.mask("left")[8, 10, 19]


def test_what_cannot_be_divided_is_said():
    empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID)
    with pytest.raises(ValueError, match="no voxel"):
        territories(empty, SIDES)
    unnamed = territories(organ(), tree(("none", ((3, 4, 4), (3, 15, 11)))))
    assert [f.code for f in unnamed.findings] == ["no_named_branch"]
    assert not unnamed.array.any()
    with pytest.raises(ValueError, match="lack a tree"):
        territories(organ(), SIDES, by="hepatic")
    with pytest.raises(FrameMismatch):
        territories(organ(), tree(("V", ((3, 4, 4), (3, 15, 11))), frame="g"))


def test_an_island_without_a_branch_is_said():
    mask = np.ones(GRID.shape, np.uint8)
    mask[:, :, 14:17] = 0
    found = territories(organ(mask), tree(("V", ((3, 4, 4), (3, 15, 11)))))
    assert [f.code for f in found.findings] == ["organ_in_pieces"]
    assert np.array_equal(found.mask("V"), organ(mask).mask())


def test_a_segment_of_unusual_size_is_said():
    lines = (("VIII", ((3, 4, 4), (3, 15, 11))), ("V", ((19, 4, 4), (19, 15, 11))))
    (said,) = territories(organ(), tree(*lines)).findings
    assert said.code == "segment_share_unusual"
    assert "V takes 50 % of the liver" in said.sentence
    near = (lines[0], ("V", ((4, 4, 4), (4, 15, 11))), ("V", ((2, 4, 4), (2, 15, 11))))
    assert "V takes 95 %" in territories(organ(), tree(*near)).findings[0].sentence
    places = (("V", 5), ("VI", 12), ("VII", 18), ("VIII", 22))
    small = [(name, ((x, 4, 4), (x, 15, 11))) for name, x in places]
    assert "VIII takes 10 %" in territories(organ(), tree(*small)).findings[0].sentence
    bare = (("III", lines[0][1]), ("VI", ((6, 4, 4), (6, 15, 11))))
    assert "VI takes 8" in territories(organ(), tree(*bare)).findings[0].sentence
    third = (("VIII", ((3, 4, 4), (3, 15, 11))), ("V", ((11, 4, 4), (11, 15, 11))),
             ("VI", ((19, 4, 4), (19, 15, 11))))  # fmt: skip
    assert territories(organ(), tree(*third)).findings == ()
