"""Clinical values in the window: dropped, doubted, used in the plan, written out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest

from tests.workstation.fhir_bundles import bundle, measured, patient, whole_record, write
from workstation.planning.plan import Step
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]


def drop(window: MainWindow, file: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    event = QDropEvent(
        QPointF(50, 50),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)


@pytest.fixture
def opened(window: MainWindow, make_case: Callable[..., Path], settle: Settle) -> MainWindow:
    """A window on a case with a plan that has a patient's step; the patient is TEST^FLOW."""
    window.open_case(make_case((Step("planning.patient", "patient"),)))
    settle()
    return window


def of_the_case(**more: object) -> dict:
    identity = {"name": [{"family": "Test", "given": ["Flow"]}], "birthDate": "1970-01-01"}
    return whole_record() | {
        "entry": [
            {"fullUrl": "urn:uuid:0000", "resource": patient() | identity | more},
            *whole_record()["entry"][1:],
        ]
    }


def test_dropped_values_are_shown_and_used(
    opened: MainWindow, settle: Settle, tmp_path: Path
) -> None:
    drop(opened, write(tmp_path / "record.json", of_the_case()))
    settle()
    group = opened.case_panel.clinical
    assert opened.panels.currentWidget() is opened.case_panel.widget
    assert not opened.cards.cards()
    rows = {
        group.table.item(row, 0).text(): (
            group.table.item(row, 1).text(),
            group.table.item(row, 2).text(),
        )
        for row in range(group.table.rowCount())
    }
    assert rows["Creatinine"] == ("1 mg/dL", "2026-03-01")
    assert rows["Blood group"][0] == "A"
    assert rows["HLA-A"][0] == "HLA-A*02:01+HLA-A*03:01"
    assert rows["Antibody"][0] == "A2 6\u202f400 MFI"
    tips = [group.table.item(row, 0).toolTip() for row in range(group.table.rowCount())]
    assert any("LOINC 14682-9" in tip and "specimen: Serum" in tip for tip in tips)
    assert group.fold.isVisible()
    QTest.mouseClick(group.fold, Qt.MouseButton.LeftButton)
    assert group.missed.isVisible()
    assert opened.session.require_plan().step("patient").params == {}
    assert group.use.isEnabled()
    QTest.mouseClick(group.use, Qt.MouseButton.LeftButton)
    settle()
    assert opened.session.undo_label == "Use clinical values"
    assert not group.use.isEnabled()
    numbers = {n["name"]: n for n in opened.session.summary()["numbers"]}
    assert numbers["patient.body_weight_kg"]["source"].startswith("FHIR Observation")
    opened.show_stage("Plan")
    shown = opened.plan_panel.patient.rows
    texts = [label.text() for label in shown.findChildren(type(opened.case_panel.identity))]
    assert "Body weight 80.0 kg\nFHIR Observation, LOINC 29463-7, 2026-03-01" in texts
    file = tmp_path / "plan.fhir.json"
    opened.report_panel.write_fhir(file)
    settle()
    kinds = [e["resource"]["resourceType"] for e in json.loads(file.read_text("utf-8"))["entry"]]
    assert {"Observation", "DiagnosticReport", "Provenance"} <= set(kinds)
    assert str(file) in opened.report_panel.done.text()


def test_values_of_another_patient_stay_out_until_a_person_vouches(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle, tmp_path: Path
) -> None:
    other = write(tmp_path / "other.json", bundle(patient(gender="male")))
    doubtful = write(tmp_path / "r.json", bundle(patient(), measured("2160-0", 1.1, "mg/dL")))
    drop(window, doubtful)
    settle()
    assert "need a case" in window.cards.cards()[-1].text()
    window.open_case(make_case((), computed=False))
    settle()
    group = window.case_panel.clinical
    told = []
    window.desk.failed.connect(lambda problem: told.append(problem.title))
    drop(window, other)
    settle()
    assert "sex" in told[-1]
    assert not group.vouch.isVisible()
    drop(window, doubtful)
    settle()
    assert "the name differs" in told[-1]
    assert window.session.require_case().record.clinical == []
    assert group.vouch.isVisible()
    group.number.setText("MRN-7")
    QTest.mouseClick(group.vouch, Qt.MouseButton.LeftButton)
    settle()
    assert len(window.session.require_case().record.clinical) == 1
    assert not group.vouch.isVisible()
