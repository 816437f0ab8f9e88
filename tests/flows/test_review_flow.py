"""A label is reviewed in the window, and loses its review by an edit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from segmentation.volume import LabelPatch
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]


def test_a_label_is_reviewed_and_an_edit_ends_it(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Segment")
    steps = window.segment_panel.steps
    assert steps.rows["liver"].badge.text() == "edited", "a person chose its limits"
    QTest.mouseClick(steps.rows["liver"].name, Qt.MouseButton.LeftButton)
    settle()
    bar = steps.review
    assert bar.isVisible()
    assert not bar.mark.isEnabled()
    assert "your name" in bar.mark.toolTip()
    QTest.keyClicks(bar.by, "B. Seen")
    settle()
    QTest.mouseClick(bar.mark, Qt.MouseButton.LeftButton)
    settle()
    assert steps.rows["liver"].badge.text() == "✓ reviewed"
    assert "Reviewed by B. Seen" in bar.told.text()
    assert window.session.undo_label == "", "a review is no change of the plan"
    block = np.zeros((2, 2, 2), np.uint8)
    window.desk.edit("liver", LabelPatch((1, 1, 1), block, block + 1), "Brush stroke")
    settle()
    assert steps.rows["liver"].badge.text() == "edited"
    window.undo()
    settle()
    assert steps.rows["liver"].badge.text() == "✓ reviewed"
    QTest.mouseClick(bar.withdraw, Qt.MouseButton.LeftButton)
    settle()
    assert steps.rows["liver"].badge.text() == "edited"
    assert bar.by.text() == "B. Seen", "the name is kept for the next label"
    window.show_stage("Report")
    settle()
    codes = [(f["code"], f["step"]) for f in window.report_panel.findings.records]
    assert ("not_reviewed", "liver") in codes
    window.session.review("liver", "B. Seen")
    settle()
    codes = [(f["code"], f["step"]) for f in window.report_panel.findings.records]
    assert ("not_reviewed", "liver") not in codes
    assert ("not_reviewed", "tumor") in codes
