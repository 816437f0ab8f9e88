"""What images add to a person's record, on bodies of known size; the template with any sources."""

from itertools import chain, combinations

import numpy as np
import pytest

from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation.planning.resection import cut_plane
from workstation.planning.template import find_template
from workstation.planning.transplant_images import (
    cavity_depth,
    liver_graft,
    vessel_calibres,
    with_images,
)
from workstation.planning.transplant_rows import Row, as_shown, in_plan, row_key
from workstation.planning.transplant_sheet import TransplantError, transplant_sheet
from workstation.stages import check_plan
from workstation.transplant_record import from_document

DAY = "2026-02-27"
OPTIONAL = ("donor_ct", "recipient_ct", "donor_vessels", "recipient_vessels", "followed")


def box(size_mm: tuple[float, float, float], frame: str = "1.2.3") -> LabelMap:
    """Return a box of x, y, z mm in 2 x 2.5 x 4 mm voxels."""
    spacing = (2.0, 2.5, 4.0)
    inner = [round(s / h) for s, h in zip(size_mm, spacing)]
    geometry = ImageGeometry(
        tuple(n + 6 for n in inner), spacing, (5.0, -7.0, 9.0), (1, 0, 0, 0, 1, 0, 0, 0, 1), frame
    )
    array = np.zeros(geometry.size[::-1], np.uint8)
    array[3 : 3 + inner[2], 3 : 3 + inner[1], 3 : 3 + inner[0]] = 1
    return LabelMap(array, geometry, {1: Label("liver", (181, 101, 91))})


def numbers(value: object) -> dict[str, float]:
    return {number.quantity: number.value for number in value.numbers}  # type: ignore[attr-defined]


def test_a_graft_of_a_cut_liver_has_its_volume_depth_and_what_stays() -> None:
    liver = box((100, 60, 80))
    x = float(liver.geometry.to_world(np.argwhere(liver.mask())[:, ::-1])[:, 0].max()) - 29.5
    cut = cut_plane(liver, point_mm=(x, 10.0, 40.0), normal=(1.0, 0.0, 0.0))
    told = numbers(liver_graft(liver, cut))
    assert told["volume"] == pytest.approx(0.3 * 480, rel=0.02)
    assert told["remnant_volume"] == pytest.approx(0.7 * 480, rel=0.02)
    assert told["remnant_fraction"] == pytest.approx(70, rel=0.02)
    assert told["ap_depth"] == pytest.approx(60, abs=0.1)
    assert numbers(liver_graft(liver, cut, part="remnant"))["volume"] == told["remnant_volume"]
    whole = numbers(liver_graft(liver, part="whole liver"))
    assert whole["volume"] == pytest.approx(480)
    assert "remnant_volume" not in whole
    with pytest.raises(TransplantError, match="needs a cut"):
        liver_graft(liver)


def tube(radius_mm: float, length_mm: float, name: str) -> LabelMap:
    """Return a straight tube along z, and beside it a second, thinner one of the same name."""
    axes = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    geometry = ImageGeometry((64, 32, 60), (1.0, 1.0, 1.0), (0, 0, 0), axes, "1.2.5")
    k, j, i = np.mgrid[:60, :32, :64]
    long = (k >= 8) & (k < 8 + length_mm)
    array = long & ((i - 16) ** 2 + (j - 15) ** 2 < radius_mm**2)
    array |= long & (k < 30) & ((i - 48) ** 2 + (j - 15) ** 2 < (0.6 * radius_mm) ** 2)
    return LabelMap(array.astype(np.uint8), geometry, {1: Label(name, (200, 0, 0))})


def test_calibre_length_and_number_of_tubes_are_those_they_were_made_with() -> None:
    told = numbers(vessel_calibres(tube(6.0, 44.0, "label 1"), names="label 1=hepatic artery"))
    assert told["diameter_hepatic_artery"] == pytest.approx(12.0, rel=0.06)
    assert told["length_hepatic_artery"] == pytest.approx(44.0, rel=0.1)
    assert told["count_hepatic_artery"] == 2
    with pytest.raises(TransplantError, match="LABEL=VESSEL"):
        vessel_calibres(tube(6.0, 44.0, "a"), names="label 1")


def test_the_calibre_of_a_tree_is_that_of_its_trunk() -> None:
    axes = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    geometry = ImageGeometry((46, 20, 50), (1.2, 1.2, 1.2), (0.0, 0.0, 0.0), axes, "1.2.3")
    places = geometry.to_world(np.argwhere(np.ones(geometry.size[::-1]))[:, ::-1])
    fork, foot = np.array([27.0, 12.0, 33.0]), np.array([27.0, 12.0, 6.0])
    tips = [np.array([27.0 + x, 12.0, 53.0]) for x in (-20.0, 17.0)]
    inside = np.zeros(len(places), bool)
    for start, end, radius in ((foot, fork, 5.5), (fork, tips[0], 3.2), (fork, tips[1], 2.8)):
        way = end - start
        along = np.clip((places - start) @ way / (way @ way), 0, 1)[:, None]
        inside |= np.linalg.norm(places - start - along * way, axis=1) < radius
    array = inside.reshape(geometry.size[::-1]).astype(np.uint8)
    tree = LabelMap(array, geometry, {1: Label("portal_vein", (79, 143, 217))})
    told = numbers(vessel_calibres(tree))
    assert told["diameter_portal_vein"] == pytest.approx(11.0, rel=0.06)
    assert told["length_portal_vein"] == pytest.approx(27, abs=3)  # to the fork
    assert told["count_portal_vein"] == 1


