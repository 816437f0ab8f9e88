"""The scores of liver function in the Plan page."""

from pytestqt.qtbot import QtBot

from workstation.case import create_case
from workstation.planning.plan import Plan, Step
from workstation.session import Session
from workstation.ui.desk import Desk
from workstation.ui.panels.function_card import FunctionCard

LABS = {"bilirubin_mg_dl": 3.0, "albumin_g_dl": 2.8, "inr": 1.8, "icg_k_per_min": 0.16}
MORE = {"ascites_grade": 0, "encephalopathy_grade": 0}


def test_scores_stand_with_their_class_and_hide_without_values(qtbot: QtBot, tmp_path) -> None:
    steps = (
        Step("planning.patient", "patient", params=LABS | MORE),
        Step("planning.liver_reserve", "liver_function", inputs={"patient": "patient"}),
    )
    with create_case(tmp_path / "case") as case:
        plan = Plan("", {}, steps)
        case.add_plan(plan, "Start")
        case.run(plan)
    desk = Desk(Session())
    card = FunctionCard(desk)
    qtbot.addWidget(card)
    card.refresh()
    assert card.isHidden()
    desk.session.open(tmp_path / "case")
    qtbot.waitUntil(lambda: not card.isHidden(), timeout=10000)
    assert card.rows["child_pugh"][1].text() == "8 points, class B"
    assert card.rows["albi"][1].text() == "-1.25, grade 3"
    assert "Pugh 1973" in card.rows["child_pugh"][1].toolTip()
    assert card.rows["meld"][1].isHidden(), "no creatinine was entered"
    desk.close()
