"""Colours, fonts, icons and the one style sheet of the application."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

import qtawesome
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPalette
from PySide6.QtWidgets import QApplication

from workstation.ui.line_icon import LineIcon

BASE_FONT_PX = 13
CORNER_FONT_PX = 11
KEY_NUMBER_FONT_PX = 20


@dataclass(frozen=True)
class Colours:
    """The colour of each role, as ``#RRGGBB``."""

    view: str
    window: str
    panel: str
    raised: str
    line: str
    text: str
    muted: str
    accent: str
    on_accent: str
    done: str
    warning: str
    problem: str


DARK = Colours(
    view="#0B0E11",
    window="#12161B",
    panel="#171C22",
    raised="#202730",
    line="#2B343E",
    text="#E6EAEE",
    muted="#93A1AF",
    accent="#4DA3FF",
    on_accent="#0B0E11",
    done="#3FB27F",
    warning="#E5A94B",
    problem="#E5645A",
)
LIGHT = Colours(
    view="#0B0E11",
    window="#F4F6F8",
    panel="#FFFFFF",
    raised="#FFFFFF",
    line="#D5DCE3",
    text="#1B232B",
    muted="#5A6773",
    accent="#1667C7",
    on_accent="#FFFFFF",
    done="#1F8A5B",
    warning="#B67A12",
    problem="#C23B31",
)

VIEWS = {"axial": "#E5645A", "coronal": "#3FB27F", "sagittal": "#E8C547", "3d": "#4D8DFF"}

# Eight colours that people with the common colour-vision deficiencies tell apart:
# Okabe and Ito, Color Universal Design, 2008 (black replaced: images are black).
SEGMENTS = (
    "#56B4E9",
    "#E69F00",
    "#009E73",
    "#F0E442",
    "#CC79A7",
    "#D55E00",
    "#0072B2",
    "#BFC7CF",
)

_SHEET = Template("""
QWidget { color: $text; }
QMainWindow, QDialog, QMenuBar, QStatusBar { background: $window; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="title"] { font-size: ${title_px}px; font-weight: 600; }
QLabel[role="number"] { font-size: ${number_px}px; font-weight: 600; }
QLabel[role="stale"] { font-size: ${number_px}px; font-weight: 600; color: $muted; }
QLabel[role="done"] { color: $done; }
QLabel[role="warning"] { color: $warning; }
QLabel[role="problem"] { color: $problem; }
QFrame[role="panel"], QScrollArea[role="panel"] { background: $panel; border: none; }
QFrame[role="stranger"] {
  background: $panel; border: none; border-left: 6px solid $warning;
  border-bottom: 3px solid $warning; }
QFrame[role="card"] { background: $raised; border: 1px solid $line; border-radius: 6px; }
QFrame[role="chip"], QLabel[role="chip"] {
  background: $raised; border: 1px solid $line; border-radius: 6px; padding: 2px 8px; }
QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; border: none; }
QPushButton, QToolButton, QComboBox, QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox {
  background: $raised; border: 1px solid $line; border-radius: 6px; padding: 4px 8px;
  selection-background-color: $accent; selection-color: $on_accent; }
QToolButton { padding: 4px; }
QToolButton[flat="true"], QPushButton[flat="true"] {
  background: transparent; border-color: transparent; }
QPushButton:hover, QToolButton:hover, QComboBox:hover { border-color: $muted; }
QPushButton:focus, QToolButton:focus, QComboBox:focus, QLineEdit:focus, QPlainTextEdit:focus,
QTextEdit:focus, QAbstractSpinBox:focus { border-color: $accent; }
QPushButton:pressed, QToolButton:pressed, QToolButton:checked, QPushButton:checked {
  background: $line; border-color: $accent; }
QPushButton[primary="true"] {
  background: $accent; border-color: $accent; color: $on_accent; font-weight: 600; }
QPushButton[primary="true"]:hover { border-color: $text; }
QPushButton:disabled, QToolButton:disabled, QPushButton[primary="true"]:disabled {
  background: $panel; color: $muted; border-color: $line; }
QComboBox::drop-down { border: none; width: 20px; }
QComboBox::down-arrow { image: url("$folder/chevron-down.svg"); width: 12px; height: 12px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { border: none; width: 18px; }
QAbstractSpinBox::up-arrow { image: url("$folder/chevron-up.svg"); width: 10px; height: 10px; }
QAbstractSpinBox::down-arrow {
  image: url("$folder/chevron-down.svg"); width: 10px; height: 10px; }
QComboBox QAbstractItemView, QMenu { background: $raised; border: 1px solid $line; padding: 4px; }
QMenu::item { padding: 4px 24px 4px 8px; border-radius: 4px; }
QMenu::item:selected, QMenuBar::item:selected { background: $accent; color: $on_accent; }
QMenu::item:disabled { color: $muted; }
QMenu::separator { height: 1px; background: $line; margin: 4px; }
QListView, QTreeView, QTableView {
  background: $panel; alternate-background-color: $window; border: 1px solid $line;
  border-radius: 6px; gridline-color: $line;
  selection-background-color: $accent; selection-color: $on_accent; }
QHeaderView::section {
  background: $panel; color: $muted; border: none; border-bottom: 1px solid $line;
  padding: 4px 8px; }
QProgressBar {
  background: $line; border: none; border-radius: 3px; max-height: 6px; text-align: center; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QSlider::groove:horizontal { height: 4px; background: $line; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal {
  width: 14px; margin: -5px 0; border-radius: 7px; background: $text; }
QSplitter::handle { background: $line; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $line; border-radius: 5px; min-height: 24px; min-width: 24px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QTabBar::tab { padding: 6px 12px; color: $muted; border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; }
QTabWidget::pane { border: none; border-top: 1px solid $line; }
""")


