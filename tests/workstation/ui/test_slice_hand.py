"""What a mouse does in the slice view: crosshair, window, seeds, strokes and cut lines."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication

from tests.workstation.ui.blob_images import (
    CENTRE,
    OBLIQUE,
    drag,
    grabbed,
    hover,
    middle_of,
    volume,
)
from workstation.ui.slice_overlay import CutLine


def test_a_click_tells_the_point_under_it(make, said, qtbot):
    widget = make("coronal", volume(OBLIQUE))
    points = said(widget.crosshair_moved)
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(150, 120))
    assert points == [(widget.placement.to_world(150, 120),)]
    np.testing.assert_allclose(widget.placement.to_widget(points[0][0]), (150, 120, 0), atol=1e-6)


def test_a_drag_moves_the_crosshair_and_stays_on_the_picture(make, said, qtbot):
    widget = make()
    points = said(widget.crosshair_moved)
    drag(qtbot, widget, (150, 120), (160, 130), (5, 130))
    assert points[1] == (widget.placement.to_world(160, 130),)
    edge = widget.placement.corner[0]
    assert edge > 10
    assert points[-1][0] == pytest.approx(widget.placement.to_world(edge, 130))


def test_shift_carries_the_crosshair(make, said, qtbot):
    widget = make()
    points = said(widget.crosshair_moved)
    qtbot.mouseMove(widget, QPoint(150, 120))
    assert points == []
    QApplication.sendEvent(
        widget, hover(widget, QPoint(155, 121), Qt.KeyboardModifier.ShiftModifier)
    )
    assert points == [(widget.placement.to_world(155, 121),)]


def test_right_drag_changes_the_window(make, said, qtbot):
    widget = make()
    heard = said(widget.window_changed)
    drag(qtbot, widget, (200, 150), (240, 120), button=Qt.MouseButton.RightButton)
    assert heard == [(pytest.approx(1000 * np.exp(40 / 200)), pytest.approx(400))]
    assert widget.window_level == heard[-1]


def test_a_drag_ends_when_the_release_went_elsewhere(make, said, qtbot):
    widget = make()
    heard = said(widget.window_changed)
    qtbot.mousePress(widget, Qt.MouseButton.RightButton, pos=QPoint(200, 150))
    QApplication.sendEvent(widget, hover(widget, QPoint(240, 150)))
    QApplication.sendEvent(widget, hover(widget, QPoint(260, 150)))
    qtbot.mouseRelease(widget, Qt.MouseButton.RightButton, pos=QPoint(260, 150))
    assert heard == []


def test_middle_drag_pans_and_home_resets(make, qtbot):
    widget = make()
    corner = widget.placement.corner
    drag(qtbot, widget, (200, 150), (230, 140), button=Qt.MouseButton.MiddleButton)
    np.testing.assert_allclose(widget.placement.corner, corner + np.array([30, -10]))
    qtbot.keyClick(widget, Qt.Key.Key_Home)
    np.testing.assert_allclose(widget.placement.corner, corner)


def test_a_double_click_asks_to_be_maximised_unless_seeds_are_placed(make, said, qtbot):
    widget = make()
    asked, seeds = said(widget.maximise_requested), said(widget.seed_placed)
    qtbot.mouseDClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(200, 150))
    assert len(asked) == 1
    widget.set_tool("seed_foreground")
    qtbot.mouseDClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(200, 150))
    qtbot.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(200, 150))
    assert (len(asked), len(seeds)) == (1, 1)


@pytest.mark.parametrize(
    ("tool", "inside"), [("seed_foreground", True), ("seed_background", False)]
)
def test_seeds_are_placed_on_the_picture_only(make, said, qtbot, tool, inside):
    widget = make()
    widget.set_tool(tool)
    seeds, crosshair = said(widget.seed_placed), said(widget.crosshair_moved)
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(150, 120))
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(5, 120))
    assert seeds == [((widget.placement.to_world(150, 120),), inside)]
    assert crosshair == []


def test_a_drag_draws_a_stroke_along_a_structure_and_escape_gives_it_back(make, said, qtbot):
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    widget.set_tool("seed_background")
    seeds, plain = said(widget.seed_placed), grabbed(widget)
    way = [(150 + 10 * n, 120 + 2 * n) for n in range(11)]
    drag(qtbot, widget, *way, release=False)
    shown = np.abs(grabbed(widget) - plain).sum(-1)
    assert (shown[130, 190:211] > 20).any()
    assert seeds == []
    qtbot.keyClick(widget, Qt.Key.Key_Escape)
    qtbot.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(*way[-1]))
    assert seeds == []
    drag(qtbot, widget, *way)
    ((points, inside),) = seeds
    assert not inside
    ends = [widget.placement.to_world(*way[0]), widget.placement.to_world(*way[-1])]
    np.testing.assert_allclose([points[0], points[-1]], ends)
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert 3 < len(points) <= len(way)
    assert gaps[:-1].min() >= 2.0


def test_a_hand_that_trembles_has_clicked(make, said, qtbot):
    widget = make()
    widget.set_tool("seed_foreground")
    seeds = said(widget.seed_placed)
    drag(qtbot, widget, (150, 120), (152, 121), (151, 123))
    assert seeds == [((widget.placement.to_world(150, 120),), True)]


def test_a_stroke_is_drawn_as_a_line_on_its_slice(make):
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    plain = grabbed(widget)
    widget.set_seeds([[widget.placement.to_world(x, 110) for x in (140, 200, 260)]], [])
    here = np.abs(grabbed(widget) - plain).sum(-1)
    assert (here[110, 142:190] > 60).all()
    widget.set_slice(widget.placement.plane.index + 2)
    assert not np.abs(grabbed(widget) - plain)[110, 142:190].any()


def test_seeds_are_drawn_where_they_lie_and_fade_off_their_slice(make):
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    point = widget.placement.to_world(140, 110)
    plain = grabbed(widget)
    widget.set_seeds([point], [])
    here = np.abs(grabbed(widget) - plain).sum(-1)
    np.testing.assert_allclose(middle_of(here), (140, 110), atol=1)
    widget.set_slice(widget.placement.plane.index + 2)
    ring = np.abs(grabbed(widget) - plain).sum(-1)
    widget.set_slice(widget.placement.plane.index + 5)
    assert ring[60:-60, 60:-60].sum() < 0.7 * here[60:-60, 60:-60].sum()
    assert not np.abs(grabbed(widget) - plain)[60:-60, 60:-60].any()


@pytest.mark.parametrize("tool", ["brush", "erase"])
def test_a_stroke_is_told_once_it_is_finished(make, said, qtbot, tool):
    widget = make()
    widget.set_tool(tool)
    strokes = said(widget.stroke_finished)
    drag(qtbot, widget, (150, 120), (170, 125), (180, 140), release=False)
    assert strokes == []
    qtbot.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(180, 140))
    ((points,),) = strokes
    expected = [widget.placement.to_world(*p) for p in ((150, 120), (170, 125), (180, 140))]
    np.testing.assert_allclose(points, expected)


def test_a_stroke_is_previewed_and_given_back_by_escape(make, said, qtbot):
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    widget.set_tool("brush")
    widget.set_brush_radius(4.0)
    strokes = said(widget.stroke_finished)
    plain = grabbed(widget)
    drag(qtbot, widget, (150, 150), (250, 150), release=False)
    preview = np.abs(grabbed(widget) - plain).sum(-1)
    radius = 4 * widget.placement.scale
    inside = preview[150, 140:240]
    assert (inside > 20).all()
    height = np.count_nonzero(preview[60:-60, 190] > 20)
    assert abs(height - 2 * radius) <= 2
    qtbot.keyClick(widget, Qt.Key.Key_Escape)
    assert np.abs(grabbed(widget) - plain)[140:160, 140:180].sum() == 0
    qtbot.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(250, 150))
    assert strokes == []


def test_a_cut_line_is_drawn_where_its_plane_meets_the_slice(make):
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    plain = grabbed(widget)
    point, normal = CENTRE + np.array([-8, 0, 0]), np.array((1.0, 0.4, 0.2))
    widget.set_lines([CutLine(tuple(point), tuple(normal))])
    drawn = np.abs(grabbed(widget) - plain).sum(-1) > 150
    rows, columns = np.nonzero(drawn[60:-60, 60:-60])
    assert len(rows) > 150
    points = [widget.placement.to_world(c + 60.5, r + 60.5) for r, c in zip(rows, columns)]
    away_px = (np.array(points) - point) @ normal / np.hypot(1, 0.4) * widget.placement.scale
    assert np.abs(away_px).max() < 2.5


def test_a_cut_line_is_dragged_along_its_normal(make, said, qtbot):
    widget = make()
    line = CutLine(tuple(CENTRE), (2.0, 0.0, 0.5), "cut")
    widget.set_lines([line])
    moved, released, crosshair = (
        said(widget.plane_dragged),
        said(widget.plane_released),
        said(widget.crosshair_moved),
    )
    x, y, _ = (
        round(v)
        for v in widget.placement.to_widget(
            widget.placement.plane.to_world(widget.placement.plane.to_pixel(CENTRE)[:2])
        )
    )
    drag(qtbot, widget, (x, y), (x + 40, y + 25))
    (point, name) = moved[-1]
    normal = np.array(line.normal) / np.linalg.norm(line.normal)
    travel = normal[0] * 40 / widget.placement.scale
    np.testing.assert_allclose(point, CENTRE + normal * travel, atol=1e-6)
    assert (name, len(released), crosshair) == ("cut", 1, [])


def test_escape_gives_a_cut_line_back(make, said, qtbot):
    widget = make()
    widget.set_lines([CutLine(tuple(CENTRE), (1.0, 0.0, 0.0))])
    moved, released = said(widget.plane_dragged), said(widget.plane_released)
    drag(qtbot, widget, (210, 150), (260, 150), release=False)
    assert moved
    qtbot.keyClick(widget, Qt.Key.Key_Escape)
    assert moved[-1][0] == tuple(CENTRE)
    assert len(released) == 1


def test_a_fixed_cut_line_lets_the_crosshair_pass(make, said, qtbot):
    widget = make()
    widget.set_lines([CutLine(tuple(CENTRE), (1.0, 0.0, 0.0), draggable=False)])
    moved, points = said(widget.plane_dragged), said(widget.crosshair_moved)
    drag(qtbot, widget, (210, 150), (260, 150))
    assert (moved, len(points)) == ([], 2)
