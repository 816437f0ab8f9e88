"""Line icons on buttons, in the text colour of the theme, also after the theme changed."""

from __future__ import annotations

from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from workstation.ui.theme import icon

_NAME = "lineIcon"


def set_icon(button: QAbstractButton, name: str) -> None:
    """Give ``button`` the line icon ``name`` of qtawesome, e.g. ``"ph.eye"``."""
    if button.property(_NAME) != name:
        button.setProperty(_NAME, name)
        _paint(button)


def repaint_icons(window: QWidget) -> None:
    """Draw all icons of ``window`` anew in the present text colour."""
    for button in window.findChildren(QAbstractButton):
        if button.property(_NAME):
            _paint(button)


def _paint(button: QAbstractButton) -> None:
    colour = QApplication.palette().color(QPalette.ColorRole.WindowText)
    button.setIcon(icon(str(button.property(_NAME)), colour.name()))
