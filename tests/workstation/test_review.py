"""States of labels: proposed, edited, reviewed; a review is of one result and no other."""

import json

import numpy as np
import pytest
from pypdf import PdfReader

from segmentation.images import write_labels, write_volume
from segmentation.volume import EditLog, ImageGeometry, Label, LabelMap, LabelPatch, Volume
from workstation.__main__ import main
from workstation.case import CaseError, create_case, open_case
from workstation.planning.plan import Plan, Step
from workstation.report import write_report
from workstation.review import mark_reviewed, review_findings, unreviewed

GRID = ImageGeometry((20, 18, 16), (2, 2, 2.5), (-20, 3, 5), (1, 0, 0, 0, 1, 0, 0, 0, 1), "1.2")
NOBODY = {"by": None, "at": None}


def organ() -> Volume:
    array = np.full(GRID.shape, -50, np.int16)
    array[3:12, 4:15, 2:17] = 120
    return Volume(array, GRID)


@pytest.fixture
def case(tmp_path):
    write_volume(organ(), tmp_path / "ct.nrrd")
    labels = LabelMap((organ().array > 0).astype(np.uint8), GRID, {1: Label("organ")})
    write_labels(labels, tmp_path / "organ.nrrd")
    with create_case(tmp_path / "case") as case:
        case.import_file(tmp_path / "ct.nrrd", "ct", "volume", "1.2")
        case.import_file(tmp_path / "organ.nrrd", "organ_file", "labels", "1.2")
        keys = {name: s["sha256"] for name, s in case.record.sources.items()}
        steps = (
            Step("segmentation.conform", "liver", 1, {"labels": "organ_file", "volume": "ct"}),
            Step("segmentation.threshold", "bright", 1, {"volume": "ct"}, {"lower_hu": 100.0}),
            Step("segmentation.smooth", "smoothed", 1, {"labels": "liver"}),
            Step("planning.cut_plane", "cut", 1, {"liver": "liver"}, {"normal": (1.0, 0.0, 0.0)}),
            Step("planning.remnant", "remnant", 1, {"liver": "liver", "cut": "cut"}),
        )
        case.add_plan(Plan("1.2", keys, steps), "Start")
        case.run(case.plan())
        yield case


def states(case) -> dict[str, str]:
    steps = case.summary()["steps"]
    return {s["output"]: s["review"]["state"] for s in steps if s["review"] is not None}


def review(case, name, by="A. Reader"):
    mark_reviewed(case.plan(), case.record, case.values, name, by)
    case.save()


def test_what_a_person_had_a_part_in_is_edited(case):
    assert states(case) == {"liver": "proposed", "bright": "edited", "smoothed": "proposed"}
    step = next(s for s in case.summary()["steps"] if s["output"] == "remnant")
    assert step["review"] is None, "a part of a cut organ is no outline"
    case.add_plan(case.plan().with_params("smoothed", sigma_mm=3.0), "Stronger")
    assert states(case)["smoothed"] == "edited"


def test_hand_edits_are_told_also_behind_other_steps(case):
    block = np.zeros((2, 2, 2), np.uint8)
    log = EditLog(GRID).then(LabelPatch((1, 1, 1), block, block + 1))
    key = case.add_edits("liver_edits", log)
    edit = Step("segmentation.edit", "liver", inputs={"edits": "liver_edits"})
    plan = case.plan().with_sources(liver_edits=key).followed("liver", "labels", edit)
    case.add_plan(plan, "Brush")
    assert states(case) == {
        "liver_proposal": "proposed",
        "liver": "edited",
        "bright": "edited",
        "smoothed": "edited",
    }


def test_a_review_ends_with_a_change_and_returns_with_its_undo(case):
    review(case, "smoothed", "  A.  Reader ")
    found = next(s for s in case.summary()["steps"] if s["output"] == "smoothed")["review"]
    assert (found["state"], found["by"]) == ("reviewed", "A. Reader")
    assert found["at"].endswith("Z")
    plan = case.plan()
    case.add_plan(plan.with_params("smoothed", sigma_mm=3.0), "Stronger")
    assert states(case)["smoothed"] == "edited"
    case.go_to(0)
    assert states(case)["smoothed"] == "reviewed"
    case.close()
    with open_case(case.folder) as again:
        assert states(again)["smoothed"] == "reviewed"


def test_a_result_that_came_out_otherwise_is_not_reviewed(case):
    review(case, "liver")
    path = case.folder / "results" / f"{case.plan().keys()['liver']}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "0" * 64}))
    assert states(case)["liver"] == "proposed"


def test_only_a_computed_label_is_reviewed_and_by_somebody(case):
    for name, by, words in (
        ("remnant", "A", "no label 'remnant'"),
        ("liver", " ", "name of the person"),
    ):
        with pytest.raises(CaseError, match=words):
            review(case, name, by)
    case.add_plan(case.plan().with_params("smoothed", sigma_mm=3.0), "Stronger")
    with pytest.raises(CaseError, match="not computed yet"):
        review(case, "smoothed")
    assert not case.record.reviews


def test_numbers_tell_which_unreviewed_labels_they_rest_on(case):
    summary = case.summary()
    reviews = {s["output"]: s["review"] for s in summary["steps"] if s["review"]}
    resting = unreviewed(case.plan(), reviews)
    assert resting["remnant"] == ("liver",)
    assert resting["smoothed"] == ("smoothed",), "behind a label nothing more is asked"
    found = {f["step"]: f["sentence"] for f in review_findings(case.plan(), summary)}
    assert set(found) == {"liver", "bright", "smoothed"}
    assert "remnant.volume" in found["liver"]
    review(case, "liver")
    found = {f["step"] for f in review_findings(case.plan(), case.summary())}
    assert found == {"bright", "smoothed"}


def test_the_command_and_the_report_tell_who_reviewed_what(case, tmp_path, capsys):
    folder = case.folder
    case.close()
    assert main(["review", str(folder), "liver", "--json", "--by", "Dr. B. Seen"]) == 0
    steps = {s["output"]: s["review"] for s in json.loads(capsys.readouterr().out)["steps"]}
    assert steps["liver"]["by"] == "Dr. B. Seen"
    assert steps["bright"] == {"state": "edited", **NOBODY}
    with open_case(folder, write=False) as again:
        write_report(again, tmp_path / "plan.pdf")
    pages = " ".join(page.extract_text() for page in PdfReader(tmp_path / "plan.pdf").pages)
    text = " ".join(pages.split())
    assert "Dr. B. Seen" in text
    assert "Nobody has reviewed the edited outline 'bright'" in text
    assert "outline 'liver'" not in text
    assert main(["review", str(folder), "liver", "--withdraw"]) == 0
    assert "liver                proposed" in capsys.readouterr().out
    assert main(["review", str(folder), "liver"]) == 1
    assert "--by NAME" in capsys.readouterr().err
