"""A circulation in the window: chosen, read under the cursor, kept as picture and table."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage

from tests.workstation.test_flow_report import WINDKESSEL
from workstation.export import export
from workstation.planning.plan import Step
from workstation.planning.template import find_template
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]
LOOP = Step("hemodynamics.circulation", "loop", params={"network": WINDKESSEL, "steps": 40})


def test_courses_are_chosen_read_and_kept(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle, tmp_path: Path
) -> None:
    window.open_case(make_case((LOOP,)))
    settle()
    window.show_stage("Flow")
    settle()
    panel = window.flow_panel
    card = panel.courses
    assert card.isVisible()
    assert not window.rail.rows["Flow"].isHidden(), "the page can be reached"
    assert panel.lacks() == ""
    assert not panel.bands.isVisible(), "there is no flow to repeat"
    card.quantity.setCurrentText("Flow (mL/s)")
    card.quantity.activated.emit(card.quantity.currentIndex())
    assert card.place.currentData() == "body"
    course = card.found()["loop"].of("flow_ml_s")["body"]
    assert card.plot.words_at(0.0) == f"0.025 s: {course[0]:.1f} mL/s"
    last = card.plot.words_at(1e4)
    assert last.startswith("1.000 s: ")
    card.save_to(tmp_path / "loop.png")
    assert not QImage(str(tmp_path / "loop.png")).isNull()
    card.save_to(tmp_path / "loop.csv")
    export(window.session.require_case(), "loop", tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "loop.csv").read_bytes()
    with (tmp_path / "loop.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert np.allclose([float(row["body.flow_ml_s"]) for row in rows], course)
    assert float(rows[0]["time_s"]) == pytest.approx(0.025)


def test_a_wave_is_seen_at_two_places_and_what_it_neglects_is_told(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    (wave,) = find_template("circulation").steps
    window.open_case(make_case((replace(wave, params={**wave.params, "steps": 60}),)))
    settle()
    window.show_stage("Flow")
    settle()
    card = window.flow_panel.courses
    courses = card.found()["circulation"].of("pressure_mmhg")
    first = card.plot.words_at(0.0)
    assert ";" not in first
    card.other.setCurrentIndex(card.other.findData("fork"))
    card.other.activated.emit(card.other.currentIndex())
    assert card.plot.words_at(0.0) == f"{first}; Fork {courses['fork'][0]:.1f}"
    assert not card.plot.grab().isNull()
    card.quantity.setCurrentText("Volume (mL)")
    card.quantity.activated.emit(card.quantity.currentIndex())
    assert ";" not in card.plot.words_at(0.0), "a fork has no volume"
    codes = [record["code"] for record in window.flow_panel.findings.records]
    assert "linear_waves" in codes


def test_a_plan_without_circulation_shows_none(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Flow")
    settle()
    assert not window.flow_panel.courses.isVisible()
    assert window.flow_panel.lacks() == "a computed flow that is shown"
