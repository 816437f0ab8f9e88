"""Guides and plates leave their case marked, on their side and whole, or not at all."""

import json
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pypdf import PdfReader

from meshing.files import read_surface, write_surface
from meshing.surface import enclosed_mm3
from segmentation.contract import Finding, Severity
from segmentation.measured import Measured
from workstation import implant_checks as implant_checks_module
from workstation import implant_release as implant_release_module
from workstation.case import CaseError, create_case
from workstation.export_any import export_any
from workstation.implant_checks import find_made, implant_checks, released_names
from workstation.implant_release import NotReleased, write_release
from workstation.importing import start_plan
from workstation.phantom import bones
from workstation.plan_run import StepFailed
from workstation.planning.bone_landmarks_record import WrongSide
from workstation.planning.guide import cutting_guide
from workstation.planning.release_marking import mark_part, operated_side
from workstation.planning.screws import screw_paths
from workstation.planning.template import find_template
from workstation.report_layout import shown_value

FRONT = 200.0


def shaft_screws(bone):
    """Return two entries on the front of a shaft and targets behind them."""
    points = bone.mesh.points_mm
    entries = []
    for height in (FRONT, FRONT + 20.0):
        near = points[np.abs(points[:, 2] - height) < 3.0]
        entries.append(tuple(float(v) for v in near[near[:, 1].argmin()]))
    return tuple(entries), tuple((x, y + 15.0, z) for x, y, z in entries)


@pytest.fixture(scope="module")
def femur():
    return bones.femur("left", step_mm=4.0)


@pytest.fixture(scope="module")
def made(femur, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide")
    write_surface(femur.mesh, folder / "bone.stl")
    entries, targets = shaft_screws(femur)
    sets = [
        ("patient", "side", "left"), ("patient", "bone", "femur"),
        ("screws", "entries_mm", entries), ("screws", "targets_mm", targets),
        ("drill_guide", "step_mm", 1.0),
    ]  # fmt: skip
    template = find_template("fixation")
    with create_case(folder / "case") as case:
        plan = start_plan(case, template, {"bone": folder / "bone.stl"}, sets,
                          options=["drill-guide"])  # fmt: skip
        case.run(plan)
        yield case


@pytest.fixture
def case(made):
    yield made
    made.go_to(0)


def failed(refusal):
    return {check.name for check in refusal.value.checks}


def test_a_guide_is_marked_checked_and_written_with_its_sheet(case, tmp_path):
    plan = case.plan()
    assert list(released_names(plan)) == ["drill_guide_marked"]
    part = find_made(case)
    assert part.title == "guide"
    checks = {check.name: check for check in implant_checks(case, part)}
    assert [name for name, check in checks.items() if not check.passed] == []
    assert "left" in checks["side"].sentence
    files = export_any(case, "release:drill_guide", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "release.json").read_text())
    assert record["guide"] == "drill_guide_marked"
    back = read_surface(tmp_path / "out" / "drill_guide_marked.stl")
    assert enclosed_mm3(back) == pytest.approx(enclosed_mm3(part.surface), rel=1e-4)
    page = PdfReader(next(f for f in files if f.suffix == ".pdf")).pages[0].extract_text()
    assert "LEFT" in page
    assert "Thinnest wall" in page
    with pytest.raises(CaseError, match="makes no 'plate' for a maker"):
        export_any(case, "release:plate", tmp_path / "plate")


def test_a_guide_whose_screws_collide_is_held_back(case):
    part = find_made(case)
    screws = part.values["screws"]
    told = Finding(Severity.PROBLEM, "screws_collide", "screws 1 and 2 collide", remedy="turn one")
    values = {**part.values, "screws": replace(screws, findings=(told,))}
    checks = {check.name: check for check in implant_checks(case, replace(part, values=values))}
    assert [name for name, check in checks.items() if not check.passed] == ["screws"]
    assert checks["screws"].sentence == "Screws 1 and 2 collide."


def test_its_dicom_object_says_what_it_is_and_on_which_side(case, tmp_path, monkeypatch):
    told = []

    def write(surface, origin, title, path):
        told.append((title, origin))
        path.write_bytes(b"")
        return path

    monkeypatch.setattr(implant_release_module, "source_series", lambda *given: "images")
    monkeypatch.setattr(implant_release_module, "origin_of", lambda series: series)
    monkeypatch.setattr(implant_release_module, "write_surface_object", write)
    files = write_release(case, tmp_path / "out")
    assert "drill_guide_marked.dcm" in {file.name for file in files}
    assert told == [("guide drill_guide_marked, left side", "images")]


