import gc
from dataclasses import replace
from threading import Event, current_thread, main_thread
from traceback import walk_tb

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from tests.workstation.shapes import blob, sphere
from workstation import picture
from workstation.picture import ScalarMap, SceneItem
from workstation.ui import scene_view
from workstation.ui.scene_view import SceneView

RED, GREEN = (220, 30, 30), (30, 220, 30)
LEFT, UPPER = (60.0, 10.0, -20.0), (-10.0, -30.0, 70.0)
LEFT_BUTTON, MIDDLE_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton


@pytest.fixture(scope="module", autouse=True)
def _needs_opengl():
    problem = picture.probe()
    if problem:
        pytest.skip(problem)


@pytest.fixture
def items():
    return {"left": SceneItem(sphere(LEFT, 12), RED), "upper": SceneItem(sphere(UPPER, 9), GREEN)}


@pytest.fixture
def view(qtbot, items):
    view = SceneView(threaded=False)
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    view.set_values(items)
    settle()
    return view


def settle():
    QApplication.processEvents()


def pixels(view):
    image = view.grab().toImage().convertToFormat(view._image.format())
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def at(view, point):
    x, y, _ = view.camera.project([point], (view.width(), view.height()))[0]
    return QPoint(round(x), round(y))


def drag(qtbot, view, start, end, button=LEFT_BUTTON, release=True):
    qtbot.mousePress(view, button, pos=start)
    qtbot.mouseMove(view, (start + end) / 2)
    qtbot.mouseMove(view, end)
    if release:
        qtbot.mouseRelease(view, button, pos=end)


def wheel(view, place, notches):
    event = QWheelEvent(
        QPointF(place), view.mapToGlobal(QPointF(place)), QPoint(), QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
        False,
    )  # fmt: skip
    QApplication.sendEvent(view, event)


def test_the_first_surfaces_are_framed_from_the_front(view):
    image = pixels(view)
    for channel, centre in ((0, LEFT), (1, UPPER)):
        place = at(view, centre)
        np.testing.assert_allclose(blob(image, channel)[:2], (place.x(), place.y()), atol=2)
    assert blob(image, 0)[0] > 200 > blob(image, 1)[0]


def test_an_empty_view_says_what_to_do_and_draws_no_surface(qtbot, monkeypatch):
    said = []
    monkeypatch.setattr(scene_view, "draw_sentence", lambda *args: said.append(args[-1]))
    view = SceneView()
    qtbot.addWidget(view)
    view.grab()
    assert said == [scene_view.EMPTY]


def test_without_opengl_the_view_says_so_and_never_draws(qtbot, items, monkeypatch):
    said = []
    monkeypatch.setattr(scene_view, "draw_sentence", lambda *args: said.append(args[-1]))
    view = SceneView(probe=lambda: "no OpenGL here", threaded=False)
    qtbot.addWidget(view)
    view.set_values(items)
    view.set_cut((0, 0, 0), (1, 0, 0), 40)
    view.grab()
    assert said == ["no OpenGL here"]
    assert view.scene.frames == 0


def test_nothing_is_drawn_when_nothing_changed(view, items):
    frames = view.scene.frames
    view.set_values(items)
    view.set_crosshair(LEFT)
    view.camera = view.camera
    view.set_split(None)
    view.repaint()
    settle()
    assert view.scene.frames == frames


def test_many_changes_of_one_turn_are_one_picture(view, items):
    frames = view.scene.frames
    for n in range(5):
        view.camera = view.camera.orbit(3, n, view.camera.focal_mm, (400, 300))
        view.set_values(items | {"third": SceneItem(sphere((0, 0, n), 5), GREEN)})
    settle()
    assert view.scene.frames == frames + 1


def test_a_hidden_view_draws_nothing(view, items):
    view.hide()
    frames = view.scene.frames
    view.look_from("L")
    settle()
    assert view.scene.frames == frames
    view.show()
    settle()
    assert view.scene.frames == frames + 1


@pytest.mark.parametrize("letter", ["A", "P", "L", "R", "S", "I"])
def test_keys_give_the_standard_views(qtbot, view, letter):
    view.camera = view.camera.orbit(70, 30, view.camera.focal_mm, (400, 300))
    qtbot.keyClick(view, letter)
    np.testing.assert_allclose(view.camera.axes, view.camera.look_from(letter).axes, atol=1e-12)
    image = pixels(view)
    place = at(view, LEFT)
    np.testing.assert_allclose(blob(image, 0)[:2], (place.x(), place.y()), atol=2)


