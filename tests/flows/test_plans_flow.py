"""Plans A, B, C in the window: begun, worked on, compared side by side, removed, undone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from workstation.planning.plan import Plan
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.plans_card import PlanRow

Settle = Callable[[], None]


def cells(window: MainWindow, title: str) -> list[str]:
    table = window.plans.table
    for row in range(1, table.rowCount()):
        texts = [item.text() for n in range(table.columnCount()) if (item := table.item(row, n))]
        if texts and texts[0].removeprefix("≠ ") == title:
            return texts
    raise AssertionError(title)


def listed(window: MainWindow) -> dict[str, bool]:
    return {r["name"]: r["current"] for r in window.plan_panel.plans.rows.records}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Takes the place of the process that draws; the words that it was called with."""
    called: list[list[str]] = []

    def draw(words: list[str], doing: str, progress: object) -> list[str]:
        called.append(words)
        for number in {word for word in words if word.isdecimal()}:
            Image.new("RGB", (48, 33)).save(Path(words[-1]) / f"plan{int(number):04d}.png")
        return []

    monkeypatch.setattr("workstation.ui.plans_page.run_aside", draw)
    return called


def test_plans_are_begun_compared_gone_back_to_and_removed(
    window: MainWindow,
    make_case: Callable[..., Path],
    settle: Settle,
    drawn: list[list[str]],
) -> None:
    window.open_case(make_case())
    settle()
    card = window.plan_panel.plans
    assert not card.compare.isEnabled()
    QTest.mouseClick(card.new, Qt.MouseButton.LeftButton)
    settle()
    assert listed(window) == {"A": False, "B": True}
    before = window.desk.value("cut")
    window.session.set_params("cut", margin_mm=4.0)
    window.compute()
    settle()
    QTest.mouseClick(card.compare, Qt.MouseButton.LeftButton)
    settle()
    assert window.middle.currentWidget() is window.plans
    assert cells(window, "Cut: margin mm")[1:] == ["–", "4"]
    assert cells(window, "Margin minimum")[1].startswith("10.0 mm")
    assert cells(window, "Margin minimum")[2].startswith("4.0 mm")
    head = window.plans.table.cellWidget(0, 1)
    assert head is not None
    assert [words[:1] + words[2:-2] for words in drawn] == [["compare", "1", "2", "1", "2"]]
    assert [p.isNull() for p in window.plans.pictures.values()] == [False, False]
    row = card.rows.findChildren(PlanRow)[0]
    QTest.mouseClick(row, Qt.MouseButton.LeftButton)
    settle()
    assert listed(window) == {"A": True, "B": False}
    window.plans.put_away()
    assert window.middle.currentWidget() is window.views
    assert window.desk.is_current("cut")
    assert window.desk.value("cut") == before
    assert window.plan_panel.numbers["margin.minimum"].value.text() == "10.0"
    card.call_it("wide")
    card.take_away()
    settle()
    assert listed(window) == {"B": True}
    window.undo()
    settle()
    assert listed(window) == {"wide": True, "B": False}
    assert window.session.undo_label == "Rename plan A to wide"


def test_what_the_procedure_offers_is_added_to_the_plan(
    window: MainWindow,
    make_case: Callable[..., Path],
    settle: Settle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window.open_case(make_case())
    settle()
    card = window.plan_panel.plans
    assert card.lacks_option(), "a plan without a template offers nothing"
    assert not card.more.isEnabled()

    def added(plan: Plan, names: list[str]) -> Plan:
        assert names == ["wide_margin"]
        return plan.with_params("cut", margin_mm=4.0)

    offers = {"wide_margin": "a wide margin"}
    monkeypatch.setattr("workstation.ui.panels.plans_card.offered", lambda _: offers)
    monkeypatch.setattr("workstation.ui.panels.plans_card.with_later_options", added)
    window.desk.bindings.refresh()
    assert card.more.isEnabled()
    QTest.mouseClick(card.more, Qt.MouseButton.LeftButton)
    (menu,) = card.findChildren(QMenu)
    (action,) = menu.actions()
    assert action.text() == "A wide margin"
    action.trigger()
    menu.close()
    settle()
    assert window.session.undo_label == "Add wide margin"
    assert window.desk.is_current("cut"), "what was added is computed"
    assert window.session.require_plan().step("cut").params["margin_mm"] == 4.0


def test_what_cannot_be_named_is_told_and_changes_nothing(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    told: list[object] = []
    window.desk.failed.connect(told.append)
    window.open_case(make_case(computed=False))
    window.plan_panel.plans.begin()
    window.plan_panel.plans.call_it("A")
    settle()
    assert len(told) == 1
    assert listed(window) == {"A": False, "B": True}
    assert "not computed" in window.plan_panel.plans.rows.records[0]["numbers"]
