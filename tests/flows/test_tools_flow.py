"""The tools that correct a label, in the real window: seen at once, given back, undone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from segmentation.contract import silent
from segmentation.volume import LabelPatch, Volume
from workstation.planning.plan import Step
from workstation.ui.four_up import TRIAL
from workstation.ui.main_window import MainWindow
from workstation.ui.seed_preview import coarse_answer

from .conftest import STEPS, TUMOR_MM, abdomen_like

Settle = Callable[[], None]
Opened = Callable[[str], None]


@pytest.fixture
def opened(window: MainWindow, make_case: Callable[..., Path], settle: Settle) -> Opened:
    """Opens a computed case and takes a tool in hand for its tumour."""

    def open_with(tool: str) -> None:
        window.open_case(make_case())
        settle()
        window.session.set_view(crosshair_mm=TUMOR_MM)
        window.show_stage("Segment")
        window.segment_panel.steps.choose("tumor")
        window.desk.take_tool(tool)
        settle()

    return open_with


def place(window: MainWindow, point_mm: tuple[float, float, float]) -> QPoint:
    placement = window.views.slices["axial"].placement
    assert placement is not None
    x, y, _ = placement.to_widget(point_mm).tolist()
    return QPoint(round(x), round(y))


def shown(window: MainWindow) -> np.ndarray:
    """What the axial view shows of the tumour."""
    overlays = window.views.slices["axial"]._overlays
    return next(o.labels.array for o in overlays if o.name == "tumor")


def test_paint_is_seen_while_the_hand_moves_and_escape_gives_it_back(
    window: MainWindow, opened: Opened, settle: Settle
) -> None:
    opened("brush")
    view = window.views.slices["axial"]
    before = shown(window).copy()
    start = place(window, (TUMOR_MM[0] + 25, TUMOR_MM[1], TUMOR_MM[2]))
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    first = int(shown(window).astype(bool).sum())
    QTest.mouseMove(view, start + QPoint(40, 0))
    assert int(shown(window).astype(bool).sum()) > first > int(before.astype(bool).sum())
    assert window.session.undo_label == "", "nothing is an edit before the button is let go"
    QTest.keyClick(view, Qt.Key.Key_Escape)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=start)
    settle()
    assert window.session.undo_label == ""
    assert np.array_equal(shown(window), before)


def test_undo_applies_an_edit_that_was_never_computed(
    window: MainWindow, opened: Opened, settle: Settle
) -> None:
    opened("brush")
    whole = window.session.value("tumor").array
    for corner in ((2, 2, 2), (2, 2, 8)):
        window.session.add_patch(
            "tumor", LabelPatch(corner, np.zeros((2, 2, 2), np.uint8), np.ones((2, 2, 2), np.uint8))
        )
    window.desk.compute("tumor")
    settle()
    assert shown(window).astype(bool).sum() == whole.astype(bool).sum() + 16
    window.undo()
    settle()
    assert shown(window).astype(bool).sum() == whole.astype(bool).sum() + 8


def test_strokes_undo_and_the_plan_agree(
    window: MainWindow, opened: Opened, settle: Settle
) -> None:
    """Strokes in quick succession and after an undo go on from what the plan holds."""
    opened("brush")
    window.desk.hand.ball = True
    view = window.views.slices["axial"]
    for step in (25, 32, 39):
        QTest.mouseClick(
            view,
            Qt.MouseButton.LeftButton,
            pos=place(window, (TUMOR_MM[0] + step, TUMOR_MM[1], TUMOR_MM[2])),
        )
    painted = shown(window).copy()
    settle()
    assert np.array_equal(window.session.value("tumor").array, painted)
    window.undo()
    settle()
    fewer = shown(window).copy()
    assert 0 < fewer.astype(bool).sum() < painted.astype(bool).sum()
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(window, (*TUMOR_MM[:2], -6.0)))
    window.desk.take_tool("erase")
    settle()
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(window, TUMOR_MM))
    erased = shown(window).copy()
    assert window.session.undo_label == "Erase"
    settle()
    assert np.array_equal(window.session.value("tumor").array, erased)
    assert window.desk.is_current("tumor")


def test_a_range_and_another_label_limit_the_brush(
    window: MainWindow, opened: Opened, settle: Settle
) -> None:
    opened("brush")
    tools = window.segment_panel.hand
    tools.limit.setCurrentIndex(tools.limit.findText("Inside liver"))
    tools.limit.activated.emit(tools.limit.currentIndex())
    tools.highest.setText("150")
    tools.highest.editingFinished.emit()
    window.desk.hand.radius_mm = 30.0
    before = shown(window).astype(bool)
    view = window.views.slices["axial"]
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(window, TUMOR_MM))
    added = shown(window).astype(bool) & ~before
    assert added.any()
    image, liver = window.desk.image(), window.desk.value("liver")
    assert image is not None
    assert image.array[added].max() <= 150
    assert liver.array[added].all()


def test_scissors_cut_in_a_slice_and_in_3d(
    window: MainWindow, opened: Opened, settle: Settle
) -> None:
    opened("scissors")
    before = shown(window).astype(bool)
    centre = place(window, TUMOR_MM)
    view = window.views.slices["axial"]
    outline = [QPoint(0, -90), QPoint(90, -90), QPoint(90, 90), QPoint(0, 90)]
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=centre + outline[0])
    for corner in outline[1:]:
        QTest.mouseMove(view, centre + corner)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=centre + outline[-1])
    settle()
    assert window.session.undo_label == "Scissors"
    cut = before & ~shown(window).astype(bool)
    assert 0.3 < cut.sum() / before.sum() < 0.7
    left = np.argwhere(cut)[:, 2].mean() > np.argwhere(before)[:, 2].mean()
    assert left, "the right of the screen is the patient's left"
    window.undo()
    settle()
    scene = window.views.scene
    box = [(20, 20), (scene.width() - 20, 20), (scene.width() - 20, scene.height() - 20)]
    QTest.mousePress(scene, Qt.MouseButton.LeftButton, pos=QPoint(20, scene.height() - 20))
    for x, y in box:
        QTest.mouseMove(scene, QPoint(x, y))
    QTest.mouseRelease(scene, Qt.MouseButton.LeftButton, pos=QPoint(*box[-1]))
    settle()
    assert window.session.undo_label == "Scissors"
    assert not window.session.value("tumor").array.any(), "the whole scene was outlined"


def test_scissors_cut_one_slice_only_where_there_is_a_slice(
    window: MainWindow, opened: Opened, settle: Settle
) -> None:
    opened("scissors")
    before = shown(window).astype(bool)
    place(window, TUMOR_MM)
    view = window.views.slices["axial"]
    depth = window.segment_panel.hand.cut_depth
    depth.setCurrentIndex(depth.findData("slice"))
    depth.activated.emit(depth.currentIndex())
    corners = [(0, 0), (view.width(), 0), (view.width(), view.height()), (0, view.height())]
    view.outline_finished.emit([view.placement.to_world(x, y) for x, y in corners])
    settle()
    cut = before & ~shown(window).astype(bool)
    assert np.flatnonzero(cut.any(axis=(1, 2))).tolist() == [view.placement.plane.index]
    window.undo()
    settle()
    told: list[str] = []
    window.desk.failed.connect(lambda problem: told.append(str(problem)))
    window.views.scene.outlined.emit([(20.0, 20.0), (300.0, 20.0), (300.0, 300.0)])
    settle()
    assert np.array_equal(shown(window).astype(bool), before)
    assert "lies in no slice" in told[0]


def test_a_piece_is_removed_by_a_click(window: MainWindow, opened: Opened, settle: Settle) -> None:
    opened("brush")
    before = shown(window).copy()
    aside = (TUMOR_MM[0] + 40, TUMOR_MM[1], TUMOR_MM[2])
    view = window.views.slices["axial"]
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(window, aside))
    settle()
    assert not np.array_equal(shown(window), before)
    window.desk.take_tool("pieces")
    settle()
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(window, aside))
    settle()
    assert window.session.undo_label == "Remove this piece"
    assert np.array_equal(window.session.value("tumor").array, before)


def test_a_change_is_tried_discarded_and_applied(
    window: MainWindow, opened: Opened, settle: Settle
) -> None:
    opened("navigate")
    change, plan = window.segment_panel.change, window.session.plan
    change.open(True)
    change.stage.setCurrentIndex(change.stage.findData("segmentation.margin"))
    assert change.form is not None
    change.form.changed.emit("distance_mm", 6.0)
    window.desk.bindings.refresh()
    QTest.mouseClick(change.preview, Qt.MouseButton.LeftButton)
    settle()
    trial = next(o for o in window.views.slices["axial"]._overlays if o.name == TRIAL)
    assert trial.labels.volume_ml() > 2 * window.desk.labels()["tumor"].volume_ml()
    assert window.session.plan is plan
    assert "Enter applies" in change.told.text()
    change.discard()
    settle()
    assert all(o.name != TRIAL for o in window.views.slices["axial"]._overlays)
    assert not change.apply_button.isEnabled()
    change.try_out()
    settle()
    QTest.keyClick(window, Qt.Key.Key_Return)
    assert window.session.undo_label == "Grow or shrink: tumour"
    settle()
    assert np.array_equal(window.session.value("tumor").array, trial.labels.array)
    window.undo()
    settle()
    assert window.session.plan == plan


def test_one_of_several_labels_is_painted(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    both = Step("segmentation.join", "both", inputs={"labels": "liver", "other": "tumor"})
    window.open_case(make_case((*STEPS[:2], both)))
    settle()
    window.session.set_view(crosshair_mm=TUMOR_MM)
    window.show_stage("Segment")
    window.segment_panel.steps.choose("both")
    window.desk.take_tool("brush")
    settle()
    value = window.segment_panel.hand.value
    assert value.count() == 2
    value.setCurrentIndex(1)
    value.activated.emit(1)
    before = np.bincount(window.session.value("both").array.ravel(), minlength=3)
    view = window.views.slices["axial"]
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(window, TUMOR_MM))
    settle()
    after = np.bincount(window.session.value("both").array.ravel(), minlength=3)
    assert after[2] > before[2]
    assert after[1] < before[1]


def test_a_seed_is_answered_coarsely_before_the_label_is_computed(
    window: MainWindow, make_case: Callable[..., Path], settle: Settle
) -> None:
    grown = Step(
        "segmentation.grow_from_seeds",
        "tumor",
        inputs={"volume": "ct"},
        params={"foreground_mm": (TUMOR_MM,), "reach_mm": 30.0},
    )
    window.open_case(make_case((grown,)))
    settle()
    window.session.set_view(crosshair_mm=TUMOR_MM)
    window.show_stage("Segment")
    window.segment_panel.steps.choose("tumor")
    window.desk.take_tool("seed_background")
    settle()
    aside = (TUMOR_MM[0] + 20, TUMOR_MM[1], TUMOR_MM[2])
    view = window.views.slices["axial"]
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(window, aside))
    settle()
    assert window.session.undo_label == "Place seed"
    assert window.desk.trial is None, "the label itself is there"
    assert window.desk.is_current("tumor")
    window.views.seed_preview.start("tumor")  # nothing to wait for any more: nothing is shown
    settle()
    assert window.desk.trial is None


def test_the_coarse_answer_lies_on_the_structure() -> None:
    step = Step(
        "segmentation.grow_from_seeds",
        "tumor",
        inputs={"volume": "ct"},
        params={"foreground_mm": (TUMOR_MM,), "reach_mm": 30.0},
    )
    rng = np.random.default_rng(0)
    image = abdomen_like()
    noisy = Volume(
        (image.array + rng.normal(0, 8, image.array.shape)).astype(np.int16), image.geometry
    )
    found = coarse_answer(step, noisy, silent)
    middle = found.geometry.to_world(np.argwhere(found.array)[:, ::-1].mean(axis=0))
    assert np.linalg.norm(middle - TUMOR_MM) < 4.0