def test_a_left_drag_turns_about_the_point_under_the_cursor(qtbot, view):
    before, start = view.camera, at(view, LEFT)
    picked = view.scene.pick(start.x(), start.y(), (400, 300))
    drag(qtbot, view, start, start + QPoint(40, 10))
    assert not np.allclose(view.camera.axes, before.axes)
    size = (400, 300)
    np.testing.assert_allclose(
        view.camera.project([picked], size), before.project([picked], size), atol=1e-6
    )


def test_a_middle_drag_shifts_with_the_cursor(qtbot, view):
    before, start = view.camera, at(view, LEFT)
    picked = view.scene.pick(start.x(), start.y(), (400, 300))
    drag(qtbot, view, start, start + QPoint(-30, 20), MIDDLE_BUTTON)
    np.testing.assert_allclose(view.camera.axes, before.axes)
    moved = view.camera.project([picked], (400, 300)) - before.project([picked], (400, 300))
    np.testing.assert_allclose(moved[0], (-30, 20, 0), atol=1e-6)


def test_the_wheel_zooms_to_the_cursor(qtbot, view):
    place, before = at(view, UPPER), view.camera
    size_before = blob(pixels(view), 1)[2]
    wheel(view, place, 2)
    settle()
    assert view.camera.distance_mm < before.distance_mm
    image = pixels(view)
    assert blob(image, 1)[2] > 1.5 * size_before
    np.testing.assert_allclose(blob(image, 1)[:2], (place.x(), place.y()), atol=2.5)


def test_home_shows_everything_again(qtbot, view):
    wheel(view, at(view, UPPER), 12)
    qtbot.keyClick(view, Qt.Key.Key_Home)
    settle()
    assert blob(pixels(view), 0)[2] > 100


def test_escape_gives_a_turn_back(qtbot, view):
    before, start = view.camera, QPoint(100, 200)
    drag(qtbot, view, start, QPoint(160, 220), release=False)
    assert view.camera != before
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    qtbot.mouseMove(view, QPoint(200, 250))
    assert view.camera == before


def test_a_drag_of_the_ball_moves_the_cut_along_its_normal(qtbot, view):
    view.set_cut((0.0, 0.0, 10.0), (2.0, 0.0, 0.0), 40.0)
    goal = np.array((25.0, 0.0, 10.0))
    dragged, released = [], []
    view.cut_dragging.connect(lambda point, normal: dragged.append((point, normal)))
    view.cut_released.connect(lambda point, normal: released.append((point, normal)))
    camera = view.camera
    drag(qtbot, view, at(view, (0.0, 0.0, 10.0)), at(view, goal))
    assert view.camera == camera
    assert len(dragged) == 2
    assert released == dragged[-1:]
    point, normal = released[0]
    np.testing.assert_allclose(point, goal, atol=0.6)  # a cursor has whole pixels: 0.5 mm here
    assert normal == (1.0, 0.0, 0.0)


def test_escape_gives_the_cut_back(qtbot, view):
    view.set_cut((0.0, 0.0, 10.0), (1.0, 0.0, 0.0), 40.0)
    dragged, released = [], []
    view.cut_dragging.connect(lambda point, normal: dragged.append((point, normal)))
    view.cut_released.connect(lambda *_: released.append(_))
    start = at(view, (0.0, 0.0, 10.0))
    drag(qtbot, view, start, start + QPoint(60, 0), release=False)
    assert dragged[-1][0][0] > 10
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert dragged[-1] == ((0.0, 0.0, 10.0), (1.0, 0.0, 0.0))
    view.repaint()
    disc = view.scene.items[scene_view.CUT].surface
    np.testing.assert_allclose(disc.points_mm.mean(axis=0), (0.0, 0.0, 10.0), atol=1e-6)
    qtbot.mouseMove(view, start)
    qtbot.mouseRelease(view, LEFT_BUTTON, pos=start)
    assert released == []


def test_a_click_on_the_handle_is_no_change(qtbot, view):
    view.set_cut((0.0, 0.0, 10.0), (1.0, 0.0, 0.0), 40.0)
    released = []
    view.cut_released.connect(lambda *_: released.append(_))
    qtbot.mouseClick(view, LEFT_BUTTON, pos=at(view, (0.0, 0.0, 10.0)))
    assert released == []


def test_the_handle_lights_up_under_the_cursor_without_a_new_picture(qtbot, view):
    view.set_cut((0.0, 0.0, 10.0), (1.0, 0.0, 0.0), 40.0)
    settle()
    dark, frames = pixels(view), view.scene.frames
    place = at(view, (0.0, 0.0, 10.0))
    qtbot.mouseMove(view, place)
    light = pixels(view)
    assert light[place.y(), place.x()].min() > 240 > dark[place.y(), place.x()].min()
    qtbot.mouseMove(view, QPoint(5, 290))
    assert pixels(view)[place.y(), place.x()].min() < 240
    assert view.scene.frames == frames


