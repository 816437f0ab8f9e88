"""Ablation zones against what geometry says of balls and ellipsoids."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.surface import enclosed_mm3, is_watertight
from segmentation.contract import FrameMismatch, Severity
from segmentation.volume import Label, LabelMap
from tests.meshing.shapes import LEFT_HANDED, ellipsoid, grid, label_of
from workstation.planning.ablation import ablation_zone
from workstation.planning.proposal import as_point

GRID = grid((30, 30, 30), (1.0, 1.0, 1.5), LEFT_HANDED)
ORGAN = label_of(GRID, ellipsoid((28, 26, 28), (0, 0, 0)), "liver")
TUMOR = label_of(GRID, ellipsoid((6, 6, 6), (-8.0, 5.0, 3.0)), "tumor")
CENTRE = GRID.centre_mm() + np.array([-8.0, 5.0, 3.0])
TARGET = (as_point(CENTRE),)
ENTRY = (as_point(CENTRE + np.array([-50.0, 0, 0])),)
SIZE = {"length_mm": 36.0, "width_mm": 24.0}


def numbers(result: object) -> dict[str, float]:
    return {n.quantity: n.value for n in result.numbers}  # type: ignore[attr-defined]


def test_a_zone_about_the_tumour_covers_it_with_the_margin_of_its_width() -> None:
    made = ablation_zone(TUMOR, ORGAN, entries_mm=ENTRY, targets_mm=TARGET, **SIZE)
    values = numbers(made)
    assert values["minimal_margin"] == pytest.approx(12 - 6, abs=0.8)  # half a voxel
    band = next(n for n in made.numbers if n.quantity == "minimal_margin")
    assert band.low <= 6 <= band.high  # type: ignore[operator]
    assert values["tumor_covered"] == values["margin_covered"] == 100
    ball = 4 / 3 * np.pi * 18 * 12 * 12 / 1000
    assert values["zone_volume"] == pytest.approx(ball, rel=0.01)
    assert 0.5 * ball < values["organ_ablated"] <= ball * 1.01
    assert values["needle_1_length"] == pytest.approx(50)
    assert is_watertight(made)
    needle = np.pi * 0.9**2 * 50
    assert enclosed_mm3(made) == pytest.approx(1000 * ball + needle, rel=0.025)
    # The long axis lies along the needle, which comes from the patient's right.
    half = np.ptp(made.points_mm[made.points_mm[:, 0] > CENTRE[0] - 17], axis=0) / 2
    assert half[1:] == pytest.approx((12, 12), abs=0.2)
    assert made.points_mm[:, 0].max() - CENTRE[0] == pytest.approx(18)
    assert [f.code for f in made.findings] == ["covered", "beyond_image"]


def test_a_needle_off_the_middle_leaves_what_geometry_says() -> None:
    aim = (as_point(CENTRE + np.array([0.0, 9.0, 0.0])),)
    entry = (as_point(CENTRE + np.array([-50.0, 9.0, 0.0])),)
    made = ablation_zone(TUMOR, entries_mm=entry, targets_mm=aim, length_mm=24, width_mm=24)
    assert numbers(made)["minimal_margin"] == pytest.approx(12 - 9 - 6, abs=0.5)
    # Two balls of radius 6 and 12, their middles 9 apart: the lens both hold.
    lens = np.pi * (18 - 9) ** 2 * (81 + 2 * 9 * 18 - 3 * (12 - 6) ** 2) / (12 * 9)
    share = 100 * lens / (4 / 3 * np.pi * 6**3)
    assert numbers(made)["tumor_covered"] == pytest.approx(share, abs=2.5)
    said, _ = made.findings
    assert said.severity is Severity.PROBLEM
    assert said.location_mm is not None
    assert said.location_mm[1] - CENTRE[1] == pytest.approx(-6, abs=1)
    ahead = ablation_zone(TUMOR, entries_mm=ENTRY, targets_mm=TARGET, ahead_mm=7.0,
                          length_mm=24, width_mm=24)  # fmt: skip
    assert numbers(ahead)["minimal_margin"] == pytest.approx(12 - 7 - 6, abs=0.5)


def test_overlapping_zones_cover_together() -> None:
    shift = np.array([0.0, 4.0, 0.0])
    aims = tuple(as_point(CENTRE + way) for way in (shift, -shift))
    entries = tuple(as_point(np.add(aim, (-40.0, 0, 0))) for aim in aims)
    one = ablation_zone(TUMOR, entries_mm=entries[:1], targets_mm=aims[:1],
                        length_mm=18, width_mm=16)  # fmt: skip
    both = ablation_zone(TUMOR, entries_mm=entries, targets_mm=aims, length_mm=18, width_mm=16)
    assert numbers(one)["tumor_covered"] < 90 < numbers(both)["tumor_covered"]
    assert numbers(one)["zone_volume"] < numbers(both)["zone_volume"]
    assert numbers(both)["zone_volume"] < 2 * numbers(one)["zone_volume"] * 0.95


def test_heat_and_needles_keep_their_distance_to_structures() -> None:
    on_way = label_of(GRID, ellipsoid((3, 3, 3), (-20.0, 5.0, 3.0))).mask().astype(np.uint8)
    apart = label_of(GRID, ellipsoid((3, 3, 3), (-8.0, -12.0, 3.0))).mask().astype(np.uint8)
    near = LabelMap(on_way + 2 * apart, GRID, {1: Label("bowel"), 2: Label("bile_duct")})
    made = ablation_zone(TUMOR, None, near, entries_mm=ENTRY, targets_mm=TARGET,
                         length_mm=20, width_mm=20)  # fmt: skip
    values = numbers(made)
    assert values["bile_duct_to_zone"] == pytest.approx(17 - 3 - 10, abs=0.5)
    assert values["bile_duct_to_needle_1"] == pytest.approx(17 - 3, abs=0.5)
    assert values["bowel_to_needle_1"] == 0
    assert {f.code for f in made.findings} == {
        "beyond_image",
        "narrow_margin",
        "zone_at_structure",
        "needle_through",
    }


def test_no_size_is_assumed_and_no_needle_invented() -> None:
    made = ablation_zone(TUMOR, entries_mm=ENTRY)
    assert not made.numbers
    assert [f.code for f in made.findings] == ["zone_size"]
    along = ablation_zone(TUMOR, **SIZE)
    assert "no_needle" in {f.code for f in along.findings}
    assert "needle_1_length" not in numbers(along)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match="one target for each entry"):
        ablation_zone(TUMOR, entries_mm=ENTRY * 2, targets_mm=TARGET, **SIZE)
    with pytest.raises(ValueError, match="one place"):
        ablation_zone(TUMOR, entries_mm=TARGET, targets_mm=TARGET, **SIZE)
    with pytest.raises(ValueError, match="no tumour"):
        ablation_zone(replace(TUMOR, array=np.zeros_like(TUMOR.array)), **SIZE)
    foreign = replace(ORGAN, geometry=replace(GRID, frame_uid="9.9"))
    with pytest.raises(FrameMismatch):
        ablation_zone(TUMOR, foreign, **SIZE)


def test_a_needle_from_beyond_the_image_is_told() -> None:
    first, last = GRID.to_world([[0.0, 15, 15], [-20.0, 15, 15]])
    for entry, codes in ((first, []), (last, ["beyond_image"])):
        made = ablation_zone(TUMOR, entries_mm=(as_point(entry),), **SIZE)
        assert [f.code for f in made.findings if f.code == "beyond_image"] == codes
    assert "20 mm beyond the image" in made.findings[-1].sentence
