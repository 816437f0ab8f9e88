"""How work begins: import, recent cases, actions by name, what cannot be opened."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from workstation.case import open_case
from workstation.ui.main_window import MainWindow
from workstation.ui.palette import Palette
from workstation.ui.recent import recent_cases

Settle = Callable[[], None]


def test_a_dropped_image_file_becomes_a_case(
    window: MainWindow, image_file: Path, settle: Settle, tmp_path: Path
) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(image_file))])
    event = QDropEvent(
        QPointF(50, 50),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)
    panel = window.import_panel
    assert window.panels.currentWidget() is panel.widget
    assert panel.folder.text() == str(tmp_path / "scan-case")
    assert panel.start.isEnabled()
    QTest.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    settle()
    assert window.session.case is not None
    assert window.session.case.folder == tmp_path / "scan-case"
    assert window.session.require_plan().template == "liver-resection"


def test_a_folder_without_images_says_so(
    window: MainWindow, settle: Settle, tmp_path: Path
) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "letter.txt").write_text("no image")
    window.open(folder)
    settle()
    assert window.cards.cards()
    assert not window.import_panel.start.isEnabled()
    assert "images" in window.import_panel.widget.needs.text()


def test_a_case_that_another_window_holds_is_refused(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    folder = make_case()
    with open_case(folder):
        window.open_case(folder)
    assert "another window" in window.cards.cards()[0].text()
    assert window.session.case is None
    window.open_case(folder)
    settle()
    assert window.session.case is not None


def test_recent_cases_are_offered_and_hold_no_name(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle, tmp_path: Path
) -> None:
    first, second = make_case(computed=False), make_case(computed=False)
    for folder in (first, second):
        window.open_case(folder)
    window.close_case()
    settle()
    file = tmp_path / "state" / "recent.json"
    assert recent_cases(file) == [second, first]
    assert "TEST" not in file.read_text()
    assert window.middle.currentWidget() is window.start_page


def test_every_action_is_found_by_name_and_says_what_it_lacks(window: MainWindow) -> None:
    window.show_palette()
    palette = next(w for w in QApplication.topLevelWidgets() if isinstance(w, Palette))
    assert palette.list.count() == len(window.commands.all)
    QTest.keyClicks(palette.query, "recompute")
    assert palette.list.count() == 1
    assert "needs a plan" in palette.list.item(0).text()
    palette.query.clear()
    QTest.keyClicks(palette.query, "go report")
    QTest.keyClick(palette.query, Qt.Key.Key_Return)
    assert window.panels.currentWidget() is window.report_panel.widget


def test_no_stray_window_takes_the_keyboard(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    window.desk.attempt(lambda: {}["nothing"])
    assert QApplication.activeWindow() is window


def test_shortcuts_are_unique(window: MainWindow) -> None:
    keys = [c.action.shortcut().toString() for c in window.commands.all]
    used = [key for key in keys if key]
    assert len(used) == len(set(used))
    in_3d = set("APLRSI")
    assert not in_3d.intersection(used), "the 3D view needs these letters for its standard views"


def test_window_presets_and_single_views_by_key(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    QTest.keyClick(window, Qt.Key.Key_4)
    settle()
    assert window.views.slices["coronal"].window_level == (1500, -600)
    QTest.mouseDClick(window.views.slices["coronal"], Qt.MouseButton.LeftButton)
    assert window.views.alone == "coronal"
    assert not window.views.scene.isVisible()
    QTest.keyClick(window, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    assert window.views.scene.isVisible()


def test_the_window_fits_a_small_screen(window: MainWindow) -> None:
    window.resize(1280, 800)
    for panel in range(window.panels.count()):
        window.panels.setCurrentIndex(panel)
        page = window.panels.widget(panel).widget()
        assert page.minimumSizeHint().width() <= 330, f"panel {panel} is cut off at the right"
    assert window.minimumSizeHint().width() <= 1280
    assert window.minimumSizeHint().height() <= 800


def test_another_patient_meets_nothing_of_the_one_before(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    window.open_case(make_case())
    settle()
    old = set(map(id, window.desk.results().values()))
    window.session.move_cut((-20.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
    window.compute()  # and leave while this runs
    window.open_case(make_case(computed=False, frame="1.2.3.4"))
    window.compute()
    window.desk.bindings.refresh()
    assert not old.intersection(map(id, window.desk.results().values()))
    assert not window.views.overlays()
    assert not window.views.surfaces()
    assert window.views.scene._image is None, "the picture of the other patient is still shown"
    assert window.plan_panel.numbers["margin.minimum"].value.text() == "–"
    settle()
    assert {v.geometry.frame_uid for v in window.desk.labels().values()} == {"1.2.3.4"}
    assert not window.cards.cards()


def test_larger_text_gets_larger_panels(window: MainWindow) -> None:
    width = window.rail.width()
    window.look.scale_text(+0.9)
    assert window.rail.width() == round(1.6 * width)
    for panel in range(window.panels.count()):
        page = window.panels.widget(panel).widget()
        assert page.minimumSizeHint().width() <= 1.6 * 330, f"panel {panel} is cut off"
    window.look.scale_text(-0.6)
    window.look.toggle_theme()
    window.look.toggle_theme()
    assert window.rail.width() == width