def test_the_split_follows_the_cut(qtbot, view, items):
    view.set_values({"liver": SceneItem(sphere((0, 0, 0), 40), RED)})
    view.set_cut((0.0, 60.0, 0.0), (1.0, 0.0, 0.0), 20.0)
    view.set_split("liver", GREEN)
    view.look_from("A")
    middle = blob(pixels(view), 1)[0]
    view.set_cut((20.0, 60.0, 0.0), (1.0, 0.0, 0.0), 20.0)
    assert blob(pixels(view), 1)[0] > middle + 10
    view.set_cut(None)
    with pytest.raises(AssertionError):
        blob(pixels(view), 1)


def test_a_slow_scene_moves_as_a_draft_and_rests_in_full(qtbot, view, monkeypatch):
    drawn = []
    render = view.scene.render

    def slow(width, height, *, draft=False, camera=None):
        drawn.append((width, height, draft))
        return render(width, height, draft=draft, camera=camera)

    monkeypatch.setattr(view.scene, "render", slow)
    monkeypatch.setattr(scene_view, "SLOW_MS", 0.0)
    qtbot.mousePress(view, LEFT_BUTTON, pos=QPoint(200, 150))
    for x in (210, 220, 230, 240):
        qtbot.mouseMove(view, QPoint(x, 150))
        view.repaint()
    qtbot.mouseRelease(view, LEFT_BUTTON, pos=QPoint(240, 150))
    view.repaint()
    full, draft, half = (400, 300, False), (400, 300, True), (200, 150, True)
    assert drawn == [full, draft, half, half, full]


def test_shift_and_click_asks_for_the_crosshair_there(qtbot, view):
    asked = []
    view.crosshair_requested.connect(asked.append)
    shift = Qt.KeyboardModifier.ShiftModifier
    qtbot.mouseClick(view, LEFT_BUTTON, shift, at(view, LEFT))
    assert np.linalg.norm(np.subtract(asked[0], LEFT)) == pytest.approx(12, abs=0.3)


def test_a_double_click_asks_to_be_maximised(qtbot, view):
    with qtbot.waitSignal(view.maximise_requested, timeout=1000):
        qtbot.mouseDClick(view, LEFT_BUTTON, pos=QPoint(50, 50))


def test_a_view_takes_its_vtk_objects_with_it(qtbot, items):
    gone = []
    view = SceneView(threaded=False)
    view.set_values(items)
    view.grab()
    for thing in (view.scene._window, view.scene._renderer, view.scene._actors["left"]):
        thing.AddObserver("DeleteEvent", lambda *_: gone.append(1))
    del thing
    view.close()
    view.deleteLater()
    del view
    QApplication.sendPostedEvents(None, 52)  # DeferredDelete
    gc.collect()
    assert len(gone) == 3


def test_a_click_on_the_cube_looks_from_that_side(qtbot, view):
    view.look_from("L")
    qtbot.mouseClick(view, LEFT_BUTTON, pos=QPoint(400 - 27, 27))
    np.testing.assert_allclose(view.camera.axes, view.camera.look_from("L").axes, atol=1e-12)
    before = view.camera.orbit(-30, 0, view.camera.focal_mm, (400, 300))
    view.camera = before
    qtbot.mouseClick(view, LEFT_BUTTON, pos=QPoint(400 - 27, 27))
    np.testing.assert_allclose(view.camera.axes, view.camera.look_from("L").axes, atol=1e-12)


def test_a_drag_survives_hearing_of_its_own_cut_and_ends_with_another(qtbot, view):
    view.set_cut((0.0, 0.0, 10.0), (1.0, 0.0, 0.0), 40.0)
    dragged = []
    view.cut_dragging.connect(lambda point, normal: dragged.append(point))
    view.cut_dragging.connect(lambda point, normal: view.set_cut(point, normal, 40.0))
    start = at(view, (0.0, 0.0, 10.0))
    drag(qtbot, view, start, start + QPoint(40, 0), release=False)
    assert len(dragged) == 2
    view.set_cut((5.0, 0.0, 0.0), (0.0, 0.0, 1.0), 40.0)
    qtbot.mouseMove(view, start + QPoint(50, 10))
    assert len(dragged) == 2


@pytest.fixture
def beside(qtbot, items):
    """A view whose pictures are drawn on a thread of their own."""
    view = SceneView(threaded=True)
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    view.set_values(items)
    qtbot.waitUntil(lambda: not view.drawing, timeout=30_000)
    yield view
    view.painter.close()


