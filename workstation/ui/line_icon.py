"""Line icons that draw nothing where there is no room for them."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap

from workstation.ui.guard import guarded


class LineIcon(QIconEngine):
    """Draws an icon in any size but an empty one, in which its own engine prints warnings.

    A button has no size for a moment while its panel is laid out for the first time.
    """

    def __init__(self, drawn: QIcon) -> None:
        super().__init__()
        self._drawn = drawn

    @guarded
    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw the icon."""
        if not rect.isEmpty():
            self._drawn.paint(painter, rect, Qt.AlignmentFlag.AlignCenter, mode, state)

    @guarded
    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """Return the icon in device pixels; an empty one for an empty size."""
        return QPixmap() if size.isEmpty() else self._drawn.pixmap(size, 1.0, mode, state)

    def clone(self) -> LineIcon:
        """Return another engine of the same icon."""
        return LineIcon(self._drawn)
