"""The review sheet of a transplant in the window: shown, and made anew when a setting changes."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QLineEdit

from workstation.case import open_case
from workstation.demo import start_demo
from workstation.phantom.pair import pair, write_pair
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.transplant_rows import SHEETS, RowCard

Settle = Callable[[], None]


def shown(window: MainWindow) -> dict[str, str]:
    cards = window.plan_panel.transplant.cards.findChildren(RowCard)
    return {card.accessibleName().split()[0]: card.accessibleName() for card in cards}


def test_the_rows_of_a_pair_stand_in_the_window_and_follow_the_settings(
    window: MainWindow, tmp_path: Path, settle: Settle
) -> None:
    start_demo(tmp_path / "case", "transplant")
    with open_case(tmp_path / "case") as case:
        case.run(case.plan())
    window.open_case(tmp_path / "case")
    settle()
    window.show_stage("Plan")
    settle()
    assert window.plan_panel.transplant.isVisible()
    assert "unknown" in shown(window)["hla.dq"]
    assert "warn 2300 MFI" in shown(window)["donor_specific_antibodies"]
    form = window.plan_panel.transplant.forms[SHEETS[0]]
    form.changed.emit("mfi_block", 2000.0)
    settle()
    assert "block" in shown(window)["donor_specific_antibodies"]
    assert next(iter(shown(window))) == "donor_specific_antibodies"


def test_a_pair_without_images_has_the_middle_and_values_are_entered_there(
    window: MainWindow, tmp_path: Path, settle: Settle
) -> None:
    start_demo(tmp_path / "case", "transplant")
    with open_case(tmp_path / "case") as case:
        case.run(case.plan())
    window.open_case(tmp_path / "case")
    settle()
    page = window.pair
    assert window.middle.currentWidget() is page
    assert page.review.counts["unknown"].text() == "1"
    assert "DQ" in page.review.changes.records[0]
    page.tabs.setCurrentIndex(2)
    settle()
    rows = {row.key: row for row in page.people["recipient"].form.rows}
    weight = rows["body_weight"]
    assert isinstance(weight.value, QLineEdit)
    weight.value.setText("840")
    weight.leave()
    assert "plausible" in weight.told.text()
    assert not window.session.undo_label
    weight.value.setText("52")
    weight.leave()
    settle()
    assert window.session.undo_label == "Set Body weight of the recipient"
    assert window.session.value("sheet").row("size.weight").value == -14.0
    others = tmp_path / "others"
    others.mkdir()
    write_pair(pair(), others)
    (others / "bad.json").write_text("{}")
    page.compare.compare([others / "donor.json", others / "bad.json"], many_recipients=False)
    settle()
    table = page.compare.table
    assert [table.item(row, 0).text() for row in range(2)] == ["unknown", "unknown"]
    assert "DQ" in table.item(0, table.columnCount() - 1).text()
    assert "neither" in table.item(1, 1).text()
    window.undo()
    settle()
    rows = {row.key: row for row in page.people["recipient"].form.rows}
    assert isinstance(rows["body_weight"].value, QLineEdit)
    assert rows["body_weight"].value.text() == "84"


def test_a_plan_without_a_pair_shows_no_rows(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Plan")
    settle()
    assert not window.plan_panel.transplant.isVisible()
