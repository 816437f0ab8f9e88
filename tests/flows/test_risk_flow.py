"""The sheet of risk scores in the window: entered, computed at once, switched on by a file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QComboBox, QLineEdit

from workstation.planning.plan import Step
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.risk_sheet import RiskCard

Settle = Callable[[], None]
STEPS = (
    Step("planning.patient", "shape", params={"body_weight_kg": 70.0}),  # it knows no size
    Step("planning.aneurysm_patient", "patient", params={"hypertension": False}),
    Step("planning.aneurysm_risk", "risk", inputs={"shape": "shape", "patient": "patient"}),
    Step(
        "planning.aneurysm_risk",
        "risk_with_flow",
        inputs={"shape": "shape", "patient": "patient", "dome_flow": "shape"},
        params={"models": "flow"},
    ),
)
AGE_MODEL = {
    "model": "detmer",
    "intercept": -2.0,
    "coefficients": {"age_years": {"coefficient": 0.02, "unit": "years", "high": 50}},
    "source": "made up for this test",
    "population": "nobody; made up for this test",
}


@pytest.fixture
def opened(window: MainWindow, make_case: Callable[..., Path], settle: Settle) -> MainWindow:
    window.open_case(make_case(STEPS))
    settle()
    window.show_stage("Plan")
    settle()
    return window


def shown(window: MainWindow) -> dict[str, str]:
    cards = window.plan_panel.risk.cards.findChildren(RiskCard)
    return {card.accessibleName().split()[0]: card.accessibleName() for card in cards}


def values(window: MainWindow) -> dict[str, float]:
    return {n["name"]: n["value"] for n in window.session.summary()["numbers"]}


def test_a_plan_without_scores_shows_none(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Plan")
    settle()
    assert not window.plan_panel.risk.isVisible()
    assert window.plan_panel.numbers["margin.minimum"].isVisible()


def test_facts_and_coefficients_change_the_sheet_at_once(
    opened: MainWindow, settle: Settle, tmp_path: Path
) -> None:
    risk = opened.plan_panel.risk
    assert risk.isVisible()
    assert not opened.plan_panel.numbers["margin.minimum"].isVisible()
    assert risk.told.text() == "0 of 7 have a value, 3 need coefficients."
    assert "needs coefficients" in shown(opened)["Detmer"]
    assert not risk.drop.isEnabled()
    file = tmp_path / "detmer.json"
    file.write_text(json.dumps(AGE_MODEL))
    risk.take(file)
    settle()
    assert "risk.detmer" not in values(opened), "the age is not known"
    risk.form.fields["age_years"].setText("60")
    risk.form.fields["age_years"].editingFinished.emit()
    settle()
    assert opened.session.require_plan().step("patient").params["age_years"] == 60
    assert values(opened)["risk.detmer"] == pytest.approx(31.0026, abs=1e-3)
    assert values(opened)["risk_with_flow.detmer"] == values(opened)["risk.detmer"]
    assert "31.0 %" in shown(opened)["Detmer"]
    assert risk.told.text() == "1 of 7 have a value, 2 need coefficients."
    told = [f["sentence"] for f in opened.session.summary()["findings"]]
    assert any("Detmer 2018: outside the derivation range" in words for words in told)
    risk.drop.click()
    settle()
    assert not {"risk.detmer", "risk_with_flow.detmer"} & values(opened).keys()
    opened.undo()
    settle()
    assert values(opened)["risk.detmer"] == pytest.approx(31.0026, abs=1e-3)


def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(
    opened: MainWindow, settle: Settle, tmp_path: Path
) -> None:
    before = opened.session.require_plan()
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(AGE_MODEL | {"source": ""}))
    opened.plan_panel.risk.take(file)
    settle()
    assert opened.session.require_plan() == before
    assert "source must say" in opened.cards.cards()[-1].text()


def test_age_and_sex_come_from_the_images(opened: MainWindow, settle: Settle) -> None:
    risk = opened.plan_panel.risk
    case = opened.session.require_case()
    case.record.patient |= {"birth_date": "19601123"}
    case.record.study = {"date": "20261122"}
    opened.session.notify()
    settle()
    assert risk.imaged.isEnabled()
    risk.imaged.click()
    settle()
    facts = opened.session.value("patient")
    assert dict(facts.facts) == {"age_years": 65, "female": True, "hypertension": False}
    assert facts.origins["female"] == "DICOM images"
    assert facts.origins["hypertension"] == "entered by hand"
    assert not risk.imaged.isEnabled()


def test_a_circulation_is_added_as_a_step(opened: MainWindow, settle: Settle) -> None:
    adding = opened.plan_panel.add_step
    adding.fold.click()
    adding.stage.setCurrentIndex(adding.stage.findData("hemodynamics.circulation"))
    assert adding.form is not None
    heart = '{"kind": "flow source", "name": "heart", "end": "aorta", "flow": {"mean": 80}}'
    body = '"name": "body", "start": "aorta", "end": "ground", "resistance": 1.1'
    field = adding.form.fields["network"]
    assert isinstance(field, QLineEdit)
    field.setText(f'{{"elements": [{heart}, {{"kind": "resistor", {body}}}]}}')
    field.editingFinished.emit()
    kind = adding.form.fields["kind"]
    assert isinstance(kind, QComboBox)
    kind.setCurrentText("steady")
    kind.activated.emit(kind.currentIndex())
    adding.name.setText("loop")
    adding.add.click()
    settle()
    assert not opened.cards.cards()
    assert values(opened)["loop.aorta.pressure"] == pytest.approx(88.0)