def test_a_picture_drawn_beside_the_window_is_the_same(beside, view):
    np.testing.assert_array_equal(pixels(beside), pixels(view))


def test_a_slow_picture_does_not_stop_the_window(qtbot, beside, monkeypatch):
    may_end = Event()
    render = beside.scene.render

    def slow(width, height, **how):
        may_end.wait(20)
        return render(width, height, **how)

    monkeypatch.setattr(beside.scene, "render", slow)
    before = beside._image
    beside.look_from("L")
    beside.repaint()
    assert beside.drawing
    assert beside._image is before
    start = at(beside, LEFT)
    assert beside.scene.pick(start.x(), start.y(), (400, 300)) is not None
    may_end.set()
    qtbot.waitUntil(lambda: not beside.drawing, timeout=20_000)
    place = at(beside, LEFT)
    np.testing.assert_allclose(blob(pixels(beside), 0)[:2], (place.x(), place.y()), atol=2)


def test_a_picture_of_what_is_no_longer_shown_is_thrown_away(qtbot, beside, items, monkeypatch):
    may_end = Event()
    render = beside.scene.render

    def slow(width, height, **how):
        may_end.wait(20)
        return render(width, height, **how)

    monkeypatch.setattr(beside.scene, "render", slow)
    beside.look_from("L")
    beside.repaint()
    beside.set_values({})
    assert beside._image is None
    shown = []
    beside.painter.drawn.connect(lambda job: shown.append(beside._image))
    may_end.set()
    qtbot.waitUntil(lambda: not beside.drawing and len(shown) == 2, timeout=20_000)
    assert shown[0] is None
    with pytest.raises(AssertionError):
        blob(pixels(beside), 0)


def test_a_scene_that_cannot_be_drawn_is_reported(qtbot, beside, items, monkeypatch):
    told = []
    monkeypatch.setattr("workstation.ui.guard._reporters", [told.append])
    wrong = ScalarMap("absent", "Gap", "mm", 0.0, 1.0)
    beside.set_values({"left": replace(items["left"], scalars=wrong)})
    qtbot.waitUntil(lambda: len(told) == 1, timeout=20_000)
    assert "absent" in str(told[0])
    frames = [frame for frame, _ in walk_tb(told[0].__traceback__)]
    drawing = [frame for frame in frames if frame.f_code.co_name == "recolour"]
    assert len(drawing) == 1
    assert not drawing[0].f_locals, "VTK objects would be freed on another thread"


def test_a_closed_painter_draws_no_more_and_may_be_closed_again(beside):
    frames = beside.scene.frames
    beside.painter.close()
    beside.painter.close()
    beside.look_from("L")
    settle()
    assert beside.scene.frames == frames
    assert not beside.painter.busy


@pytest.mark.parametrize("threaded", [True, False])
def test_a_view_that_goes_gives_back_what_it_drew_with(qtbot, items, monkeypatch, threaded):
    view = SceneView(threaded=threaded)
    closed, close = [], view.scene.close
    monkeypatch.setattr(view.scene, "close", lambda: closed.append(current_thread()) or close())
    view.resize(200, 150)
    view.show()
    view.set_values(items)
    view.repaint()
    shiboken6.delete(view)
    assert len(closed) == 1
    assert (closed[0] is main_thread()) is not threaded


def test_looking_along_a_direction_shows_everything_with_the_head_up(view):
    view.look_along((-0.6, -0.8, 0.0))
    np.testing.assert_allclose(view.camera.axes[2], (-0.6, -0.8, 0.0), atol=1e-12)
    np.testing.assert_allclose(view.camera.axes[1], (0, 0, 1), atol=1e-12)
    image = pixels(view)
    for channel, centre in ((0, LEFT), (1, UPPER)):
        place = at(view, centre)
        np.testing.assert_allclose(blob(image, channel)[:2], (place.x(), place.y()), atol=2)


def test_no_handle_floats_where_there_is_no_picture_yet(qtbot, items, monkeypatch):
    may_end, drawn = Event(), []
    monkeypatch.setattr(scene_view, "draw_cut", lambda *args: drawn.append(args[1]))
    view = SceneView(probe=lambda: may_end.wait(20) and None, threaded=True)
    qtbot.addWidget(view)
    view.set_values(items)
    view.set_cut((0.0, 0.0, 10.0), (1.0, 0.0, 0.0), 40.0)
    view.set_crosshair(LEFT)
    view.grab()
    assert not drawn
    may_end.set()
    qtbot.waitUntil(lambda: view._image is not None, timeout=20_000)
    view.grab()
    assert drawn
    view.painter.close()
