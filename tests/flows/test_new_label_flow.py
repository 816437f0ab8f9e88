"""A label that a person makes by clicking on a thing, in the real window."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]
LESION_MM, BESIDE_MM = (-32.0, 4.0, -6.0), (-60.0, 4.0, -6.0)


def test_a_click_makes_a_label_and_more_clicks_correct_it(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.show_stage("Segment")
    settle()
    before = window.session.plan
    panel = window.segment_panel.new_label
    panel.name.setText("My lesion")
    panel.start.click()
    assert window.desk.hand.tool == "seed_foreground"
    view = window.views.slices["axial"]
    view.seed_placed.emit((LESION_MM,), True)
    settle()
    first = window.desk.value("my_lesion")
    assert np.any(first.array)
    view.seed_placed.emit((BESIDE_MM,), False)
    settle()
    step = window.session.plan.step("my_lesion")
    assert [side for side, _ in step.params["prompts"]] == ["inside", "outside"]
    assert window.session.undo_label == "Place seed"
    window.session.undo()
    window.session.undo()
    assert window.session.plan == before
