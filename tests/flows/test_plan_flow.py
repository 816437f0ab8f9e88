"""From an opened case to numbers that follow the hand, through the real window."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from workstation.planning.resection import CutPlane
from workstation.problems import explain
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.parts import FindingRow

from .conftest import TUMOR_MM

Settle = Callable[[], None]


def number(window: MainWindow, name: str) -> float:
    found = {n["name"]: n["value"] for n in window.session.summary()["numbers"]}
    return float(found[name])


def grip(window: MainWindow, view: str) -> QPoint:
    """Return a pixel on the cut's line, away from the crosshair's middle."""
    cut = window.desk.value("cut")
    placement = window.views.slices[view].placement
    assert isinstance(cut, CutPlane)
    assert placement is not None
    ends = placement.line(cut.point_mm, cut.normal)
    assert ends is not None
    along = np.linspace(ends[0], ends[1], 400)
    inside = [p for p in along if 40 < p[0] < placement.width - 40 and 60 < p[1] < 200]
    x, y = inside[0]
    return QPoint(round(x), round(y))


def drag(window: MainWindow, view: str, by: QPoint, release: bool = True) -> QPoint:
    widget = window.views.slices[view]
    start = grip(window, view)
    QTest.mouseMove(widget, start)
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 5):
        QTest.mouseMove(widget, start + by * step / 4)
    end = start + by
    if release:
        QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=end)
    return end


def test_an_opened_case_is_shown(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    assert window.middle.currentWidget() is window.start_page
    window.open_case(make_case())
    settle()
    assert window.middle.currentWidget() is window.views
    assert window.views.slices["axial"].placement is not None
    assert {o.name for o in window.views.overlays()} == {"specimen", "remnant", "tumor"}
    assert "liver_surface" in window.views.scene.scene.items
    assert window.banner.name.text() == "TEST^FLOW"
    assert window.banner.synthetic.isVisible()
    assert {s: r.mark.text() for s, r in window.rail.rows.items()}["Plan"] == "✓"
    assert window.plan_panel.numbers["margin.minimum"].value.text() == "10.0"


def test_computing_fills_the_numbers(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case(computed=False))
    settle()
    assert window.plan_panel.numbers["remnant.volume"].value.text() == "–"
    assert window.plan_panel.recompute.isEnabled()
    QTest.mouseClick(window.plan_panel.recompute, Qt.MouseButton.LeftButton)
    settle()
    shown = float(window.plan_panel.numbers["remnant.volume"].value.text())
    assert shown == pytest.approx(number(window, "remnant.volume"), abs=0.6)
    assert not window.plan_panel.recompute.isEnabled()
    assert "up to date" in window.plan_panel.recompute.toolTip()


def test_the_numbers_follow_the_cut_and_undo_brings_it_back(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    before, margin = number(window, "remnant.volume"), number(window, "margin.minimum")
    heard: list[object] = []
    window.desk.previewed.connect(heard.append)
    end = drag(window, "axial", QPoint(40, 0), release=False)
    assert heard, "no live number came while the line moved"
    live = heard[-1]
    assert isinstance(live, dict)
    assert live["margin.minimum"] > margin
    assert not window.desk.jobs.jobs, "nothing is computed while the hand moves"
    assert window.plan_panel.numbers["margin.minimum"].band.text() == "while moving"
    QTest.mouseRelease(window.views.slices["axial"], Qt.MouseButton.LeftButton, pos=end)
    assert window.session.undo_label == "Move cut plane"
    live = heard[-1]  # what was overtaken by the hand is not told, the last place always is
    assert isinstance(live, dict)
    assert live["remnant.volume"] < before - 5  # to the patient's left: more is removed
    assert live["margin.minimum"] > margin + 2
    settle()
    assert number(window, "remnant.volume") == pytest.approx(live["remnant.volume"], rel=0.01)
    assert number(window, "margin.minimum") == pytest.approx(live["margin.minimum"], abs=0.01)
    window.undo()
    window.desk.bindings.refresh()
    assert all(window.desk.is_current(name) for name in window.desk.results()), "shown at once"
    settle()
    assert number(window, "remnant.volume") == before
    assert window.plan_panel.numbers["margin.minimum"].value.text() == "10.0"
    window.redo()
    settle()
    assert number(window, "margin.minimum") == pytest.approx(live["margin.minimum"], abs=0.01)


def test_escape_gives_a_drag_back(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    plan = window.session.plan
    drag(window, "axial", QPoint(40, 0), release=False)
    QTest.keyClick(window.views.slices["axial"], Qt.Key.Key_Escape)
    settle()
    assert window.session.plan == plan
    assert window.session.undo_label == ""
    assert window.plan_panel.numbers["margin.minimum"].value.text() == "10.0"
    assert window.views.current_cut() is window.desk.value("cut")


def test_numbers_that_are_not_ready_are_said_to_come_and_come(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.desk.left.emit()  # as when another case is opened: nothing is ready any more
    said: list[str] = []
    told: list[object] = []
    window.desk.judged.connect(lambda m: said.extend(f.code for f in m.findings))
    window.desk.previewed.connect(told.append)
    window.desk.bindings.refresh()
    cut = window.desk.value("cut")
    for _ in range(2):
        window.drag.follow(lambda preview: preview.at(cut.point_mm, cut.normal))
    assert said == ["preparing"]
    assert told == []
    settle()
    assert len(told) == 1
    value = window.plan_panel.numbers["margin.minimum"]
    value.show_live(1.0, "mm")
    value.show_live(-108.5, "mm")
    assert value.value.width() >= value.value.sizeHint().width(), "digits are cut off"


def test_the_handle_in_3d_moves_the_cut(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    cut = window.desk.value("cut")
    point = np.asarray(cut.point_mm) + 6.0 * np.asarray(cut.normal)
    moved = (float(point[0]), float(point[1]), float(point[2]))
    window.views.scene.cut_dragging.emit(moved, cut.normal)
    window.views.scene.cut_released.emit(moved, cut.normal)
    settle()
    assert number(window, "margin.minimum") == pytest.approx(4.0, abs=0.01)
    QTest.mouseClick(window.plan_panel.reset, Qt.MouseButton.LeftButton)
    settle()
    assert number(window, "margin.minimum") == pytest.approx(10.0, abs=0.01)


def test_swapping_sides_swaps_the_parts(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    remnant, specimen = number(window, "remnant.volume"), number(window, "specimen.volume")
    assert remnant != specimen
    QTest.mouseClick(window.plan_panel.flip, Qt.MouseButton.LeftButton)
    settle()
    assert number(window, "specimen.volume") == remnant
    assert number(window, "margin.minimum") < 0


def test_a_finding_leads_to_its_place(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    rows = window.plan_panel.findings.findChildren(FindingRow)
    place = next(
        f["location_mm"] for f in window.session.summary()["findings"] if "location_mm" in f
    )
    QTest.mouseClick(rows[0], Qt.MouseButton.LeftButton)
    assert window.session.view.crosshair_mm == pytest.approx(place)


def test_a_seed_corrects_the_label(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Segment")
    window.segment_panel.steps.choose("liver")
    settle()
    QTest.mouseClick(window.segment_panel.tools["seed_foreground"], Qt.MouseButton.LeftButton)
    window.views.slices["axial"].seed_placed.emit((TUMOR_MM,), True)
    assert window.session.undo_label == "Place seed"
    settle()
    states = {s["output"]: s["state"] for s in window.session.summary()["steps"]}
    assert states["liver"] == "fresh"
    assert states["liver_proposal"] == "fresh"


def test_a_brush_stroke_paints_and_undo_takes_it_back(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Segment")
    window.segment_panel.steps.choose("tumor")
    settle()
    before = number(window, "tumor.volume")
    QTest.mouseClick(window.segment_panel.tools["brush"], Qt.MouseButton.LeftButton)
    settle()
    view = window.views.slices["axial"]
    assert view.marks.tool == "brush"
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(300, 150))
    QTest.mouseMove(view, QPoint(330, 170))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(330, 170))
    assert window.session.undo_label == "Brush stroke"
    settle()
    assert number(window, "tumor.volume") > before
    window.undo()
    settle()
    assert number(window, "tumor.volume") == before


def test_a_form_changes_the_plan_and_stale_steps_are_marked(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle, qtbot: QtBot
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Segment")
    window.segment_panel.steps.choose("tumor")
    form = window.segment_panel.steps.form
    assert form is not None
    field = form.fields["lower_hu"]
    field.clear()
    QTest.keyClicks(field, "190")
    QTest.keyClick(field, Qt.Key.Key_Return)
    settle()
    assert window.session.require_plan().step("tumor").params["lower_hu"] == 190
    assert window.rail.rows["Segment"].mark.text() == "↻"
    assert window.rail.rows["Plan"].mark.text() == "↻"
    assert window.segment_panel.steps.rows["tumor"].mark.text() == "↻"
    faded = {o.name: o.opacity for o in window.views.overlays()}
    assert faded["tumor"] == pytest.approx(0.4 * faded["liver"]), "the last value stays, faded"
    assert "↻" in window.views.slices["axial"].marks.notice
    window.show_stage("Plan")
    margin = window.plan_panel.numbers["margin.minimum"]
    assert margin.value.text() == "10.0"
    assert margin.value.property("role") == "stale"
    assert "not up to date" in margin.band.text()
    assert not {"tumor", "margin", "remnant"} & {
        window.report_panel.name.itemData(n) for n in range(window.report_panel.name.count())
    }, "what is not up to date must not be exported"
    window.compute()
    settle()
    assert {o.opacity for o in window.views.overlays()} == {faded["liver"]}
    assert not window.views.slices["axial"].marks.notice
    assert margin.value.property("role") == "number"


def test_a_failing_step_shows_a_card(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.session.move_cut((500.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    window.compute()
    settle()
    card = window.cards.cards()[0]
    assert card.isVisible()
    assert "misses the organ" in card.text()
    assert window.rail.rows["Plan"].mark.text() == "▲"
    card.details.click()
    assert "Traceback" in card.text()
    card.dismiss()
    assert not window.cards.isVisible()


def test_an_unexpected_error_is_a_card_too(window: MainWindow) -> None:
    window.desk.attempt(lambda: {}["nothing"])
    assert window.cards.cards()[0].problem.title == explain(KeyError("x")).title


def test_a_cut_that_misses_can_be_taken_back_by_hand_or_undo(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    cut = window.desk.value("cut")
    far = (cut.point_mm[0] - 300.0, cut.point_mm[1], cut.point_mm[2])
    window.views.scene.cut_dragging.emit(far, (-1.0, 0.0, 0.0))
    window.views.scene.cut_released.emit(far, (-1.0, 0.0, 0.0))
    settle()
    assert "misses the organ" in window.cards.cards()[0].text()
    shown = window.views.current_cut()
    assert shown is not None
    assert shown.point_mm == far, "the cut stays where the hand left it"
    window.undo()
    settle()
    assert window.views.current_cut() is window.desk.value("cut")
