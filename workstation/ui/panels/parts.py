"""The building blocks of panels: the sheet, numbers with their recipe, findings, lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QFont, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from workstation.ui.guard import guarded
from workstation.ui.theme import CORNER_FONT_PX, ui_font
from workstation.ui.words import (
    SEVERITY_MARKS,
    SEVERITY_ROLES,
    band_text,
    readable,
    unit_text,
    value_text,
)

Record = Mapping[str, Any]


def label(text: str = "", role: str = "", wrap: bool = True) -> QLabel:
    """Return a plain-text label in the look of ``role``."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    made.setProperty("role", role)
    return made


def set_role(widget: QWidget, role: str) -> None:
    """Give ``widget`` the look of another role."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def bold(text: str) -> QLabel:
    """Return a heading."""
    made = label(text)
    font = QFont(made.font())
    font.setWeight(QFont.Weight.DemiBold)
    made.setFont(font)
    return made


def button(
    text: str, tip: str, clicked: Callable[[], object], primary: bool = False
) -> QPushButton:
    """Return a button with a verb on it."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setProperty("primary", "true" if primary else "false")
    made.clicked.connect(lambda: clicked() and None)
    return made


def side_by_side(*widgets: QWidget) -> QWidget:
    """Return what holds widgets in one row."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget)
    return holder


def keep_narrow(box: QComboBox) -> None:
    """Let a choice be narrower than its longest text, so that it fits its panel."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(10)


class Sheet(QScrollArea):
    """A panel's page: title, one sentence of what it is for, what is missing, then the body."""

    def __init__(self, title: str, sentence: str) -> None:
        super().__init__()
        self.setProperty("role", "panel")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        outer = QVBoxLayout(page)
        outer.setContentsMargins(12, 12, 12, 12)
        self.body = QVBoxLayout()
        self.body.setSpacing(8)
        outer.addLayout(self.body)
        outer.addStretch(1)
        self.body.addWidget(label(title, "title"))
        self.body.addWidget(label(sentence, "muted"))
        self.needs = label("", "warning")
        self.needs.hide()
        self.body.addWidget(self.needs)
        self.setWidget(page)

    def show_needs(self, needs: str) -> None:
        """Say what the stage lacks; nothing for ""."""
        self.needs.setText(f"Needs: {needs}" if needs else "")
        self.needs.setVisible(bool(needs))

    def heading(self, text: str) -> None:
        """Add a heading to the body."""
        self.body.addSpacing(8)
        self.body.addWidget(bold(text))


class PressCard(QFrame):
    """A card that is pressed like a button, with the mouse, the space or the return key."""

    asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    @guarded
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Ask for what the card stands for."""
        self.asked.emit()

    @guarded
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ask for it with the space or return key."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return):
            self.asked.emit()
        else:
            super().keyPressEvent(event)


class NumberView(PressCard):
    """One number: value large, unit small, band below; a click asks for its recipe."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.recipe = ""
        self.name = label(name, "muted")
        self.value, self.unit = label("–", "number", wrap=False), label("", "muted", wrap=False)
        self.band = label("", "muted", wrap=False)
        self.band.setFont(ui_font(CORNER_FONT_PX))
        self.note = label("", "warning")
        self.note.setFont(ui_font(CORNER_FONT_PX))
        self.note.hide()
        line = QHBoxLayout()
        line.setSpacing(4)
        line.addWidget(self.value, 0, Qt.AlignmentFlag.AlignBaseline)
        line.addWidget(self.unit, 0, Qt.AlignmentFlag.AlignBaseline)
        line.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 6, 6)
        column.setSpacing(0)
        column.addWidget(self.name)
        column.addLayout(line)
        column.addWidget(self.band)
        column.addWidget(self.note)

    def show_note(self, note: str) -> None:
        """Say below the number what it leaves out; "" says nothing."""
        self.note.setText(note)
        self.note.setVisible(bool(note))

    def show_number(self, record: Record, recipe: str) -> None:
        """Show a number record of a case's summary."""
        self._show(value_text(record["value"], record["unit"]), record["unit"], recipe)
        self.band.setText(band_text(dict(record)))

    def show_live(self, value: float, unit: str) -> None:
        """Show a value that is measured while a hand moves; it has no band yet."""
        self._show(value_text(value, unit), unit, "")
        self.band.setText("while moving")

    def show_stale(self, record: Record) -> None:
        """Show the last value of a number that the present plan does not have yet."""
        self._show(value_text(record["value"], record["unit"]), record["unit"], "", stale=True)
        self.band.setText("↻ not up to date")

    def show_nothing(self, reason: str) -> None:
        """Show that there is no number, and why."""
        self._show("–", "", "")
        self.band.setText(reason)

    def _show(self, value: str, unit: str, recipe: str, stale: bool = False) -> None:
        self.value.setText(value)
        set_role(self.value, "stale" if stale else "number")
        self.unit.setText(unit_text(unit))
        if (arranged := self.layout()) is not None:
            arranged.activate()  # at once: -10 must never stand where -10.5 is meant
        self.recipe = recipe
        self.setCursor(Qt.CursorShape.PointingHandCursor if recipe else Qt.CursorShape.ArrowCursor)
        self.setToolTip("Click to see how this number was made" if recipe else "")
        self.setAccessibleName(f"{self.name.text()} {value} {unit}")


