"""The doubt about a label of a plan: its own steps are run again."""

import numpy as np
import pytest

from segmentation.images import write_labels, write_volume
from segmentation.volume import EditLog, ImageGeometry, Label, LabelMap, LabelPatch, Volume
from workstation.case import create_case
from workstation.planning.plan import Plan, Step

GRID = ImageGeometry((44, 40, 30), (2, 2, 2.5), (-40, 3, 5), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2")
SIGMA = 15.0
FAINT = (slice(10, 18), slice(5, 12), slice(30, 38))  # k, j, i: near the threshold


def scan() -> Volume:
    """An organ of 100, sharply bounded, with a lump on its side at the threshold's level."""
    array = np.full(GRID.shape, -20.0)
    array[6:24, 12:32, 8:30] = 100
    array[FAINT] = 40
    noise = np.random.default_rng(5).standard_normal(array.shape) * SIGMA
    return Volume(np.rint(array + noise).astype(np.int16), GRID)


ORGAN = (
    Step("segmentation.threshold", "organ", 1, {"volume": "ct"}, {"lower_hu": 40.0}),
    Step("segmentation.smooth", "smoothed", 1, {"labels": "organ"}),
    Step("planning.cut_plane", "cut", 1, {"liver": "smoothed"}, {"normal": (1.0, 0.0, 0.0)}),
    Step("planning.remnant", "remnant", 1, {"liver": "smoothed", "cut": "cut"}),
)


def doubt_of(name: str, **params: object) -> Step:
    return Step("segmentation.doubt", f"{name}_doubt", 1, {"labels": name, "volume": "ct"}, params)


@pytest.fixture
def case(tmp_path):
    write_volume(scan(), tmp_path / "ct.nrrd")
    with create_case(tmp_path / "case") as case:
        case.import_file(tmp_path / "ct.nrrd", "ct", "volume", "1.2")
        yield case


def run(case, *steps, **sources):
    keys = {"ct": case.record.sources["ct"]["sha256"], **sources}
    plan = Plan("1.2", keys, steps)
    case.add_plan(plan, "Start")
    case.run(plan)
    return plan


def test_a_label_is_repeated_with_all_that_made_it(case):
    plan = run(case, *ORGAN, doubt_of("smoothed", repeats=4), doubt_of("remnant", repeats=4))
    labels, agreement = case.value("smoothed"), case.value("smoothed_doubt")
    inner = agreement.geometry.to_index(GRID.to_world((20, 20, 15))).round().astype(int)
    assert agreement.array[tuple(inner[::-1])] == 1.0
    assert agreement.array.min() < 0.7
    volume = next(n for n in agreement.numbers if n.quantity == "volume")
    assert volume.low < volume.high
    assert volume.low <= volume.value <= volume.high
    assert volume.value == pytest.approx(labels.volume_ml())
    assert "4 repeats" in volume.source
    part = {n.quantity: n for n in case.value("remnant_doubt").numbers}
    assert part["volume"].low < part["volume"].high
    assert set(part) == {"volume"}, "a share of two volumes in doubt has no band of its own"
    assert part["volume"].high < volume.low, "the rest is less than the whole"
    assert case.check(plan) == []


def test_the_faint_lump_is_where_to_look_next(case):
    run(case, *ORGAN, doubt_of("smoothed", repeats=6, values=1.0, brightness=1.0))
    places = [f for f in case.value("smoothed_doubt").findings if f.code == "review_next"]
    assert places
    k, j, i = (round(float(v)) for v in GRID.to_index(places[0].location_mm)[::-1])
    assert FAINT[0].start <= k < FAINT[0].stop
    assert FAINT[1].start <= j < FAINT[1].stop + 2
    assert FAINT[2].start - 3 <= i < FAINT[2].stop


def test_what_a_hand_painted_is_in_no_doubt(case):
    k, j, i = FAINT
    block = np.zeros((8, 7, 8), np.uint8)
    log = EditLog(GRID).then(LabelPatch((k.start, j.start, i.start), block, block + 1))
    key = case.add_edits("hand", log)
    edit = Step("segmentation.edit", "organ_edited", 1, {"labels": "organ", "edits": "hand"})
    run(case, ORGAN[0], edit, doubt_of("organ_edited", repeats=3), hand=key)
    agreement = case.value("organ_edited_doubt")
    corner = agreement.geometry.to_index(GRID.to_world((i.start, j.start, k.start)))
    a, b, c = (int(v) for v in np.rint(corner[::-1]))
    assert agreement.array[a : a + 8, b : b + 7, c : c + 8].min() == 1.0


def test_a_label_file_cannot_be_repeated_and_gets_no_band(case, tmp_path):
    labels = LabelMap((scan().array > 40).astype(np.uint8), GRID, {1: Label("organ")})
    write_labels(labels, tmp_path / "organ.nrrd")
    case.import_file(tmp_path / "organ.nrrd", "organ_file", "labels", "1.2")
    key = case.record.sources["organ_file"]["sha256"]
    conform = Step("segmentation.conform", "organ", 1, {"labels": "organ_file", "volume": "ct"})
    run(case, conform, doubt_of("organ", repeats=3), organ_file=key)
    result = case.value("organ_doubt")
    assert result.numbers == ()
    assert [f.code for f in result.findings] == ["doubt_unknown"]


def test_repeats_that_are_there_are_not_made_again(case):
    plan = run(case, *ORGAN, doubt_of("smoothed", repeats=3))
    kept = {path.name for path in (case.folder / "results").iterdir()}
    more = plan.added(doubt_of("remnant", repeats=3))
    case.run(more)
    new = {path.name for path in (case.folder / "results").iterdir()} - kept
    assert len(new) == 2, "the map of the remnant: its record and its data"
