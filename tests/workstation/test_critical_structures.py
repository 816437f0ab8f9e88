"""Distances of critical structures to a cut and a tumour, against brute force and known places."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from meshing.surface import isosurface
from meshing.tracts import as_tubes
from segmentation.contract import FrameMismatch, Severity
from segmentation.volume import Label, LabelMap, Volume
from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of
from workstation.planning.critical_structures import critical_labels, places_mm, structure_distances
from workstation.planning.cut_surface_stages import cut_surface
from workstation.planning.live import LivePreview
from workstation.planning.margin_map import NEARNESS, critical_distance
from workstation.planning.proposal import as_point
from workstation.planning.resection import cut_plane
from workstation.planning.template import find_template
from workstation.planning.tumor_surroundings import tumor_surroundings
from workstation.stages import check_plan

GRID = grid((36, 36, 36), (1.3, 1.3, 2.0), LEFT_HANDED)
ORGAN = label_of(GRID, ellipsoid((33, 30, 33), (0, 0, 0)), "kidney")
TUMOR = label_of(GRID, ellipsoid((6, 6, 6), (-15.0, 5.0, 6.0)), "tumor")
MIDDLE = GRID.centre_mm()
POINT = as_point(MIDDLE + np.array([-6.0, 0.0, 0.0]))
CUT = cut_plane(ORGAN, point_mm=POINT, normal=(-1, 0, 0))


def two_areas() -> LabelMap:
    """Return a ball 6.5 mm beyond the plane, and another that it goes through."""
    near = label_of(GRID, ellipsoid((4, 4, 4), (4.5, -8.0, 3.0))).mask()
    through = label_of(GRID, ellipsoid((5, 5, 5), (-5.0, 9.0, -9.0))).mask()
    array = near.astype(np.uint8) + 2 * through.astype(np.uint8)
    return LabelMap(array, GRID, {1: Label("renal_artery"), 2: Label("ureter")})


def numbers(result: object) -> dict[str, float]:
    return {n.quantity: n.value for n in result.numbers}  # type: ignore[attr-defined]


def test_each_label_has_its_distances_and_places() -> None:
    found = structure_distances(CUT, two_areas(), TUMOR)
    values = numbers(found)
    assert values["renal_artery_to_cut"] == pytest.approx(6.5, abs=0.7)
    assert values["ureter_to_cut"] == values["nearest_to_cut"] == 0
    artery = isosurface(two_areas(), label="renal_artery").points_mm
    brute = cKDTree(isosurface(TUMOR).points_mm).query(artery)[0].min()
    assert values["renal_artery_to_tumor"] == pytest.approx(brute, abs=0.3)
    codes = {f.sentence.split(" ")[0]: f for f in found.findings}
    assert codes["Beyond"].code == "beyond_safety_band"
    assert "renal artery" in codes["Beyond"].sentence
    assert codes["The"].code == "structure_cut"
    assert np.linalg.norm(np.asarray(codes["The"].location_mm) - MIDDLE - (-5, 9, -9)) < 6
    band = next(n for n in found.numbers if n.quantity == "renal_artery_to_cut")
    assert band.high - band.low == pytest.approx(2.0)  # type: ignore[operator]
    assert not found.lines_mm  # what is far away is not drawn


def test_bands_decide_what_is_said() -> None:
    wide = structure_distances(CUT, two_areas(), risk_mm=8, safety_mm=10)
    assert {f.code for f in wide.findings} == {"inside_risk_band", "structure_cut"}
    middle = structure_distances(CUT, two_areas(), risk_mm=2, safety_mm=10)
    assert {f.code for f in middle.findings} == {"inside_safety_band", "structure_cut"}
    (way,) = middle.lines_mm  # from the artery to the plane
    assert way[1, 0] == pytest.approx(POINT[0], abs=1e-3)
    assert way[0, 0] - way[1, 0] == pytest.approx(6.5, abs=0.7)


def test_labels_keep_their_names_on_the_image() -> None:
    image_grid = grid((36, 36, 36), (1.9, 1.6, 2.5), LEFT_HANDED)
    image = Volume(np.zeros(image_grid.shape, np.int16), image_grid)
    placed = critical_labels(two_areas(), image)
    assert placed.geometry == image_grid
    assert [label.name for label in placed.labels.values()] == ["renal_artery", "ureter"]
    for name in ("renal_artery", "ureter"):
        assert placed.volume_ml(name) == pytest.approx(two_areas().volume_ml(name), rel=0.12)
    far = replace(image, geometry=replace(image_grid, origin_mm=(900.0, 0.0, 0.0)))
    with pytest.raises(ValueError, match="inside the image"):
        critical_labels(two_areas(), far)


def test_a_moving_cut_tells_the_nearest_structure() -> None:
    tract = as_tubes(bundle([3.25, 9.0]), GRID.frame_uid, "tract")
    artery = label_of(GRID, ellipsoid((4, 4, 4), (4.5, -8.0, 3.0)), "artery")
    far = as_tubes([np.array([(-90.0, 0, 0), (-90.0, 9, 0)]) + MIDDLE], GRID.frame_uid)
    spared = {"tracts": tract, "labels": artery, "far": far, "nothing": None}
    places = {name: places_mm(value) for name, value in spared.items()}
    preview = LivePreview(ORGAN, TUMOR, critical=places)
    live = preview.at(CUT.point_mm, CUT.normal).near_mm
    assert set(live) == {"tracts", "labels"}  # no place of the others is in the organ
    for name in live:
        exact = numbers(structure_distances(CUT, spared[name]))  # type: ignore[arg-type]
        assert live[name] == pytest.approx(exact["nearest_to_cut"], abs=0.3)
    across = preview.at(MIDDLE + np.array([5.0, -8.0, 3.0]), (-1.0, 0, 0)).near_mm
    assert across["labels"] == pytest.approx(0, abs=0.3)
    bent = cut_surface(ORGAN, point_mm=POINT, normal=(-1, 0, 0), heights_mm=((0, 0), (0, 0)))
    assert bent.sheet is not None
    over = preview.over(bent.sheet).near_mm
    assert over == pytest.approx(dict(live), abs=0.3)


def bundle(offsets: list[float]) -> list[np.ndarray]:
    """Return straight fibres along y, so far (mm) from the plane on the side that stays."""
    along = np.linspace(-20, 20, 9)
    return [
        MIDDLE + np.array([(-6.0 + x, y, 2.0 + 0.1 * n) for y in along])
        for n, x in enumerate(offsets)
    ]


def test_a_tract_beside_the_cut_keeps_its_distance() -> None:
    tract = as_tubes(bundle([3.25, 4.5, 9.0]), GRID.frame_uid, "left_cst")
    values = numbers(structure_distances(CUT, tract))
    assert values["left_cst_to_cut"] == pytest.approx(3.25, abs=0.02)
    assert values["left_cst_fibres_cut"] == 0
    sheet = critical_distance(CUT, tract)
    assert sheet.numbers[0].low is None, "a fibre has no voxels to take a band from"
    assert sheet.point_data[NEARNESS].min() == pytest.approx(3.25, abs=0.15)


def test_fibres_are_severed_inside_the_organ_only() -> None:
    ends = [np.array([(-30.0, y, 1.0), (14.0, y, 2.0)]) + MIDDLE for y in (-3.0, 2.0, 60.0)]
    tract = as_tubes([*ends, *bundle([7.0])], GRID.frame_uid, "tract")
    found = structure_distances(CUT, tract, TUMOR)
    assert numbers(found)["tract_fibres_cut"] == 2  # the third passes the organ by
    assert numbers(found)["tract_share_cut"] == 50
    assert numbers(found)["tract_to_tumor"] == 0
    assert [f.code for f in found.findings] == ["structure_cut", "tumor_at_structure"]


def test_the_inside_of_a_closed_surface_is_no_distance_away() -> None:
    skin = replace(isosurface(two_areas(), label="ureter"), name="ureter")
    assert numbers(structure_distances(CUT, skin))["ureter_to_cut"] == 0
    assert critical_distance(CUT, skin).point_data[NEARNESS].min() == 0


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(ValueError, match="no voxel"):
        structure_distances(CUT, replace(TUMOR, array=np.zeros_like(TUMOR.array)))
    foreign = as_tubes(bundle([5.0]), "9.9")
    for work in (
        lambda: structure_distances(CUT, foreign),
        lambda: critical_distance(CUT, foreign),
    ):
        with pytest.raises(FrameMismatch):
            work()
    with pytest.raises(ValueError, match="band"):
        structure_distances(CUT, TUMOR, risk_mm=9, safety_mm=5)


def test_without_an_organ_the_tissue_around_the_tumour_is_cut() -> None:
    tissue = tumor_surroundings(TUMOR, reach_mm=10)
    radius_mm = 10 * (tissue.volume_ml() * 3 / (4 * np.pi)) ** (1 / 3)
    assert radius_mm == pytest.approx(6 + 10, abs=0.7)  # between centres of voxels
    assert [f.code for f in tissue.findings] == ["no_organ"]
    nothing = replace(TUMOR, array=np.zeros_like(TUMOR.array))
    around = tumor_surroundings(nothing)
    assert not around.mask().any()
    assert [f.severity for f in around.findings] == [Severity.WARNING]


def test_the_plan_has_steps_for_what_is_given() -> None:
    template = find_template("resection")
    every = dict.fromkeys(template.sources, "k")
    kinds = {name: source.kinds[0] for name, source in template.sources.items()}
    plan = template.plan("1.2.3", every, kinds)
    check_plan(plan)
    assert {"critical_near", "critical_map", "tracts_near", "tracts_map"} <= set(plan.keys())
    without = template.plan("1.2.3", {"image": "k", "tumor": "k"}, kinds)
    wedges = [plan.step("cut"), without.step("cut")]
    assert [step.stage for step in wedges] == ["planning.cut_wedge"] * 2
    assert [dict(step.params) for step in wedges] == [{}, {"open_to_surface": False}]
    unmarked = template.plan("1.2.3", every, kinds, ["tumor"])
    check_plan(unmarked)
    assert unmarked.step("cut").stage == "planning.cut_plane"
    bare = template.plan("1.2.3", {"image": "k"}, {"image": "volume"})
    check_plan(bare)
    assert not {"critical_near", "tracts_near"} & set(bare.keys())
    assert bare.step("cut").stage == "planning.cut_plane"  # with nothing to cut a wedge around
    assert {s.output: s.stage for s in bare.steps}["tumor"] == "planning.empty_label"
