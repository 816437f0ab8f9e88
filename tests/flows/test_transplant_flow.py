"""The review sheet of a transplant in the window: shown, and made anew when a setting changes."""

from collections.abc import Callable
from pathlib import Path

from workstation.case import open_case
from workstation.demo import start_demo
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


def test_a_plan_without_a_pair_shows_no_rows(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Plan")
    settle()
    assert not window.plan_panel.transplant.isVisible()
