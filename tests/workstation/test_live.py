"""Numbers that follow a moving cut, against the full computation."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.centerline import Branch, Centerline, Node
from segmentation.contract import FrameMismatch, Measurements, Number
from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of
from workstation.planning.cut_surface_stages import cut_surface
from workstation.planning.live import LivePreview
from workstation.planning.proposal import as_point
from workstation.planning.resection import cut_plane, margin, remnant
from workstation.planning.vessels_crossed import cut_vessels

GRID = grid((36, 36, 36), (1.1, 1.1, 1.5), LEFT_HANDED)
LIVER = label_of(GRID, ellipsoid((33, 30, 33), (0, 0, 0)), "liver")
TUMOR = label_of(GRID, ellipsoid((6, 6, 6), (-15.0, 5.0, 6.0)), "tumor")
MIDDLE = GRID.centre_mm()


def forked() -> Centerline:
    """Return a tree: a trunk from the left to the middle, one branch on, one to the back."""
    t = np.linspace(0, 1, 61)[:, None]
    lines = [
        MIDDLE + [60, 0, 0] + t * [-60.0, 0, 0],
        MIDDLE + t * [-28.0, 0, 0],
        MIDDLE + t * [0, 26.0, 0],
    ]
    ends = [[60.0, 0, 0], [0.0, 0, 0], [-28.0, 0, 0], [0, 26.0, 0]]
    nodes = tuple(Node(as_point(MIDDLE + e), 2.0, "asked") for e in ends)
    links = ((1, 2), (1, 3), (0, 1))  # the trunk last: its order must not matter
    order = (lines[1], lines[2], lines[0])
    branches = tuple(Branch(61 * n, 61 * n + 61, a, b) for n, (a, b) in enumerate(links))
    radius = np.repeat([2.0, 1.5, 4.0], 61)
    return Centerline(
        np.concatenate(order), radius, branches, nodes, {"root": 0}, "1.2.3", "portal"
    )


def pressure(removed: float) -> Measurements:
    return Measurements((Number("after", 10 + removed, "mmHg", "told", 9.0, 12.0),))


PREVIEW = LivePreview(LIVER, TUMOR, portal=forked(), pressure=pressure)
STRICT = LivePreview(LIVER, TUMOR, portal=forked(), pressure=pressure, dissected_mm=(0.0, 0.0))


def test_bent_sheets_agree_with_the_stages() -> None:
    flat = cut_surface(LIVER, point_mm=as_point(MIDDLE - [4, 0, 0]), normal=(-1, 0.2, 0.1)).sheet
    assert flat is not None
    rng = np.random.default_rng(3)
    for _ in range(3):
        heights = tuple(map(tuple, rng.uniform(-8, 8, (4, 4)).tolist()))
        cut = cut_surface(
            LIVER,
            point_mm=flat.point_mm,
            normal=flat.normal,
            along=flat.along,
            heights_mm=heights,
        )
        quick = PREVIEW.over(replace(flat, heights_mm=heights))
        full = {n.quantity: n.value for n in remnant(LIVER, cut, TUMOR).numbers}
        assert quick.remnant_percent == pytest.approx(full["fraction"], abs=0.5)
        assert quick.functional_percent == pytest.approx(full["functional_fraction"], abs=0.5)
        assert quick.margin_mm == pytest.approx(margin(TUMOR, cut).numbers[0].value, abs=0.4)


def test_a_flat_sheet_is_its_plane() -> None:
    flat = cut_surface(LIVER, point_mm=as_point(MIDDLE - [4, 0, 0]), normal=(-1, 0.2, 0.1)).sheet
    assert flat is not None
    quick, plane = PREVIEW.over(flat), PREVIEW.at(flat.point_mm, flat.normal)
    assert quick.remnant_ml == pytest.approx(plane.remnant_ml, rel=1e-3)
    assert quick.margin_mm == pytest.approx(plane.margin_mm, abs=0.1)
    assert quick.crossed_mm == plane.crossed_mm


def test_branches_crossed_and_what_lies_beyond_them() -> None:
    right = PREVIEW.at(MIDDLE - [5, 0, 0], (-1, 0, 0))
    assert right.crossed_mm == pytest.approx((4.0,))
    # All that hangs on the cut branch is removed but a slab: little is left without blood.
    assert right.devascularised_ml is not None
    assert 0 < right.devascularised_ml < 0.2 * right.remnant_ml
    # The cut takes the left side with the trunk: all that stays has lost its blood.
    left = STRICT.at(MIDDLE + np.array([5, 0, 0]), (1, 0, 0))
    assert left.crossed_mm == pytest.approx((8.0,))
    assert left.devascularised_ml == pytest.approx(left.remnant_ml, rel=1e-6)
    assert left.congested_ml is None
    freed = PREVIEW.at(MIDDLE + np.array([5, 0, 0]), (1, 0, 0))
    assert (freed.crossed_mm, freed.devascularised_ml) == ((), 0.0), "28 mm of the trunk"
    assert left.pressure is not None
    share = left.specimen_ml / LIVER.volume_ml()
    assert left.pressure.numbers[0].value == pytest.approx(10 + share)


@pytest.mark.parametrize(("by_mm", "way"), [(5, (-1, 0, 0)), (3, (-1, 0.8, 0)), (8, (0.1, 1, 0))])
def test_vessels_crossed_are_the_same_while_the_cut_moves_and_at_rest(
    by_mm: float, way: tuple[float, float, float]
) -> None:
    normal = np.array(way) / np.linalg.norm(way)
    cut = cut_plane(LIVER, point_mm=as_point(MIDDLE + by_mm * normal), normal=as_point(normal))
    tree = forked()
    live = PREVIEW.at(cut.point_mm, cut.normal).crossed_mm
    result = cut_vessels(LIVER, cut, LIVER, tree)
    exact = {n.quantity: n.value for n in result.numbers}
    assert live
    assert (exact["crossed"], exact["largest_diameter"]) == (len(live), live[0])
    assert live[0] in (8.0, 4.0, 3.0)  # of the branch, however obliquely it is cut
    assert [f.code for f in result.findings] == ["vessel_crossed"]
    assert cut_vessels(LIVER, cut).findings[-1].code == "vessels_without_tree"
    with pytest.raises(ValueError, match="give the liver"):
        cut_vessels(LIVER, cut, portal=tree)


@pytest.mark.parametrize(("by_mm", "words"), [(-60, "removes nothing"), (60, "the whole organ")])
def test_a_cut_that_takes_nothing_or_everything_is_said_and_not_computed_on(
    by_mm: float, words: str
) -> None:
    found = PREVIEW.at(MIDDLE + np.array([by_mm, 0, 0]), (-1, 0, 0))
    assert words in found.findings[0].sentence
    assert (found.margin_mm, found.functional_percent, found.crossed_mm) == (None, None, None)
    assert (found.devascularised_ml, found.pressure) == (None, None)
    assert {found.specimen_ml, found.remnant_ml} == {0.0, LIVER.volume_ml()}


@pytest.mark.parametrize(
    ("x", "code"),
    [(-4.0, None), (-15.0, "tumor_crossed"), (-25.0, "tumor_outside_specimen")],
)
def test_a_tumour_left_behind_is_said(x: float, code: str | None) -> None:
    found = PREVIEW.at(MIDDLE + np.array([x, 0, 0]), (-1, 0, 0))
    assert [f.code for f in found.findings] == ([] if code is None else [code])
    assert found.margin_mm is not None
    assert (found.margin_mm > 0) == (code is None)


def test_trees_of_another_frame_are_refused() -> None:
    with pytest.raises(FrameMismatch, match="veins"):
        LivePreview(LIVER, hepatic=replace(forked(), frame_uid="9"))
