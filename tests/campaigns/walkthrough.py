"""From the ZIP of a real liver CT to a report through the real window, with a picture per step.

Run it by hand, with a screen or under xvfb-run: ``python -m tests.campaigns.walkthrough FOLDER``.
It needs HILUM_DATA. Pictures, the report and ``steps.json`` go to FOLDER, which must be empty or
absent. Every step counts what a person would do at a stated pace, and what the machine took; the
sum must stay below fifteen minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from workstation.planning.resection import CutPlane
from workstation.problems import Problem
from workstation.session import Session
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.cut_choice import BORDER, WEDGE

ZIP = "liver_ct_3dircadb01.zip"
LIMIT_S = 15 * 60
PACE_S = {"click": 4.0, "drag": 15.0, "value": 8.0, "look": 45.0}
"""Seconds that a person is counted for each act; slow on purpose, and no measurement."""

QUIET_S = 0.5  # without work before a step counts as done
PATIENT = {"body_weight_kg": 74.0, "height_cm": 172.0, "portal_pressure_mmhg": 9.0}


@dataclass(frozen=True)
class Taken:
    """One step: seconds of the machine by clock and processor, and of the person at the pace."""

    title: str
    machine_s: float
    processor_s: float
    person_s: float
    picture: str


class Walk:
    """A window, and what has been done in it."""

    def __init__(self, app: QApplication, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.window = MainWindow(Session(), recent=folder / "state" / "recent.json")
        self.steps: list[Taken] = []
        self.problems: list[str] = []
        self.window.desk.failed.connect(self._hear)
        self.window.resize(1600, 1000)
        self.window.show()

    def _hear(self, problem: Problem) -> None:
        self.problems.append(f"{problem.title}: {problem.detail}")

    def do(self, title: str, act: Callable[[], object], **counts: int) -> None:
        """Do one step, wait until its work has ended, and take its picture."""
        start, worked = time.monotonic(), _processor_s()
        act()
        self._settle()
        machine, worked = time.monotonic() - start - QUIET_S, _processor_s() - worked
        person = sum(PACE_S[kind] * count for kind, count in counts.items())
        name = f"{len(self.steps) + 1:02d}-{title.lower().replace(' ', '-')}.png"
        self.window.grab().save(str(self.folder / name))
        self.steps.append(Taken(title, round(machine, 1), round(worked, 1), person, name))
        words = f"machine {machine:6.1f} s (processor {worked:6.1f} s), person {person:5.0f} s"
        print(f"{title:32} {words}", flush=True)

    def _settle(self) -> None:
        quiet = time.monotonic()
        while time.monotonic() - quiet < QUIET_S:
            self.app.processEvents()
            if self.window.desk.jobs.jobs or self.window.views.scene.drawing:
                quiet = time.monotonic()
            time.sleep(0.01)

    # What is done in the window ------------------------------------------------------

    def start_import(self) -> None:
        panel = self.window.import_panel
        panel.folder.setText(str(self.folder / "case"))
        panel.start.click()

    def look_at_lesions(self) -> None:
        self.window.show_stage("Segment")
        lesions = self.window.segment_panel.lesions.rows.records
        if lesions:
            self.window.desk.go_to(lesions[0][0].place_mm)

    def keep_one_lesion(self) -> None:
        """Keep the largest suggestion as the one to resect, and remove the others."""
        rows = self.window.segment_panel.lesions
        rows.keep(rows.rows.records[0][0])
        while len(rows.rows.records) > 1:
            held = len(rows.rows.records)
            rows.remove(rows.rows.records[-1][0])
            self._settle()
            assert len(rows.rows.records) < held, "the lesion is still there"

    def enter_values(self) -> None:
        self.window.show_stage("Plan")
        for name, value in PATIENT.items():
            self.window.session.set_params("patient", "", **{name: value})
        self.window.plan_panel.recompute.click()
        self._settle()
        if self.window.plan_panel.recompute.isEnabled():
            self.window.plan_panel.recompute.click()

    def drag_cut(self, by: QPoint) -> None:
        """Drag the line of the cut in the coronal view."""
        view, cut = self.window.views.slices["coronal"], self.window.desk.value("cut")
        assert isinstance(cut, CutPlane)
        assert view.placement is not None
        ends = view.placement.line(cut.point_mm, cut.normal)
        assert ends is not None
        along = np.linspace(ends[0], ends[1], 400)
        wide, high = view.placement.width, view.placement.height
        inside = [p for p in along if 0.3 * wide < p[0] < 0.7 * wide and 40 < p[1] < high - 40]
        start = QPoint(round(inside[0][0]), round(inside[0][1]))
        QTest.mouseMove(view, start)
        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
        for part in range(1, 11):
            QTest.mouseMove(view, start + by * part / 10)
            self.app.processEvents()
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=start + by)

    def begin_with(self, kind: str) -> None:
        """Begin another plan and cut it in another way."""
        self.window.plan_panel.plans.begin()
        self.window.plan_panel.cut_choice.choose(kind)

    def write_report(self) -> None:
        self.window.show_stage("Report")
        self.window.report_panel.write_report(self.folder / "report.pdf")


def _processor_s() -> float:
    """Return the processor time of this process and of those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def walk(made: Walk, source: Path) -> None:
    """Go from the file to the report."""
    window = made.window
    plans = window.plan_panel.plans
    made.do("Start", lambda: None)
    made.do("Open the ZIP", lambda: window.open(source), click=4, look=1)
    made.do("Import and propose", made.start_import, click=2)
    made.do("Look at liver and vessels", lambda: window.show_stage("Segment"), click=3, look=3)
    made.do("Look at the lesions", made.look_at_lesions, click=2, look=1)
    made.do("Keep the lesion to resect", made.keep_one_lesion, click=6, look=1)
    made.do("Enter patient values", made.enter_values, value=3, click=4)
    made.do("Drag the cut", lambda: made.drag_cut(QPoint(0, -25)), drag=2, look=1)
    made.do("Plan B wedge", lambda: made.begin_with(WEDGE), click=3, look=1)
    made.do("Plan C territory", lambda: made.begin_with(BORDER), click=4, look=1)
    made.do("Compare", plans.compare.click, click=1, look=1)
    made.do("Back to the views", window.plans.put_away, click=1)
    made.do("Go on with B", lambda: plans.work_on("B"), click=1)
    made.do("Report", made.write_report, click=3, look=1)


def main() -> int:
    """Walk, print the table, and return 1 if it took too long or something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where pictures, report and table go")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"{folder} is not empty")
    app = QApplication(sys.argv[:1])
    made = Walk(app, folder)
    try:
        walk(made, Path(os.environ["HILUM_DATA"]) / ZIP)
    finally:
        made.window.close()
    total = sum(step.machine_s + step.person_s for step in made.steps)
    written = (folder / "report.pdf").is_file()
    record = {
        "pace_s": PACE_S,
        "steps": [asdict(step) for step in made.steps],
        "total_s": round(total),
        "limit_s": LIMIT_S,
        "report": written,
        "problems": made.problems,
    }
    (folder / "steps.json").write_text(json.dumps(record, indent=1), "utf-8")
    print(json.dumps({key: value for key, value in record.items() if key != "steps"}))
    return int(total > LIMIT_S or bool(made.problems) or not written)


if __name__ == "__main__":
    raise SystemExit(main())