def test_the_sheet_of_a_living_donor_follows_from_the_images() -> None:
    liver, cavity = box((160, 150, 80)), box((180, 140, 100), "1.2.4")
    x = float(liver.geometry.to_world(np.argwhere(liver.mask())[:, ::-1])[:, 0].max()) - 79.0
    cut = cut_plane(liver, point_mm=(x, 10.0, 40.0), normal=(1.0, 0.0, 0.0))
    donor = from_document({"values": []}, "d")
    values = [{"key": "body_weight", "value": 70, "unit": "kg", "date": DAY}]
    recipient = from_document({"values": values}, "r")
    graft = liver_graft(liver, cut)
    settings = {"organ": "partial liver", "donation": "living", "review_date": "2026-03-01"}
    seen = with_images(donor, liver, graft, acquired=DAY)
    taker = with_images(recipient, cavity=cavity_depth(cavity), acquired=DAY)
    sheet = transplant_sheet(seen, taker, **settings)
    ml = numbers(graft)["volume"]
    grwr, remnant = sheet.row("size.grwr"), sheet.row("size.donor_remnant")
    assert grwr.value == pytest.approx(100 * ml / 70000, rel=1e-4)
    assert "images, step graft (volume)" in grwr.source
    assert remnant.value == pytest.approx(numbers(graft)["remnant_fraction"], rel=1e-4)
    assert sheet.row("size.ap_depth").value == pytest.approx(-10.0, abs=0.1)
    assert sheet.row("size.ap_depth").verdict == "warn"
    undated = transplant_sheet(with_images(donor, liver, graft), taker, **settings)
    assert undated.row("size.grwr").verdict == "unknown" or grwr.verdict == "block"
    assert undated.row("size.donor_remnant").verdict == "unknown"


def test_a_record_without_images_stays_as_it_is_and_a_day_must_be_one() -> None:
    record = from_document({"values": [{"key": "abo", "value": "A"}]}, "d")
    assert with_images(record) == record
    with pytest.raises(TransplantError, match="is none"):
        with_images(record, acquired="spring")


def test_images_that_differ_from_the_record_on_one_day_are_a_contradiction() -> None:
    value = {"key": "graft_volume", "value": 900, "unit": "mL", "date": DAY}
    donor = from_document({"values": [value]}, "d")
    liver = box((100, 60, 80))
    seen = with_images(donor, liver, liver_graft(liver, part="whole liver"), acquired=DAY)
    settings = {"organ": "partial liver", "review_date": "2026-03-01"}
    row = transplant_sheet(seen, from_document({"values": []}, "r"), **settings).row("size.grwr")
    assert row.verdict == "unknown"
    assert "given twice" in row.reason


def test_the_template_holds_together_with_any_of_its_sources() -> None:
    template = find_template("transplant")
    many = (combinations(OPTIONAL, n) for n in range(len(OPTIONAL) + 1))
    for names in chain.from_iterable(many):
        plan = template.plan("", dict.fromkeys(("donor", "recipient", *names), "key"))
        check_plan(plan)
        outputs = [step.output for step in plan.steps]
        assert len(set(outputs)) == len(outputs)
        assert ("course" in outputs) == ("followed" in names)
        assert ("placed_graft" in outputs) == {"donor_ct", "recipient_ct"}.issubset(names)


def test_a_row_that_was_measured_names_plan_and_step_and_stays_confirmed_in_the_next_plan() -> None:
    taker = from_document({"values": {"body_weight": {"value": 70, "unit": "kg", "date": DAY}}}, "")
    graft = liver_graft(box((100, 60, 80)), part="whole liver")
    donor = with_images(from_document({"values": []}, ""), graft=graft, acquired=DAY)
    sheet = transplant_sheet(donor, taker, organ="partial liver", review_date=DAY)
    row = sheet.row("size.grwr").to_json()
    told = [in_plan(row, number) for number in (3, 4)]
    assert told[1]["source"].startswith("donor: plan 4, step graft (volume); recipient: ")
    assert row_key(row) == row_key(told[0]) == row_key(told[1])
    shown = as_shown(sheet, [told[0] | {"confirmed": "A. Reader"}]).row("size.grwr")
    assert (shown.confirmed, shown.source) == ("A. Reader", told[0]["source"])


def test_the_free_length_of_a_vessel_is_held_against_the_way_it_must_bridge() -> None:
    def row(free: float, way: float | None) -> Row | None:
        donor = {"length_renal_vein": {"value": free, "unit": "mm", "date": DAY}}
        taker = {"distance_external_iliac_vein": {"value": way, "unit": "mm", "date": DAY}}
        one, other = (from_document({"values": v}, "") for v in (donor, taker if way else {}))
        rows = transplant_sheet(one, other, review_date=DAY).rows
        return next((r for r in rows if r.name == "vessel.vein.length"), None)

    verdicts = [(r.verdict, r.value) for r in (row(25, 30), row(30, 30), row(30, None)) if r]
    assert verdicts == [("warn", -5.0), ("pass", 0.0), ("unknown", None)]
