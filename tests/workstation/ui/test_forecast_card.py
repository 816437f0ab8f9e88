"""The forecast beside a moving cut, and numbers that never hold up the hand."""

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from segmentation.contract import Finding, Measurements, Number, Severity
from workstation.planning.pressure import pressure_after
from workstation.session import Session
from workstation.ui.desk import Desk
from workstation.ui.panels.forecast_card import ForecastCard
from workstation.ui.steady import Steady


def test_the_newest_call_is_run_and_what_it_overtook_is_not(qtbot: QtBot) -> None:
    parent, ran = QObject(), []
    steady = Steady(parent)
    for number in range(4):
        steady.call(lambda number=number: ran.append(number))
    assert ran == [0]
    qtbot.waitUntil(lambda: len(ran) == 2, timeout=5000)
    assert ran == [0, 3]
    steady.call(lambda: ran.append(4))
    steady.call(lambda: ran.append(5))
    steady.finish()
    assert ran[-1] == 5
    assert ran.count(5) == 1
    steady.call(lambda: ran.append(6))
    steady.forget()
    steady.finish()
    assert ran[-1] == 5


def test_a_moving_cut_shows_before_and_after_with_bands_and_limits(qtbot: QtBot) -> None:
    desk = Desk(Session())
    card = ForecastCard(desk)
    qtbot.addWidget(card)
    desk.judged.emit(Measurements(findings=(Finding(Severity.PROBLEM, "no_cut", "no cut"),)))
    assert card.words.text() == "▲ No cut."
    assert not card.isHidden()
    numbers = (
        Number("before", 9.0, "mmHg", "measured: as entered"),
        Number("after", 23.4, "mmHg", "x", 20.0, 26.0),
        Number("after_widened", 15.0, "mmHg", "x", 12.0, 17.0),
        Number("portal_flow_before", 1.0, "L/min", "assumed: a share; measured: another", 0.9, 1.1),
        Number("portal_flow_after", 0.9, "L/min", "x", 0.8, 1.0),
    )
    told = Finding(Severity.WARNING, "portal_pressure_failure", "it lies above 21 mmHg")
    desk.judged.emit(Measurements(numbers, (told,)))
    title, value, band, origin = card.rows["before", "after"]
    assert (title.text(), value.text()) == ("Portal pressure", "9.0 → 23.4 mmHg")
    assert band.text() == "20.0 to 26.0 mmHg"
    assert origin.text() == "before: measured"
    assert card.rows["portal_flow_before", "portal_flow_after"][3].text() == "before: assumed"
    assert card.rows["", "after_widened"][1].text() == "15.0 mmHg"
    assert card.rows["", "after_widened"][3].text() == ""
    assert card.notes.text() == "! It lies above 21 mmHg."
    assert card.rows["gradient_before", "gradient_after"][1].isHidden()
    assert card.words.text() == ""
    desk.previewed.emit(None)
    desk.close()


def test_a_missing_pressure_is_asked_for(qtbot: QtBot) -> None:
    desk = Desk(Session())
    card = ForecastCard(desk)
    qtbot.addWidget(card)
    desk.judged.emit(pressure_after({"map_mmhg": 85.0}, 1500.0)(0.4))
    assert "not entered: portal vein pressure" in card.notes.text()
    assert all(parts[1].isHidden() for parts in card.rows.values())
    desk.close()
