"""What a person sees stays as they like it, and never hides whose images these are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from segmentation.contract import Progress
from workstation.case import open_case
from workstation.jobs import Job
from workstation.raster import default_window
from workstation.session import Session
from workstation.ui.main_window import MainWindow

Settle = Callable[[], None]


def test_the_look_is_remembered(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    window.look.toggle_theme()
    window.look.scale_text(+0.2)
    window.look.toggle_rail()
    again = MainWindow(Session(), recent=tmp_path / "state" / "recent.json")
    qtbot.addWidget(again)
    assert again.look.settings == window.look.settings
    assert again.rail.width() == window.rail.width() < 100
    assert all(row.title.isHidden() for row in again.rail.rows.values())
    again.close()
    window.look.toggle_theme()
    window.look.scale_text(-0.2)
    window.look.toggle_rail()
    assert window.rail.width() == 200


def test_another_patient_is_marked_until_confirmed(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case(computed=False))
    settle()
    assert window.banner.other.isHidden(), "the first patient is no other one"
    folder = make_case(computed=False, frame="1.2.3.4")
    with open_case(folder) as case:
        case.record.patient = {"name": "OTHER^ONE", "patient_id": "78"}
        case.save()
    window.open_case(folder)
    settle()
    assert window.banner.other.isVisible()
    assert window.banner.property("role") == "stranger"
    window.banner.other.click()
    assert window.banner.other.isHidden()
    assert window.banner.property("role") == "panel"


def test_a_case_is_left_at_once_while_its_work_takes_its_time(
    qtbot: QtBot, window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    first = make_case(computed=False)
    window.open_case(first)
    settle()
    goes_on = Event()

    def work(progress: Progress) -> None:
        goes_on.wait(20)

    job = Job("Stubborn", work)
    window.desk._computing = job
    window.desk.jobs.start(job, window.desk._computed)
    window.close_case()  # would wait for ten seconds if it waited
    assert window.session.case is None
    assert not goes_on.is_set()
    assert window.middle.currentWidget() is window.start_page or window.session.case is None
    goes_on.set()
    settle()
    open_case(first).close()  # the writer's place is free once the work has ended
    assert not window.cards.cards()


def test_a_lesion_is_removed_and_comes_back(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    lesions = window.segment_panel.lesions
    (found,) = [lesion for lesion, _ in lesions.rows._records or []]
    window.desk.go_to(found.place_mm)
    before = window.desk.labels()["tumor"].array
    lesions.remove(found)
    assert window.session.undo_label == "Remove lesion"
    assert not window.desk.labels()["tumor"].array.any(), "it is gone before it is computed"
    settle()
    assert not window.desk.labels()["tumor"].array.any()
    assert not lesions.isVisibleTo(window.segment_panel.widget)
    window.undo()
    settle()
    np.testing.assert_array_equal(window.desk.labels()["tumor"].array, before)


def test_an_image_without_hounsfield_units_gets_a_window_of_its_own(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case(computed=False))
    settle()
    ct = window.desk.image()
    assert ct is not None
    assert window.views.slices["axial"].window_level == (400, 60)
    mr = replace(ct, array=ct.array - ct.array.min())  # read from a file, it is called HU
    window.desk._loaded = dict.fromkeys(window.desk._loaded, mr)
    window.desk.bindings.refresh()
    shown = window.views.slices["axial"].window_level
    assert shown == pytest.approx(default_window(mr))
    assert shown == (window.session.view.window.width, window.session.view.window.level)
