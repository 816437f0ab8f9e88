"""Steps that a person adds to a plan and removes again, in the real opened."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QToolButton

from workstation.ui.main_window import MainWindow
from workstation.ui.panels.add_step import AddStep

Settle = Callable[[], None]


@pytest.fixture
def opened(window: MainWindow, make_case: Callable[..., Path], settle: Settle) -> MainWindow:
    window.open_case(make_case())
    window.show_stage("Segment")
    settle()
    return window


def choose(adder: AddStep, stage: str) -> None:
    if adder._page.isHidden():
        adder.fold.click()
    adder.stage.setCurrentIndex(adder.stage.findData(stage))


def test_a_label_is_smoothed_in_place_and_the_step_removed(
    opened: MainWindow, settle: Settle
) -> None:
    session = opened.desk.session
    before = session.plan
    adder = opened.segment_panel.add_step
    choose(adder, "segmentation.margin")
    adder.sources["labels"].setCurrentIndex(adder.sources["labels"].findData("liver"))
    assert adder.form is not None
    adder.form.changed.emit("distance_mm", 6.0)
    whole = np.count_nonzero(opened.desk.value("liver").array)
    adder.add.click()
    settle()
    assert session.plan is not None
    assert [s.output for s in session.plan.steps][:2] == ["liver_proposal", "liver"]
    assert np.count_nonzero(opened.desk.value("liver").array) > 1.2 * whole
    steps = opened.segment_panel.steps
    steps.choose("liver")
    steps.remove.click()
    assert session.plan == before


def test_a_new_label_grows_from_the_crosshair(opened: MainWindow, settle: Settle) -> None:
    session = opened.desk.session
    session.set_view(crosshair_mm=(-32.0, 4.0, -6.0))
    adder = opened.segment_panel.add_step
    choose(adder, "segmentation.grow_from_seeds")
    adder.name.setText("Second lesion")
    adder.add.click()
    settle()
    grown, tumor = opened.desk.value("second_lesion").array, opened.desk.value("tumor").array
    both = np.count_nonzero((grown != 0) & (tumor != 0))
    assert both > 0.6 * np.count_nonzero(tumor)
    assert np.count_nonzero(grown) < 2 * np.count_nonzero(tumor)


def test_a_step_that_others_need_cannot_go(opened: MainWindow) -> None:
    plan = opened.desk.session.plan
    steps = opened.segment_panel.steps
    steps.choose("tumor")
    steps.remove.click()
    assert opened.desk.session.plan == plan
    assert "used by" in opened.cards.cards()[-1].text()


def test_a_name_that_cannot_be_is_refused(opened: MainWindow) -> None:
    plan = opened.desk.session.plan
    adder = opened.segment_panel.add_step
    choose(adder, "segmentation.threshold")
    assert adder.form is not None
    adder.form.changed.emit("lower_hu", 50.0)
    adder.name.setText("../evil")
    adder.add.click()
    assert opened.desk.session.plan == plan
    assert "cannot name a result" in opened.cards.cards()[-1].text()


def test_a_form_takes_the_crosshair_where_it_stands_now(opened: MainWindow, settle: Settle) -> None:
    opened.show_stage("Plan")
    steps = opened.plan_panel.steps
    steps.choose("cut")
    settle()
    assert steps.form is not None
    opened.session.set_view(crosshair_mm=(-20.0, 5.0, 3.0))  # after the form was made
    (take,) = (
        button
        for button in steps.form.fields["point_mm"].findChildren(QToolButton)
        if "crosshair" in button.toolTip()
    )
    take.click()
    settle()
    assert opened.session.plan is not None
    assert opened.session.plan.step("cut").params["point_mm"] == (-20.0, 5.0, 3.0)
