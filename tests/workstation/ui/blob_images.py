"""What the tests of the slice view share: an image with one blob, and hands on a widget."""

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication
from scipy.spatial.transform import Rotation

from segmentation.volume import ImageGeometry, Volume

OBLIQUE = Rotation.from_euler("zyx", (20, -12, 9), degrees=True).as_matrix()
CENTRE = np.array([15.0, -25.0, 210.0])
BLOB = CENTRE + np.array([-11.0, -9.0, 8.0])  # right, anterior and superior of the middle


def volume(axes=None, blob_mm=BLOB, frame_uid="1.2"):
    """Return a dark volume with one bright blob of 3 mm."""
    axes, size, spacing = np.eye(3) if axes is None else axes, (60, 52, 36), (1.0, 1.25, 1.6)
    origin = CENTRE - axes @ ((np.array(size) - 1) / 2 * spacing)
    geometry = ImageGeometry(size, spacing, tuple(origin), tuple(axes.ravel()), frame_uid)
    k, j, i = np.indices(geometry.shape)
    away = geometry.to_world(np.stack([i, j, k], -1)) - blob_mm
    values = 1000 * np.exp(-np.sum(away**2, -1) / (2 * 2.0**2)) - 100
    return Volume(values.astype(np.int16), geometry)


def grabbed(widget):
    """Return what the widget looks like, [row, column, (red, green, blue)], as floats."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return flat[..., 2::-1].astype(float)


def middle_of(bright, margin=60):
    """Return the centre (x, y) in continuous pixels of what is bright away from the texts."""
    inner = np.zeros_like(bright)
    inner[margin:-margin, margin:-margin] = bright[margin:-margin, margin:-margin]
    assert inner.max() > 0
    rows, columns = np.indices(bright.shape)
    return np.sum(columns * inner) / inner.sum() + 0.5, np.sum(rows * inner) / inner.sum() + 0.5


def wheel(widget, steps, at=(100, 100), modifiers=Qt.KeyboardModifier.NoModifier):
    place = QPointF(*at)
    event = QWheelEvent(
        place,
        place,
        QPoint(),
        QPoint(0, round(120 * steps)),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def hover(widget, point, modifiers=Qt.KeyboardModifier.NoModifier):
    return QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(point),
        widget.mapToGlobal(QPointF(point)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.NoButton,
        modifiers,
    )


def drag(qtbot, widget, start, *stops, button=Qt.MouseButton.LeftButton, release=True):
    qtbot.mousePress(widget, button, pos=QPoint(*start))
    for stop in stops:
        qtbot.mouseMove(widget, QPoint(*stop))
    if release:
        qtbot.mouseRelease(widget, button, pos=QPoint(*stops[-1]))
