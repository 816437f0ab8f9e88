"""Maps of margins and critical distances against brute force on labels."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from meshing.surface import isosurface
from segmentation.contract import FrameMismatch, Severity
from segmentation.volume import LabelMap
from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of, tube
from workstation.planning.cut_surface_stages import cut_surface
from workstation.planning.margin_map import MARGIN, NEARNESS, critical_distance, margin_map
from workstation.planning.proposal import as_point
from workstation.planning.resection import cut_plane, margin

GRID = grid((36, 36, 36), (1.3, 1.3, 2.0), LEFT_HANDED)
LIVER = label_of(GRID, ellipsoid((33, 30, 33), (0, 0, 0)), "liver")
TUMOR = label_of(GRID, ellipsoid((6, 6, 6), (-15.0, 5.0, 6.0)), "tumor")
DUCT = label_of(GRID, tube(2.5, 20, (0.3, 1, 0.4)), "duct")
MIDDLE = GRID.centre_mm()
POINT = as_point(MIDDLE + np.array([-6.0, 0.2, 0.1]))
CUTS = (
    cut_plane(LIVER, point_mm=POINT, normal=(-1, 0.2, 0.1)),
    cut_surface(
        LIVER,
        point_mm=POINT,
        normal=(-1, 0.2, 0.1),
        heights_mm=((0, 4, -5, 0), (3, 9, -9, 2), (0, -8, -6, 5), (0, 3, 4, 0)),
    ),
)


def walls_mm(labels: LabelMap) -> np.ndarray:
    """Return the middles (n, 3) of all voxel faces between a label and its outside."""
    mask, found = np.pad(labels.mask(), 1), []
    for axis in range(3):
        lower = np.argwhere(np.diff(mask.astype(np.int8), axis=axis)) - 1.0
        lower[:, axis] += 0.5
        found.append(labels.geometry.to_world(lower[:, ::-1]))
    return np.concatenate(found)


def values(result: object) -> dict[str, float]:
    return {n.quantity: n.value for n in result.numbers}  # type: ignore[attr-defined]


@pytest.mark.parametrize("cut", CUTS)
def test_the_margin_equals_brute_force_within_half_a_voxel(cut: object) -> None:
    found = margin_map(TUMOR, cut)  # type: ignore[arg-type]
    points = cut.surface.points_mm  # type: ignore[attr-defined]
    brute = cKDTree(walls_mm(TUMOR)).query(points)[0].min()
    assert values(found)["minimum"] == pytest.approx(brute, abs=1.0)
    every = found.point_data[MARGIN]
    assert every.min() == values(found)["minimum"]
    assert cKDTree(points).query(found.points_mm)[0] == pytest.approx(every, abs=0.8)
    (finding,) = found.findings
    assert finding.location_mm == tuple(found.points_mm[np.argmin(every)])


@pytest.mark.parametrize("cut", CUTS)
def test_distances_to_a_duct_equal_brute_force(cut: object) -> None:
    sheet = critical_distance(cut, DUCT)  # type: ignore[arg-type]
    outside = sheet.point_data[NEARNESS] > 1.5
    brute = cKDTree(walls_mm(DUCT)).query(sheet.points_mm)[0]
    assert sheet.point_data[NEARNESS][outside] == pytest.approx(brute[outside], abs=1.0)
    as_surface = critical_distance(cut, isosurface(DUCT))  # type: ignore[arg-type]
    assert as_surface.point_data[NEARNESS][outside] == pytest.approx(
        sheet.point_data[NEARNESS][outside], abs=1e-6
    )


def test_bands_are_shares_of_the_surface() -> None:
    least = values(margin_map(TUMOR, CUTS[0]))["minimum"]
    found = margin_map(TUMOR, CUTS[0], risk_mm=least - 0.5, safety_mm=least + 6)
    # A plane through the middle of a ball of radius 6 halves its surface.
    assert values(found)["risk_share"] == 0
    assert values(found)["safety_share"] == pytest.approx(50, abs=3)
    assert found.findings[0].code == "inside_safety_band"
    near = margin_map(TUMOR, CUTS[0], risk_mm=least + 1, safety_mm=least + 1)
    assert near.findings[0].severity == Severity.WARNING
    far = margin_map(TUMOR, CUTS[0], risk_mm=0, safety_mm=0)
    assert far.findings[0].code == "beyond_safety_band"


def test_a_lesion_left_behind_is_shown_but_not_in_the_numbers() -> None:
    """As in the margin, which says how many there are."""
    second = label_of(GRID, ellipsoid((4, 4, 4), (20, -8, -3)))
    both = replace(TUMOR, array=TUMOR.array | second.array)
    for cut in CUTS:
        found, one = values(margin_map(both, cut)), values(margin_map(TUMOR, cut))
        assert found == pytest.approx({**one, "lesions_left": 1.0}, rel=1e-3)
        assert found["lesions_left"] == values(margin(both, cut))["lesions_left"]
        assert [f.code for f in margin_map(both, cut).findings][1:] == ["lesions_left"]
    assert margin_map(both, CUTS[0]).point_data[MARGIN].min() < -10
    all_left = margin_map(second, CUTS[0])
    assert values(all_left)["minimum"] < -10
    assert [f.code for f in all_left.findings] == ["past_the_cut"]


def test_a_crossed_tumour_is_negative_and_a_crossed_duct_zero() -> None:
    through = cut_plane(
        LIVER, point_mm=as_point(MIDDLE + np.array([-15.0, 5, 6])), normal=(-1, 0, 0)
    )
    past = margin_map(TUMOR, through)
    assert values(past)["minimum"] == pytest.approx(-6, abs=0.7)
    assert past.findings[0].code == "past_the_cut"
    across = cut_plane(LIVER, point_mm=as_point(MIDDLE + 0.1), normal=(0.3, 1, 0.4))
    crossed = critical_distance(across, DUCT)
    assert values(crossed)["minimum"] == 0
    assert crossed.findings[0].code == "inside_risk_band"


def test_empty_and_foreign_structures_are_refused() -> None:
    nothing = replace(TUMOR, array=np.zeros_like(TUMOR.array))
    assert [f.code for f in margin_map(nothing, CUTS[0]).findings] == ["no_tumor"]
    with pytest.raises(ValueError, match="no voxel"):
        critical_distance(CUTS[0], nothing)
    with pytest.raises(ValueError, match="risk band"):
        margin_map(TUMOR, CUTS[0], risk_mm=5, safety_mm=2)
    foreign = replace(TUMOR, geometry=replace(GRID, frame_uid="9.9"))
    for work in (lambda: margin_map(foreign, CUTS[0]), lambda: critical_distance(CUTS[0], foreign)):
        with pytest.raises(FrameMismatch):
            work()