class RecipeCard(QFrame):
    """How the number that was clicked last was made; a second click hides it."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: NumberView | None = None
        self.setProperty("role", "card")
        self.text = label("", "muted")
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 6, 6)
        column.addWidget(self.text)
        self.hide()

    def explain(self, view: NumberView) -> None:
        """Show the recipe of ``view``, or hide it if it is shown."""
        again = self._shown is view and self.isVisible()
        self._shown = view
        self.text.setText(f"{view.name.text()}\n{view.recipe}")
        self.setVisible(bool(view.recipe) and not again)


class FindingRow(QFrame):
    """One finding; with a place, a click asks to go there."""

    asked = Signal(object)

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._place = record.get("location_mm")
        self.setProperty("role", "card")
        mark = label(SEVERITY_MARKS[record["severity"]], SEVERITY_ROLES[record["severity"]])
        mark.setFixedWidth(14)
        mark.setToolTip(record["severity"])
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(label(record["sentence"]))
        if record.get("remedy"):
            texts.addWidget(label(record["remedy"], "muted"))
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 10, 6)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(texts, 1)
        if self._place is not None:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setToolTip("Show this place in the views")
            self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(f"{record['severity']}: {record['sentence']}")

    def _ask(self) -> None:
        if self._place is not None:
            self.asked.emit(tuple(self._place))

    @guarded
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Ask to go to the place of the finding."""
        self._ask()

    @guarded
    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ask to go there with the space or return key."""
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return):
            self._ask()
        else:
            super().keyPressEvent(event)


class RecordList(QWidget):
    """Widgets made from records; they are made anew only when the records change."""

    def __init__(self, make: Callable[[Any], QWidget], empty: str = "") -> None:
        super().__init__()
        self._make = make
        self._empty = empty
        self._records: list[Any] | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)

    @property
    def records(self) -> list[Any]:
        """What is shown."""
        return list(self._records or ())

    def show_records(self, records: Sequence[Any]) -> None:
        """Show one widget for each record."""
        if list(records) == self._records:
            return
        self._records = list(records)
        while (item := self._column.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        for record in records:
            self._column.addWidget(self._make(record))
        if not records and self._empty:
            self._column.addWidget(label(self._empty, "muted"))
        # A page that is laid out before new widgets show would keep the height without them.
        QTimer.singleShot(0, self, self.updateGeometry)


def recipe(number: Record, step: Record | None) -> str:
    """Return how a number was made: its step, the step's inputs and the source of the value."""
    lines = [f"Step: {readable(number['step'])}"]
    if step is not None:
        lines.append(f"Stage: {step['stage']} (version {step['version']})")
        inputs = [f"{argument} = {name}" for argument, name in step["inputs"].items()]
        lines.append("From: " + (", ".join(inputs) or "no input"))
        params = [f"{name} = {value}" for name, value in step["params"].items()]
        lines.append("Set: " + (", ".join(params) or "all at their defaults"))
    lines.append(f"Source: {number['source']}")
    return "\n".join(lines)