def test_a_stale_guide_needs_a_reason(case, tmp_path):
    case.add_plan(case.plan().with_params("drill_guide", thickness_mm=4.0), "thicker")
    with pytest.raises(NotReleased, match="plan has changed since") as refusal:
        write_release(case, tmp_path / "out")
    assert failed(refusal) == {"fresh"}
    write_release(case, tmp_path / "out", despite="for teaching")
    assert json.loads((tmp_path / "out" / "release.json").read_text())["despite"] == "for teaching"


def test_no_way_out_leads_past_another_side(case, tmp_path):
    plan = case.plan().with_params("patient", side="right")
    case.add_plan(plan, "the other side")
    with pytest.raises(StepFailed, match="by its shape this is a left femur"):
        case.run(plan)
    with pytest.raises(NotReleased) as refusal:
        write_release(case, tmp_path / "out", despite="the patient waits")
    assert refusal.value.final
    for name, file in (("drill_guide", "g.stl"), ("model", "m.3mf"), ("bone,drill_guide", "b.3mf")):
        with pytest.raises(NotReleased, match="declared for the right"):
            export_any(case, name, tmp_path / file, despite="the patient waits")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("said", "passed"), [("R", False), ("L", True), ("B", True)])
def test_images_that_name_another_side_stop_the_release(case, monkeypatch, said, passed):
    header = Dataset()
    header.Laterality = said
    header.Rows = header.Columns = 1
    header.BitsAllocated = 16
    header.add_new("PixelData", "OW", bytes(2))
    raw = BytesIO()
    header.save_as(raw, implicit_vr=True, little_endian=True)
    file = SimpleNamespace(open=lambda: BytesIO(raw.getvalue()), size=len(raw.getvalue()))
    series = SimpleNamespace(files=[file])
    monkeypatch.setattr(implant_checks_module, "source_series", lambda *given: series)
    check = implant_checks_module.side_check(case, find_made(case))
    assert check.passed is passed
    if not passed:
        assert check.final
        assert "the images say that they show the right side" in check.sentence


def test_the_wrong_bone_a_mirrored_one_and_a_swapped_guide_are_refused(femur):
    entries, targets = shaft_screws(femur)
    screws = screw_paths(femur.mesh, entries_mm=entries, targets_mm=targets)
    guide = cutting_guide(femur.mesh, screws, step_mm=1.0)
    declared = operated_side(side="left", bone="femur")
    with pytest.raises(WrongSide, match="by its shape this is a right femur"):
        mark_part(guide, femur.mirrored().mesh, declared)
    away = replace(guide, points_mm=guide.points_mm + np.array([300.0, 0.0, 0.0]))
    with pytest.raises(ValueError, match="made for another one"):
        mark_part(away, femur.mesh, declared)
    normal = {"normal": (1.0, 0.0, 0.0), "point_mm": (150.0, 0.0, 0.0)}
    plane = Measured(femur.mesh.frame_uid, (), np.empty((0, 3)), "", (0.0, 0.0, 0.0), normal)
    with pytest.raises(WrongSide, match="the bone lies on the patient's right"):
        mark_part(guide, femur.mesh, operated_side(side="left"), plane)
    unsure = {f.code for f in mark_part(guide, femur.mesh, operated_side(side="left")).findings}
    assert {"marked_left", "side_unseen"} <= unsure
    bare = mark_part(guide, femur.mesh, operated_side())
    assert not any(f.code.startswith("marked_") for f in bare.findings)


def test_an_unmarked_part_of_another_side_does_not_leave_either(femur, tmp_path):
    write_surface(femur.mesh, tmp_path / "bone.stl")
    entries, targets = shaft_screws(femur)
    sets = [
        ("patient", "side", "right"), ("patient", "bone", "femur"),
        ("screws", "entries_mm", entries), ("screws", "targets_mm", targets),
        ("drill_guide", "step_mm", 1.5),
    ]  # fmt: skip
    with create_case(tmp_path / "case") as case:
        plan = start_plan(case, find_template("fixation"), {"bone": tmp_path / "bone.stl"}, sets,
                          options=["drill-guide"])  # fmt: skip
        with pytest.raises(StepFailed, match="by its shape this is a left femur"):
            case.run(plan)
        for name in ("drill_guide", "model", "release:drill_guide"):
            with pytest.raises(CaseError, match="y its shape this is a left femur"):
                export_any(case, name, tmp_path / "out.stl", despite="the patient waits")
    assert not (tmp_path / "out.stl").exists()


def test_a_direction_keeps_three_digits_on_the_sheet():
    shown = [shown_value({"value": value, "unit": "1"}) for value in (0.971, -0.0496, 6.0)]
    assert shown == ["0.971", "-0.050", "6"]
