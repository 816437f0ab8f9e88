"""The review sheet of a transplant in the window: shown, and made anew when a setting changes."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QLineEdit

from workstation.case import open_case
from workstation.demo import start_demo
from workstation.phantom.pair import pair, write_pair
from workstation.ui.main_window import MainWindow
from workstation.ui.panels.follow_chart import CourseCard
from workstation.ui.panels.transplant_confirm import ConfirmStrip
from workstation.ui.panels.transplant_page import TransplantPage
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
    assert "Set" not in window.session.undo_label
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
    assert [cell(page, row, 0) for row in range(2)] == ["unknown", "unknown"]
    assert "DQ" in cell(page, 0, page.compare.table.columnCount() - 1)
    assert "neither" in cell(page, 1, 1)
    window.undo()
    settle()
    rows = {row.key: row for row in page.people["recipient"].form.rows}
    assert isinstance(rows["body_weight"].value, QLineEdit)
    assert rows["body_weight"].value.text() == "84"
    confirm_and_follow(window, settle)
    page.begin(tmp_path / "new")
    settle()
    assert page.tabs.currentWidget() is page.people["donor"]
    assert window.session.value("sheet").count("unknown") == len(window.session.value("sheet").rows)


def cell(page: TransplantPage, row: int, column: int) -> str:
    item = page.compare.table.item(row, column)
    return item.text() if item is not None else ""


def strips(window: MainWindow) -> list[ConfirmStrip]:
    return window.pair.review.groups["unknown"].findChildren(ConfirmStrip)


def confirm_and_follow(window: MainWindow, settle: Settle) -> None:
    page = window.pair
    page.tabs.setCurrentIndex(0)
    settle()
    strips(window)[0].open.click()
    strips(window)[0].done.click()
    assert not window.session.require_case().record.reviews  # nobody without a name
    strips(window)[0].by.setText("A. Reader")
    strips(window)[0].comment.setText("typed again")
    strips(window)[0].done.click()
    settle()
    told = window.session.summary()["rows"]
    assert [r["name"] for r in told if "A. Reader" in r["confirmed"]] == ["hla.dq"]
    assert not strips(window)[0].back.isHidden()
    strips(window)[0].back.click()
    settle()
    assert not window.session.require_case().record.reviews
    assert not page.tabs.isTabVisible(5)
    page.follow.begin()
    settle()
    assert page.tabs.isTabVisible(5)
    page.tabs.setCurrentIndex(5)
    settle()
    fields = {row.key: row for row in page.after.form.rows}
    for key, text, day in (
        ("transplant_date", "2026-03-03", "2026-03-03"),
        ("creatinine", "2.4", "2026-03-09"),
    ):
        row = fields[key]
        assert isinstance(row.value, QLineEdit)
        assert isinstance(row.date, QLineEdit)
        row.date.setText(day)
        row.value.setText(text)
        row.leave()
        settle()
    (course,) = window.session.value("course").courses
    assert (course.row, course.days, course.values) == ("follow.creatinine", (6.0,), (2.4,))
    page.tabs.setCurrentIndex(4)
    settle()
    (card,) = page.follow.cards.findChildren(CourseCard)
    assert card.plot.words_at(0.0) == "Day 6: 2.4 mg/dL"
    card.plot.grab()  # drawn without a band too


def test_a_plan_without_a_pair_shows_no_rows(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Plan")
    settle()
    assert not window.plan_panel.transplant.isVisible()
