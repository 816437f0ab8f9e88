"""A planar cut: sides, volumes, margins and proposals against shapes of known size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing.files import read_surface, write_surface
from meshing.surface import SurfaceMesh
from segmentation.contract import FrameMismatch, Severity
from segmentation.volume import ImageGeometry, LabelMap
from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of, tube
from workstation.planning.live import LivePreview
from workstation.planning.resection import (
    CutPlane,
    cut_plane,
    margin,
    remnant,
    specimen,
)
from workstation.planning.vessels_crossed import cut_vessels

SPACING = (1.3, 1.3, 2.0)
LIVER_MM, TUMOR_MM = 50.0, 9.0
NO_SURFACE = SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), "1.2.3")
TUMOR_AT = np.array([-24.0, 6.0, 10.0])


@pytest.fixture(scope="module", params=["lps", "oblique left-handed"])
def geometry(request: pytest.FixtureRequest) -> ImageGeometry:
    axes = np.eye(3) if request.param == "lps" else LEFT_HANDED
    return grid((54, 54, 54) if request.param == "lps" else (60, 60, 60), SPACING, axes)


@pytest.fixture(scope="module")
def liver(geometry: ImageGeometry) -> LabelMap:
    return label_of(geometry, ellipsoid((LIVER_MM,) * 3, (0, 0, 0)), "liver")


@pytest.fixture(scope="module")
def tumor(geometry: ImageGeometry) -> LabelMap:
    return label_of(geometry, ellipsoid((TUMOR_MM,) * 3, tuple(TUMOR_AT)), "tumor")


def plane(labels: LabelMap, normal: tuple[float, float, float], offset_mm: float) -> CutPlane:
    direction = np.asarray(normal) / np.linalg.norm(normal)
    point = labels.geometry.centre_mm() + offset_mm * direction
    return cut_plane(labels, point_mm=tuple(point), normal=normal)


def cap_share(offset_mm: float) -> float:
    """Return the share of a ball beyond a plane at this distance from its centre."""
    height = LIVER_MM - offset_mm
    return height**2 * (3 * LIVER_MM - height) / (4 * LIVER_MM**3)


def values(result: object) -> dict[str, float]:
    return {n.quantity: n.value for n in result.numbers}  # type: ignore[attr-defined]


@pytest.mark.parametrize("normal", [(-1.0, 0, 0), (0, 2.0, 0), (-1, 0.4, 0.7)])
@pytest.mark.parametrize("offset_mm", [-20.0, 0.0, 15.0])
def test_parts_have_their_volume_and_side(
    liver: LabelMap, normal: tuple[float, float, float], offset_mm: float
) -> None:
    cut = plane(liver, normal, offset_mm)
    removed, stays = specimen(liver, cut), remnant(liver, cut)
    assert np.array_equal(removed.mask() | stays.mask(), liver.mask())
    assert not (removed.mask() & stays.mask()).any()
    assert values(removed)["fraction"] == pytest.approx(100 * cap_share(offset_mm), abs=1.0)
    assert values(stays)["fraction"] == pytest.approx(100 - values(removed)["fraction"])
    assert values(removed)["volume"] + values(stays)["volume"] == pytest.approx(liver.volume_ml())
    index = np.argwhere(removed.mask())[:, ::-1]
    towards = liver.geometry.to_world(index).mean(axis=0) - liver.geometry.centre_mm()
    assert np.dot(towards, normal) > 0
    assert [x.labels[1].name for x in (removed, stays)] == ["specimen", "remnant"]


def test_a_right_sided_normal_removes_the_right_side(liver: LabelMap) -> None:
    removed = specimen(liver, plane(liver, (-1, 0, 0), 5.0))
    x = liver.geometry.to_world(np.argwhere(removed.mask())[:, ::-1])[:, 0]
    assert x.max() <= liver.geometry.centre_mm()[0] - 5.0  # patient's right is -x


def test_functional_share_leaves_the_tumour_out(liver: LabelMap, tumor: LabelMap) -> None:
    cut = plane(liver, (-1, 0, 0), 0.0)
    stays = remnant(liver, cut, tumor)
    tumor_ml = tumor.volume_ml()
    assert not (stays.mask() & tumor.mask()).any()
    expected = 100 * stays.volume_ml() / (liver.volume_ml() - tumor_ml)
    assert values(stays)["functional_fraction"] == pytest.approx(expected)
    assert values(stays)["functional_fraction"] > values(stays)["fraction"]
    # With the tumour in the remnant, it leaves numerator and denominator.
    other = values(remnant(liver, plane(liver, (1, 0, 0), 0.0), tumor))
    remnant_ml = other["volume"] - tumor_ml
    assert other["functional_fraction"] == pytest.approx(
        100 * remnant_ml / (liver.volume_ml() - tumor_ml)
    )


@pytest.mark.parametrize("normal", [(-1.0, 0, 0), (0, 0, 1.0), (-1, 0.4, 0.7), (-0.2, -1, 0.1)])
@pytest.mark.parametrize("expected_mm", [3.0, 8.0, -4.0, -25.0])
def test_margin_is_the_distance_to_a_ball(
    liver: LabelMap, tumor: LabelMap, normal: tuple[float, float, float], expected_mm: float
) -> None:
    direction = np.asarray(normal) / np.linalg.norm(normal)
    offset = float(TUMOR_AT @ direction) - TUMOR_MM - expected_mm
    cut = plane(liver, normal, offset)
    result = margin(tumor, cut)
    (number,) = result.numbers
    half_voxel = np.abs(direction @ liver.geometry.axes) @ SPACING / 2
    assert number.value == pytest.approx(expected_mm, abs=half_voxel)
    assert number.low is not None
    assert number.high is not None
    assert number.high - number.low == pytest.approx(2 * half_voxel)
    assert number.low <= expected_mm <= number.high
    (finding,) = result.findings
    code = {-4.0: "tumor_crossed", -25.0: "tumor_outside_specimen"}.get(expected_mm)
    assert finding.code == (code or "nearest_point")
    assert (finding.severity == Severity.PROBLEM) == (code is not None)
    assert finding.location_mm is not None
    truth = liver.geometry.centre_mm() + TUMOR_AT - TUMOR_MM * direction
    assert np.dot(finding.location_mm - truth, direction) == pytest.approx(0, abs=half_voxel)


def test_a_margin_below_a_millimetre_is_a_warning(liver: LabelMap, tumor: LabelMap) -> None:
    cut = plane(liver, (-1, 0, 0), 0.0)
    far = margin(tumor, cut).numbers[0].value
    point = np.add(cut.point_mm, np.multiply(cut.normal, far - 0.5))
    (finding,) = margin(tumor, replace(cut, point_mm=tuple(point))).findings
    assert (finding.code, finding.severity) == ("narrow_margin", Severity.WARNING)


def test_lesions_on_both_sides_are_told_apart(liver: LabelMap, tumor: LabelMap) -> None:
    second = label_of(liver.geometry, ellipsoid((8, 8, 8), (30, -5, 0)))
    both = replace(tumor, array=tumor.array | second.array)
    result = margin(both, plane(liver, (-1, 0, 0), 5.0))
    assert [f.code for f in result.findings] == ["tumor_outside_specimen", "nearest_point"]
    assert "1 of 2" in result.findings[0].sentence
    removed_mm = -TUMOR_AT[0] - TUMOR_MM - 5.0
    assert result.numbers[0].value == pytest.approx(removed_mm, abs=1.5)
    direction = np.array([-1.0, 0, 0])
    point = liver.geometry.centre_mm() + 5.0 * direction
    live = LivePreview(liver, both).at(point, direction)
    assert live.margin_mm == pytest.approx(result.numbers[0].value, abs=1e-6)
    assert live.lesions_left == values(result)["lesions_left"] == 1
    none = margin(both, plane(liver, (-1, 0, 0), 40.0))
    assert "lesions_left" not in values(none)  # the margin leaves none out


def test_an_empty_tumour_has_no_margin(liver: LabelMap, tumor: LabelMap) -> None:
    nothing = replace(tumor, array=np.zeros_like(tumor.array))
    result = margin(nothing, plane(liver, (-1, 0, 0), 0.0))
    assert (result.numbers, [f.code for f in result.findings]) == ((), ["no_tumor"])


def test_the_cut_surface_is_the_disc_inside_the_liver(liver: LabelMap, tmp_path: Path) -> None:
    cut = plane(liver, (-1, 0.4, 0.7), 15.0)
    points = cut.surface.points_mm
    assert values(cut)["area"] == pytest.approx(np.pi * (LIVER_MM**2 - 15**2) / 100, rel=0.02)
    assert cut.distance_mm(points) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(points - liver.geometry.centre_mm(), axis=1).max() < LIVER_MM + 2
    a, b, c = (points[cut.surface.triangles[:, n]] for n in range(3))
    assert (np.cross(b - a, c - a) @ cut.normal).min() >= -1e-9
    back = read_surface(write_surface(cut.surface, tmp_path / "cut.stl"))
    assert back.points_mm.mean(axis=0) == pytest.approx(points.mean(axis=0), abs=0.01)


def test_proposal_keeps_the_margin_and_removes_least(liver: LabelMap, tumor: LabelMap) -> None:
    cut = cut_plane(liver, tumor, margin_mm=7.0)
    assert [f.code for f in cut.findings] == ["proposed_cut"]
    assert margin(tumor, cut).numbers[0].value == pytest.approx(7.0, abs=1e-6)
    # In a ball the best plane faces the centre along the line to the tumour.
    best = TUMOR_AT / np.linalg.norm(TUMOR_AT)
    assert np.dot(cut.normal, best) > np.cos(np.radians(6))
    assert np.linalg.norm(cut.normal) == pytest.approx(1.0)
    again = cut_plane(liver, tumor, margin_mm=7.0)
    assert (again.point_mm, again.normal) == (cut.point_mm, cut.normal)


def test_proposal_along_a_given_direction(liver: LabelMap, tumor: LabelMap) -> None:
    cut = cut_plane(liver, tumor, normal=(0, 3.0, 0), margin_mm=4.0)
    assert cut.normal == (0, 1, 0)
    assert margin(tumor, cut).numbers[0].value == pytest.approx(4.0, abs=1e-6)


def test_without_a_tumour_the_right_third_is_marked_as_a_start(
    liver: LabelMap, tumor: LabelMap
) -> None:
    for nothing in (None, replace(tumor, array=np.zeros_like(tumor.array))):
        cut = cut_plane(liver, nothing)
        assert {f.code: f.severity for f in cut.findings} == {
            "cut_start" if nothing is None else "no_tumor": Severity.WARNING,
            "proposed_cut": Severity.INFO,
        }
        assert cut.normal == (-1, 0, 0)
        assert values(specimen(liver, cut))["fraction"] == pytest.approx(100 / 3, abs=1.5)


def test_a_margin_that_leaves_nothing_is_refused(liver: LabelMap) -> None:
    with pytest.raises(ValueError, match="leaves nothing"):
        cut_plane(liver, label_of(liver.geometry, ellipsoid((35,) * 3)), margin_mm=30.0)


def test_bad_planes_are_refused(liver: LabelMap, tumor: LabelMap) -> None:
    centre = tuple(liver.geometry.centre_mm())
    for normal in ((0, 0, 0), (np.inf, 0, 0), (np.nan, 1, 0)):
        with pytest.raises(ValueError, match="normal"):
            cut_plane(liver, point_mm=centre, normal=normal)
    with pytest.raises(ValueError, match="finite"):
        cut_plane(liver, point_mm=(np.nan, 0, 0), normal=(1, 0, 0))
    with pytest.raises(ValueError, match="misses the organ by 1"):
        plane(liver, (0, 1, 0), LIVER_MM + 12)
    with pytest.raises(ValueError, match="needs its normal"):
        cut_plane(liver, point_mm=centre)
    empty = replace(liver, array=np.zeros_like(liver.array))
    cut = plane(liver, (1, 0, 0), 0.0)
    for work in (cut_plane, lambda x: specimen(x, cut), lambda x: remnant(x, cut), LivePreview):
        with pytest.raises(ValueError, match="no voxel"):
            work(empty)
    foreign = replace(tumor, geometry=replace(tumor.geometry, frame_uid="9.9"))
    for wrong in (
        lambda: margin(foreign, cut),
        lambda: specimen(foreign, cut),
        lambda: cut_plane(liver, foreign),
        lambda: remnant(liver, cut, foreign),
        lambda: cut_vessels(foreign, cut),
        lambda: LivePreview(liver, foreign),
    ):
        with pytest.raises(FrameMismatch):
            wrong()


@settings(max_examples=12, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 3), st.floats(-40, 40))
def test_preview_agrees_with_the_stages(
    live: tuple[LivePreview, LabelMap, LabelMap],
    direction: tuple[float, float, float],
    offset_mm: float,
) -> None:
    preview, organ, lesion = live
    normal = np.add(direction, (0, 0, 2.0)) / np.linalg.norm(np.add(direction, (0, 0, 2.0)))
    point = organ.geometry.centre_mm() + offset_mm * normal
    cut = CutPlane(tuple(point), tuple(normal), "1.2.3", NO_SURFACE)
    quick = preview.at(cut.point_mm, cut.normal)
    full = values(remnant(organ, cut, lesion))
    assert quick.remnant_ml == pytest.approx(full["volume"], abs=0.005 * organ.volume_ml())
    assert quick.remnant_ml + quick.specimen_ml == pytest.approx(organ.volume_ml())
    assert quick.remnant_percent == pytest.approx(full["fraction"], abs=0.5)
    assert quick.functional_percent == pytest.approx(full["functional_fraction"], abs=0.5)
    assert quick.margin_mm == pytest.approx(values(margin(lesion, cut))["minimum"], abs=1e-6)


@pytest.fixture(scope="module")
def live() -> tuple[LivePreview, LabelMap, LabelMap]:
    """Prepare an organ of more voxels than the preview samples."""
    fine = grid((52, 52, 52), (0.8, 0.8, 1.0), LEFT_HANDED)
    organ = label_of(fine, ellipsoid((LIVER_MM,) * 3, (0, 0, 0)))
    lesion = label_of(fine, ellipsoid((TUMOR_MM,) * 3, tuple(TUMOR_AT)))
    return LivePreview(organ, lesion), organ, lesion


def test_preview_without_a_tumour_has_no_margin(liver: LabelMap) -> None:
    quick = LivePreview(liver).at(liver.geometry.centre_mm(), (1, 0, 0))
    assert quick.margin_mm is quick.functional_percent is None
    assert quick.remnant_percent == pytest.approx(50, abs=1)


def test_vessels_in_the_cut_are_counted_inside_the_organ(liver: LabelMap) -> None:
    wide, narrow = tube(5, 52, (1, 0.3, 0)), tube(3, 52, (1, -0.3, 0))
    outside = tube(3, 20, (1, 0, 0))
    away = np.array([0, 0, 54.0])
    vessels = label_of(
        liver.geometry,
        lambda p: wide(p - [0, 8, 0]) | narrow(p - [0, -8, 0]) | outside(p - away),
    )
    found = values(cut_vessels(vessels, plane(liver, (1, 0.3, 0), 20.0)))
    assert found["crossed"] == 2
    assert found["largest_diameter"] == pytest.approx(10.0, abs=0.5)
    missed = plane(liver, (0, 0, 1), 25.0)
    assert values(cut_vessels(vessels, missed)) == {"crossed": 0}
