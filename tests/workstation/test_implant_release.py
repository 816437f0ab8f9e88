"""An implant leaves its case only when it is fresh, on its side and sound, or with a reason."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from pypdf import PdfReader

from meshing.files import read_surface
from meshing.surface import SurfaceMesh, enclosed_mm3
from segmentation.images import write_labels
from workstation.case import CaseError, create_case
from workstation.export_any import export_any
from workstation.implant_checks import find_made, implant_checks
from workstation.implant_projection import (
    TURNS,
    drawing_axes,
    largest_mm,
    outward,
    parallel_view,
    sizes_mm,
)
from workstation.implant_release import NotReleased, write_release, write_sheet
from workstation.importing import start_plan, with_settings
from workstation.phantom.skull import skull_with_hole
from workstation.plan_run import StepFailed
from workstation.planning.template import find_template
from workstation.session import Session
from workstation.ui.desk import Desk
from workstation.ui.panels.implant_release_card import ImplantReleaseCard
from workstation.ui.panels.implant_view import ImplantView

AFTER = ["implant", "insertion", "fit_map", "placement", "mass", "strength", "marked", "printing"]
COARSE = [("implant", "cell_mm", 1.5), ("skull_surface", "cell_mm", 4.0)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("implant")
    write_labels(skull_with_hole(spacing_mm=3.0).skull, folder / "skull.nii.gz")
    with create_case(folder / "case") as case:
        sources = {"skull": folder / "skull.nii.gz"}
        template = find_template("cranioplasty")
        plan = start_plan(case, template, sources, [("patient", "side", "left"), *COARSE])
        case.run(plan)
        yield case


@pytest.fixture
def case(made):
    yield made
    made.go_to(0)


def change(case, step, **params):
    plan = case.plan().with_params(step, **params)
    case.add_plan(plan, f"change {step}")
    return plan


def failed(refusal):
    return {check.name for check in refusal.value.checks}


def test_all_that_a_maker_needs_is_written(case, tmp_path):
    files = export_any(case, "release", tmp_path / "out")
    assert {file.suffix for file in files} == {".stl", ".3mf", ".pdf", ".json"}
    record = json.loads((tmp_path / "out" / "release.json").read_text())
    assert record["despite"] == ""
    assert all(check["passed"] for check in record["checks"])
    for name, sha in record["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == sha
    written = read_surface(tmp_path / "out" / "marked.stl")
    surface = case.value("marked")
    assert enclosed_mm3(written) == pytest.approx(enclosed_mm3(surface), rel=1e-5)
    pages = [page.extract_text() for page in PdfReader(tmp_path / "out" / "marked-sheet.pdf").pages]
    axes = drawing_axes(outward(surface.points_mm, np.zeros(3)))
    for size in sizes_mm(surface.points_mm, axes):
        assert f"{size:.1f}" in pages[0]
    for number, page in enumerate(pages):
        assert f"page {number + 1} of {len(pages)}" in page
        assert "LEFT" in page
        assert case.plan().digest()[:32] in page
    assert record["files"]["marked.stl"] in "".join(pages)
    with pytest.raises(CaseError, match="not empty"):
        write_release(case, tmp_path / "out")


def test_a_change_upstream_makes_all_that_follows_stale_and_it_runs_once_in_order(case, tmp_path):
    earlier = dict(case.states(case.plan()))
    assert set(earlier.values()) == {"fresh"}
    edited = change(case, "skull", label="skull")
    states = case.states(edited)
    assert [name for name, state in states.items() if state == "fresh"] == ["patient"]
    case.go_to(0)
    plan = change(case, "implant", bevel_mm=1.0)
    assert [n for n, state in case.states(plan).items() if state == "stale"] == AFTER
    with pytest.raises(NotReleased, match="plan has changed since") as refusal:
        write_release(case, tmp_path / "stale")
    assert failed(refusal) == {"fresh"}
    assert not (tmp_path / "stale").exists()
    done = []
    case.run(plan, on_step=lambda step: done.append((step.output, step.state)))
    assert [name for name, state in done if state == "done"] == AFTER
    assert set(case.states(plan).values()) == {"fresh"}
    again = []
    case.run(plan, on_step=lambda step: again.append(step.state))
    assert set(again) == {"cached"}
    assert find_made(case).fresh
    assert find_made(case).number == case.plan_number


def test_a_reason_lets_a_stale_implant_go_and_is_kept(case, tmp_path):
    change(case, "implant", clearance_mm=0.9)
    files = write_release(case, tmp_path / "out", despite="trial print in wax")
    record = json.loads((tmp_path / "out" / "release.json").read_text())
    assert record["plan"] == 1
    assert record["despite"] == "trial print in wax"
    sheet = next(file for file in files if file.suffix == ".pdf")
    assert "DESPITE A FAILED CHECK" in PdfReader(sheet).pages[0].extract_text()
    kept = [json.loads(p.read_text()) for p in (case.folder / "runs").glob("*-export.json")]
    assert any(
        k["export"]["despite"] == "trial print in wax"
        and k["export"]["faults"] == {"marked": ["fresh"]}
        for k in kept
    )


def test_another_side_stops_the_release_in_plain_words(case, tmp_path):
    plan = change(case, "patient", side="right")
    with pytest.raises(StepFailed, match="declared for the operation is right"):
        case.run(plan)
    with pytest.raises(
        NotReleased, match="the side declared for the operation is right"
    ) as refusal:
        write_release(case, tmp_path / "out", despite="the patient waits")
    assert failed(refusal) == {"fresh", "side"}
    assert "No reason overrides" in refusal.value.remedy
    assert not (tmp_path / "out").exists()
    with pytest.raises(NotReleased, match="declared for the right, but the implant lies"):
        export_any(case, "marked", tmp_path / "marked.stl", despite="the patient waits")


@pytest.mark.parametrize("least", [-0.08, 0.1])
def test_what_is_said_of_overlap_agrees_with_the_least_gap(case, least):
    made = find_made(case, "implant")
    fit = made.values["fit_map"]
    numbers = tuple(
        replace(n, value=least) if n.quantity == "gap.least" else n for n in fit.numbers
    )
    values = {**made.values, "fit_map": replace(fit, numbers=numbers)}
    checks = implant_checks(case, replace(made, values=values))
    (overlap,) = (check for check in checks if check.name == "overlap")
    assert overlap.passed
    assert ("dips 0.08 mm into that of the bone" in overlap.sentence) == (least < 0)


MOVED = ("marked", "fit_map", "insertion", "printing")


def test_what_is_released_is_the_implant_that_was_moved(case, tmp_path):
    first = case.value("marked").points_mm.mean(axis=0)
    deeper = np.array([-3.0 * n.value for n in case.value("implant").numbers
                       if n.quantity.startswith("removal")])  # fmt: skip
    plan = with_settings(case.plan(), [("implant", "shift_mm", deeper.tolist())])
    case.add_plan(plan, "moved by hand")
    with pytest.raises(NotReleased, match="plan has changed since"):
        write_release(case, tmp_path / "stale")
    case.run(plan.only(*MOVED))
    made = find_made(case, "implant")
    assert (made.name, made.fresh) == ("marked", True)
    np.testing.assert_allclose(made.surface.points_mm.mean(axis=0) - first, deeper, atol=0.1)
    held = {check.name for check in implant_checks(case, made) if not check.passed}
    assert held == {"overlap", "way_in"}
    away = float(case.value("implant_proposal").points_mm[:, 0].mean())
    over = with_settings(plan, [("implant", "shift_mm", [-2 * away, 0.0, 0.0])])
    case.add_plan(over, "over the midline")
    with pytest.raises(StepFailed, match="on the patient's right"):
        case.run(over.only(*MOVED))
    with pytest.raises(NotReleased, match="lies on the patient's right") as refusal:
        export_any(case, "implant", tmp_path / "implant.stl", despite="the patient waits")
    assert refusal.value.final


def test_an_implant_without_a_declared_side_or_with_a_loose_piece_is_held_back(case, tmp_path):
    made = find_made(case)
    here = made.surface
    apart = SurfaceMesh(
        np.concatenate([here.points_mm, here.points_mm + 200.0]),
        np.concatenate([here.triangles, here.triangles + len(here.points_mm)]),
        here.frame_uid,
        findings=here.findings,
    )
    values = {**made.values, "patient": None, made.name: apart}
    loose = replace(made, surface=apart, values=values)
    state = {check.name: check for check in implant_checks(case, loose)}
    assert {name for name, check in state.items() if not check.passed} == {"side", "one_piece"}
    assert "not declared" in state["side"].sentence
    with pytest.raises(CaseError, match="sheet is a PDF"):
        write_sheet(case, tmp_path / "sheet.txt")


def test_the_window_shows_the_side_the_map_and_the_numbers(case, qtbot):
    session = Session()
    session.case, session.plan = case, case.plan()
    desk = Desk(session)
    view = ImplantView(desk, lambda number: None)
    qtbot.addWidget(view)
    view.refresh()
    assert "as declared" in view.told.text()
    assert view.side.currentData() == "left"
    mean = next(n for n in case.value("fit_map").numbers if n.quantity == "gap.mean")
    assert view.numbers["Mean gap"].value.text() == f"{mean.value:.1f}"
    assert "not known" in view.numbers["Stress, of yield"].band.text()
    assert {"gap.mean", "mass.PEEK", "implant.volume"} <= view.names
    view.show_map("thickness_mm")
    assert session.view.looks["fit_map"].quantity == view.shown_map() == "thickness_mm"
    assert {"implant", "marked"} <= session.view.hidden
    view.show_map("")
    assert "implant" not in session.view.hidden
    session.plan = with_settings(case.plan(), [("implant", "shift_mm", [0.0, 0.0, 1.0])])
    view.show_map("")
    assert "implant_proposal" in session.view.hidden
    assert "implant" not in session.view.hidden
    session.plan = case.plan()
    assert view.shown_map() == ""
    session.case = session.plan = None  # it is not the session's to close
    desk.close()


def test_the_window_checks_releases_and_asks_for_a_reason(case, qtbot, tmp_path):
    session = Session()
    session.case, session.plan = case, case.plan()
    desk = Desk(session)
    card = ImplantReleaseCard(desk, None)
    qtbot.addWidget(card)

    def settled():
        qtbot.waitUntil(lambda: not desk.jobs.jobs, timeout=60_000)

    card.run_check()
    settled()
    assert len(card.checks.records) == 10
    assert "All checks passed" in card.done.text()
    session.plan = change(case, "implant", clearance_mm=0.7)
    card.refresh()
    assert card.checks.records == []
    card.release_to(tmp_path / "out")
    settled()
    assert [check.name for check in card.checks.records] == ["fresh"]
    assert not card.despite.isEnabled()
    card.reason.setText("a model for teaching")
    card.despite.click()
    settled()
    assert "Written" in card.done.text()
    assert (tmp_path / "out" / "marked.stl").is_file()
    session.case = session.plan = None  # it is not the session's to close
    desk.close()


def test_a_view_is_parallel_and_to_scale():
    points = np.array([[x, y, z] for x in (0.0, 30) for y in (0.0, 20) for z in (0.0, 10)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = np.array([part for a, b, c, d in sides for part in ((a, b, c), (a, c, d))])
    box = SurfaceMesh(points, triangles, "")
    axes = drawing_axes(outward(points, points.mean(axis=0) - [0, 0, 50]))
    assert axes[2] == pytest.approx([0, 0, 1])
    found = {
        name: parallel_view(box, np.asarray(turn, float) @ axes) for name, turn in TURNS.items()
    }
    shown = {name: (view.width_mm, view.height_mm) for name, view in found.items()}
    assert shown["front"] == pytest.approx((30, 20))
    assert shown["top"] == pytest.approx((30, 10))
    assert shown["right"] == pytest.approx((10, 20))
    assert (found["front"].pixels < 255).all()
    assert largest_mm(points) == pytest.approx(np.sqrt(900 + 400 + 100))