def colours(dark: bool = True) -> Colours:
    """Return the colours of the dark or the light theme."""
    return DARK if dark else LIGHT


def shown_colours() -> Colours:
    """Return the colours of the theme that the application shows now."""
    return colours(QApplication.palette().color(QPalette.ColorRole.Window).lightness() < 128)


def style_sheet(theme: Colours, scale: float = 1.0) -> str:
    """Return the style sheet of ``theme`` with fonts scaled by ``scale``."""
    sizes = {"title_px": round(15 * scale), "number_px": round(KEY_NUMBER_FONT_PX * scale)}
    folder = Path(__file__).parent.as_posix()  # of the arrows
    return _SHEET.substitute(asdict(theme), **sizes, folder=folder)


def ui_font(pixels: float = BASE_FONT_PX) -> QFont:
    """Return the application's font with tabular figures: Inter, or else the system's."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    if "Inter" in QFontDatabase.families():
        font.setFamily("Inter")
    font.setPixelSize(max(6, round(pixels)))
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def apply_theme(app: QApplication, dark: bool = True, scale: float = 1.0) -> Colours:
    """Give ``app`` the dark or light look, text scaled by 0.8 to 1.6; return its colours."""
    theme = colours(dark)
    app.setStyle("Fusion")
    app.setFont(ui_font(BASE_FONT_PX * min(max(scale, 0.8), 1.6)))
    app.setPalette(_palette(theme))
    app.setPalette(_box_palette(theme), "QCheckBox")  # type: ignore[arg-type]
    app.setStyleSheet(style_sheet(theme, scale))
    return theme


def icon(name: str, colour: str = DARK.text) -> QIcon:
    """Return the line icon ``name`` of qtawesome, e.g. ``"ph.ruler"``, in ``colour``.

    Raises:
        ValueError: if the icon set has no such name.
    """
    try:
        drawn: QIcon = qtawesome.icon(name, color=colour, color_disabled=DARK.muted)
    except Exception as error:  # qtawesome raises bare Exception
        raise ValueError(f"there is no icon named {name!r}") from error
    return QIcon(LineIcon(drawn))


def _box_palette(theme: Colours) -> QPalette:
    """Return the palette of check boxes: their outline is a darker tone of the window."""
    palette = _palette(theme)
    palette.setColor(QPalette.ColorRole.Window, QColor(theme.text))
    return palette


def _palette(theme: Colours) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: theme.window,
        QPalette.ColorRole.WindowText: theme.text,
        QPalette.ColorRole.Base: theme.panel,
        QPalette.ColorRole.AlternateBase: theme.window,
        QPalette.ColorRole.Text: theme.text,
        QPalette.ColorRole.Button: theme.raised,
        QPalette.ColorRole.ButtonText: theme.text,
        QPalette.ColorRole.Highlight: theme.accent,
        QPalette.ColorRole.HighlightedText: theme.on_accent,
        QPalette.ColorRole.ToolTipBase: theme.raised,
        QPalette.ColorRole.ToolTipText: theme.text,
        QPalette.ColorRole.PlaceholderText: theme.muted,
        QPalette.ColorRole.Link: theme.accent,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.muted))
    return palette
