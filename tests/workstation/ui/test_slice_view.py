"""What the slice view shows, and how wheel and keys move it."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import QApplication

from meshing.surface import SurfaceMesh
from segmentation.contract import FrameMismatch
from segmentation.volume import Label, LabelMap
from tests.workstation.ui.blob_images import (
    BLOB,
    CENTRE,
    OBLIQUE,
    drag,
    grabbed,
    middle_of,
    volume,
    wheel,
)
from workstation.raster import Overlay
from workstation.ui.slice_overlay import CutLine
from workstation.ui.slice_picture import SlicePicture
from workstation.ui.slice_view import SliceView

VIEWS = ("axial", "coronal", "sagittal")
GEOMETRIES = {
    "identity": np.eye(3),
    "flipped": np.diag((-1.0, 1.0, -1.0)),
    "sagittal acquisition": np.array([(0.0, 0, 1), (1, 0, 0), (0, -1, 0)]),
    "oblique": OBLIQUE,
    "oblique and flipped": OBLIQUE @ np.diag((1.0, -1.0, -1.0))[:, [1, 0, 2]],
}


@pytest.mark.parametrize("axes", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_blob_is_painted_where_the_patient_has_it(make, view, axes):
    widget = make(view, volume(axes))
    widget.set_slice(widget.placement.plane.through(BLOB).index)
    seen = middle_of(np.clip(grabbed(widget)[..., 0] - 100, 0, None))
    np.testing.assert_allclose(seen, widget.placement.to_widget(BLOB)[:2], atol=1)
    # Right, anterior and superior: left and up in all three views.
    assert seen[0] < 210 - 20
    assert seen[1] < 165 - 20


def test_a_mirrored_picture_shows_the_blob_on_the_other_side(make):
    widget = make()
    widget.set_slice(widget.placement.plane.through(BLOB).index)
    x, y = middle_of(np.clip(grabbed(widget)[..., 0] - 100, 0, None))
    assert widget.placement.plane.letters[0] == "R"
    widget.set_flips(True, False)
    mirrored = middle_of(np.clip(grabbed(widget)[..., 0] - 100, 0, None))
    np.testing.assert_allclose(mirrored, (420 - x, y), atol=1)
    np.testing.assert_allclose(mirrored, widget.placement.to_widget(BLOB)[:2], atol=1)
    assert widget.placement.plane.letters[0] == "L"


def test_the_letters_are_painted_as_the_direction_says(make):
    def letters(widget):
        """Return the shapes at the left and the right edge."""
        found = []
        for edge in np.s_[145:185, 2:26], np.s_[145:185, -26:-2]:
            written = grabbed(widget)[edge][..., 0] > 120
            rows, columns = np.nonzero(written)
            tight = written[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            found.append(tight.tolist())
        return found

    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    right_letter, left_letter = letters(widget)
    assert right_letter != left_letter
    widget.set_flips(True, False)
    assert letters(widget) == [left_letter, right_letter]
    widget.set_flips(False, False)
    ell = np.array(left_letter)  # an L: full on the left and at the bottom only
    assert ell[:, 0].all()
    assert ell[-1].all()
    assert not ell[: len(ell) // 2, -1].any()


def test_at_twice_the_pixels_the_picture_is_the_same_but_finer(make):
    widget = make()
    plane = widget.placement.plane.through(BLOB)
    placement = replace(widget.placement, plane=plane)
    pixmap = SlicePicture().pixmap(volume(), (), (), (1000, 500), placement, 2.0)
    assert (pixmap.width(), pixmap.height()) == (840, 660)
    image = pixmap.toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(660, -1)[:, :840].astype(float)
    seen = middle_of(np.clip(flat - 100, 0, None))
    np.testing.assert_allclose(seen, placement.to_widget(BLOB)[:2] * 2, atol=1)


@pytest.mark.parametrize("axes", [np.eye(3), np.diag((-1.0, 1.0, -1.0))])
@pytest.mark.parametrize(("steps", "rise_mm"), [(1, 1.6), (-3, -4.8)])
def test_the_wheel_scrolls_towards_the_head(make, said, steps, rise_mm, axes):
    widget = make(shown=volume(axes))
    slices = said(widget.slice_changed)
    start = widget.placement.plane
    wheel(widget, steps)
    plane = widget.placement.plane
    assert slices == [(plane.index,)]
    assert plane.to_world((0, 0))[2] - start.to_world((0, 0))[2] == pytest.approx(rise_mm)


def test_the_wheel_stops_at_the_last_slice(make, said):
    widget = make()
    slices = said(widget.slice_changed)
    wheel(widget, 100)
    wheel(widget, 1)
    assert slices == [(35,)]


def test_small_turns_of_a_fine_wheel_add_up(make):
    widget = make()
    for _ in range(5):
        wheel(widget, 0.25)
    assert widget.placement.plane.index == 19


def test_scrolling_takes_the_crosshair_along(make, said):
    widget = make()
    widget.set_crosshair(tuple(CENTRE))
    moved = said(widget.crosshair_moved)
    before = widget.placement.plane.index
    wheel(widget, 2)
    assert widget.placement.plane.index == before + 2
    (point,) = moved[-1]
    x, y, z = point
    assert (x, y) == pytest.approx(tuple(CENTRE[:2]))
    assert z == pytest.approx(widget.placement.plane.to_world((0, 0))[2])


def test_ctrl_and_the_wheel_zoom_about_the_cursor(make, said):
    widget = make()
    zooms = said(widget.zoom_changed)
    before = widget.placement.to_world(90, 80)
    wheel(widget, 2, (90, 80), Qt.KeyboardModifier.ControlModifier)
    assert widget.placement.plane.index == 18
    assert widget.placement.to_world(90, 80) == pytest.approx(before)
    assert zooms == [(pytest.approx(1.44),)]


@pytest.mark.parametrize(
    ("key", "moved"),
    [(Qt.Key.Key_Up, 1), (Qt.Key.Key_Down, -1), (Qt.Key.Key_PageUp, 10)],
)
def test_keys_scroll(make, qtbot, key, moved):
    widget = make()
    qtbot.keyClick(widget, key)
    assert widget.placement.plane.index == 18 + moved


def test_the_crosshair_is_thin_and_leaves_its_point_free(make):
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    plain = grabbed(widget)
    widget.set_crosshair(widget.placement.to_world(180.5, 140.5))
    changed = np.abs(grabbed(widget) - plain).sum(-1) > 60
    assert not changed[133:148, 173:188].any()
    assert np.count_nonzero(changed[100, 100:300]) == 1
    assert np.count_nonzero(changed[70:200, 240]) == 1
    assert changed[100, 180]
    assert changed[140, 240]


def test_setting_the_crosshair_shows_its_slice(make, said):
    widget = make()
    slices, points = said(widget.slice_changed), said(widget.crosshair_moved)
    widget.set_crosshair(tuple(BLOB))
    assert slices == [(widget.placement.plane.through(BLOB).index,)]
    widget.set_crosshair(tuple(BLOB))
    assert (len(slices), points) == (1, [])


def test_labels_are_filled_and_outlined(make):
    shown = volume(blob_mm=(0, 0, 0))
    mask = np.zeros(shown.geometry.shape, np.uint8)
    mask[10:30, 20:40, 20:40] = 1
    widget = make(shown=shown)
    plain = grabbed(widget)
    organ = LabelMap(mask, shown.geometry, {1: Label("organ", (0, 200, 40))})
    widget.set_overlays([Overlay("organ", organ)])
    green = (grabbed(widget) - plain)[..., 1]
    # Columns 20 to 39 of 60 at 1 mm: the box begins ten mm left of the middle.
    left = round(widget.placement.corner[0] + 20 * widget.placement.scale)
    assert green[165, 210] == pytest.approx(0.35 * 200, abs=2)
    assert green[165, left] == pytest.approx(200, abs=15)
    assert green[165, left - 4] == 0
    widget.set_overlays([Overlay("organ", organ, visible=False)])
    assert not (grabbed(widget) - plain).any()


def test_overlays_of_another_frame_are_refused(make):
    widget = make()
    other = replace(volume().geometry, frame_uid="9.9")
    organ = LabelMap(np.ones(other.shape, np.uint8), other)
    with pytest.raises(FrameMismatch, match="organ"):
        widget.set_overlays([Overlay("organ", organ)])


def test_the_same_values_again_cost_no_repaint(make, qtbot, monkeypatch):
    shown = volume()
    widget = make(shown=shown)
    line, overlay = (
        CutLine(tuple(CENTRE), (1, 0, 0)),
        Overlay("organ", LabelMap(np.zeros(shown.geometry.shape, np.uint8), shown.geometry)),
    )

    def apply():
        widget.set_volume(shown)
        widget.set_overlays([overlay])
        widget.set_lines([line])
        widget.set_crosshair(tuple(CENTRE))
        widget.set_window(300, 20)
        widget.set_seeds([tuple(BLOB)], [])
        widget.set_tool("brush")
        widget.set_brush_radius(3)
        widget.set_flips(False, True)
        widget.set_surfaces([])

    apply()
    updates = []
    monkeypatch.setattr(widget, "update", lambda: updates.append(1))
    apply()
    assert updates == []


def test_surfaces_are_drawn_and_those_of_another_frame_refused(make):
    ball = trimesh.creation.icosphere(3, 12.0)
    here = SurfaceMesh(ball.vertices + CENTRE, ball.faces, "1.2", "ball", (0, 255, 0))
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    plain = grabbed(widget)
    widget.set_surfaces([here])
    drawn = (grabbed(widget) - plain)[..., 1] > 128
    rows, columns = np.nonzero(drawn)
    points = [widget.placement.to_world(c + 0.5, r + 0.5) for r, c in zip(rows, columns)]
    away_px = (np.linalg.norm(np.subtract(points, CENTRE), axis=1) - 12) * widget.placement.scale
    assert len(rows) > 300
    assert np.abs(away_px).max() < 2.5
    with pytest.raises(FrameMismatch, match="ball"):
        widget.set_surfaces([replace(here, frame_uid="9.9")])


def test_what_lies_in_another_frame_does_not_stay_over_another_image(make):
    widget = make(shown=volume(blob_mm=(0, 0, 0)))
    organ = LabelMap(np.ones(volume().geometry.shape, np.uint8), volume().geometry)
    widget.set_overlays([Overlay("organ", organ, (255, 0, 0))])
    widget.set_volume(volume(blob_mm=(0, 0, 0), frame_uid="9.9"))
    with_stranger = grabbed(widget)
    widget.set_overlays([])
    np.testing.assert_array_equal(grabbed(widget), with_stranger)


def test_keys_that_qt_has_no_name_for_are_left_to_others(make):
    widget = make()
    event = QKeyEvent(QEvent.Type.KeyPress, 0x416, Qt.KeyboardModifier.NoModifier, "Ж")
    QApplication.sendEvent(widget, event)
    assert not event.isAccepted()


def test_another_image_on_the_same_grid_keeps_slice_and_zoom(make):
    widget = make()
    widget.set_slice(7)
    wheel(widget, 2, modifiers=Qt.KeyboardModifier.ControlModifier)
    before = widget.placement
    old = grabbed(widget)
    widget.set_volume(volume(blob_mm=before.plane.to_world((30, 26))))
    assert widget.placement == before
    assert (grabbed(widget) - old).max() > 100
    widget.set_volume(volume(OBLIQUE))
    assert widget.placement.zoom == 1
    assert widget.placement.plane.index == 18


@pytest.mark.parametrize("size", [(160, 120), (450, 330), (1900, 1050)])
@pytest.mark.parametrize("view", VIEWS)
def test_texts_leave_the_middle_free_at_every_size(make, view, size):
    widget = make(view, volume(blob_mm=(0, 0, 0)), size)
    picture = grabbed(widget)
    height, width = picture.shape[:2]
    quarter = picture[int(height * 0.4) : int(height * 0.6), int(width * 0.3) : int(width * 0.7)]
    assert quarter.max() < 30


def test_an_empty_view_says_what_to_do_and_ignores_the_hand(qtbot):
    widget = SliceView("axial")
    qtbot.addWidget(widget)
    widget.resize(400, 300)
    picture = grabbed(widget)
    assert picture[130:170].max() > 100
    drag(qtbot, widget, (100, 100), (120, 120))
    wheel(widget, 1)
    qtbot.keyClick(widget, Qt.Key.Key_Up)
    widget.set_slice(3)
    widget.set_crosshair(tuple(BLOB))
    widget.set_volume(volume())
    assert widget.placement.plane.index == widget.placement.plane.through(BLOB).index
    widget.set_volume(None)
    assert widget.placement is None
    np.testing.assert_array_equal(grabbed(widget), picture)


def test_an_empty_view_says_what_it_waits_for(qtbot):
    widget = SliceView("axial")
    qtbot.addWidget(widget)
    asks = grabbed(widget)
    widget.set_notice("Loading the image")
    assert not np.array_equal(asks, grabbed(widget))
