"""Moving cuts of every kind, against the stages that compute them in full."""

from typing import Literal

import numpy as np
import pytest

from tests.workstation.test_live import LIVER, MIDDLE, PREVIEW, TUMOR, forked
from workstation.planning.cut_surface import CutSurface
from workstation.planning.cut_surface_stages import combine_cuts, cut_planes, cut_wedge
from workstation.planning.drainage import lost_territory
from workstation.planning.live import LivePreview
from workstation.planning.live_cuts import LiveCut, LiveJoined, LivePlanes
from workstation.planning.live_wedge import LiveWedge
from workstation.planning.proposal import Point, as_point
from workstation.planning.resection import cut_plane, margin, remnant

TREE = forked()
LEFT: Point = (1.0, 0.0, 0.0)
RIGHT: Point = (-1.0, 0.0, 0.0)
POINTS = (as_point(MIDDLE - [4, 0, 0]), as_point(np.add(MIDDLE, [0, 14, 0])))
NORMALS: tuple[Point, Point] = ((-0.8, 0.6, 0.0), (0.0, -1.0, 0.0))


def require_agreement(live: LiveCut, cut: CutSurface, margin_mm: float) -> None:
    quick = PREVIEW.judge(live)
    full = {n.quantity: n.value for n in remnant(LIVER, cut, TUMOR).numbers}
    assert quick.remnant_percent == pytest.approx(full["fraction"], abs=0.7)
    assert quick.functional_percent == pytest.approx(full["functional_fraction"], abs=0.7)
    lost = lost_territory(LIVER, TREE, cut, TUMOR).volume_ml()
    assert quick.devascularised_ml == pytest.approx(lost, abs=0.02 * LIVER.volume_ml())
    exact = margin(TUMOR, cut)
    if margin_mm > 0:
        assert exact.numbers[0].value == pytest.approx(margin_mm, abs=0.6)
        assert quick.margin_mm == pytest.approx(margin_mm, abs=0.6)
    else:  # left behind, how far does not count
        assert (quick.margin_mm or 0.0) < 0
    wrong = {"tumor_crossed", "tumor_outside_specimen"}
    assert {f.code for f in quick.findings} == wrong & {f.code for f in exact.findings}


@pytest.mark.parametrize("specimen", ["between", "beyond_any"])
def test_planes(specimen: Literal["between", "beyond_any"]) -> None:
    cut = cut_planes(LIVER, points_mm=POINTS, normals=NORMALS, specimen=specimen)
    exact = margin(TUMOR, cut).numbers[0].value
    require_agreement(LivePlanes(POINTS, NORMALS, specimen), cut, exact)


def test_margins_of_planes_are_exact_though_few_places_of_a_lesion_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workstation.planning.live.SKIN", 20)
    normals: tuple[Point, Point] = ((-0.6, 0.64, 0.48), (-0.96, -0.28, 0.0))
    cut = cut_planes(LIVER, points_mm=POINTS, normals=normals)
    quick = LivePreview(LIVER, TUMOR).judge(LivePlanes(POINTS, normals))
    assert quick.margin_mm == pytest.approx(margin(TUMOR, cut).numbers[0].value, abs=0.05)


@pytest.mark.parametrize(("margin_mm", "opening"), [(3.0, 30.0), (7.0, 80.0)])
def test_wedges(margin_mm: float, opening: float) -> None:
    cut = cut_wedge(LIVER, TUMOR, margin_mm=margin_mm, opening_degrees=opening)
    require_agreement(LiveWedge(margin_mm, opening), cut, margin_mm)


def test_a_closed_wedge() -> None:
    cut = cut_wedge(LIVER, TUMOR, margin_mm=5.0, open_to_surface=False)
    require_agreement(LiveWedge(5.0, open_to_surface=False), cut, 5.0)


def test_a_wedge_that_spares_a_vein() -> None:
    cut = cut_wedge(LIVER, TUMOR, TREE, margin_mm=7.0, spared_mm=2.5)
    live = LiveWedge(7.0, spared_mm=2.5)
    require_agreement(live, cut, margin(TUMOR, cut).numbers[0].value)
    assert (PREVIEW.judge(live).margin_mm or 7.0) < 6.0


@pytest.mark.parametrize("operation", ["both", "either", "first_without_second"])
def test_combinations(operation: Literal["both", "either", "first_without_second"]) -> None:
    plane = cut_plane(LIVER, point_mm=POINTS[0], normal=(-1.0, 0.2, 0.0))
    wedge = cut_wedge(LIVER, TUMOR, margin_mm=5.0)
    cut = combine_cuts(LIVER, plane, wedge, operation=operation)
    parts = LivePlanes((plane.point_mm,), (plane.normal,)), LiveWedge(5.0)
    exact = margin(TUMOR, cut).numbers[0].value
    require_agreement(LiveJoined(*parts, operation), cut, exact)
    require_agreement(LiveJoined(parts[0], wedge, operation), cut, exact)


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (LivePlanes((as_point(np.add(MIDDLE, [60, 0, 0])),), (LEFT,)), "removes nothing"),
        (LivePlanes((POINTS[0], POINTS[0]), (LEFT, RIGHT)), "removes nothing"),
        (LivePlanes((POINTS[0], POINTS[0]), (LEFT, RIGHT), "beyond_any"), "the whole organ"),
        (LiveWedge(50.0), "the whole organ"),
        (LiveJoined(LiveWedge(4.0), LiveWedge(9.0), "first_without_second"), "removes nothing"),
    ],
)
def test_impossible_cuts_of_every_kind_are_said(live: LiveCut, words: str) -> None:
    found = PREVIEW.judge(live)
    assert words in found.findings[0].sentence
    assert (found.margin_mm, found.devascularised_ml, found.pressure) == (None, None, None)


def test_a_tumour_left_behind_is_said_of_combinations() -> None:
    left = LivePlanes((as_point(MIDDLE + np.array([8, 0, 0])),), (LEFT,))
    found = PREVIEW.judge(LiveJoined(left, LiveWedge(4.0), "first_without_second"))
    assert [f.code for f in found.findings] == ["tumor_outside_specimen"]
    assert (found.margin_mm or 0.0) < 0


def test_a_wedge_needs_a_tumour() -> None:
    with pytest.raises(ValueError, match="no tumour"):
        LivePreview(LIVER).judge(LiveWedge())
