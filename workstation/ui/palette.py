"""Every action of the window by name: one list feeds menus, search (Ctrl+K) and sheet (F1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenuBar,
    QVBoxLayout,
    QWidget,
)

from workstation.ui.guard import guarded


def nothing_missing() -> str:
    """Return that an action needs nothing."""
    return ""


@dataclass(frozen=True)
class Command:
    """One action: its menu, its Qt action, and what it still needs ("" when it can run)."""

    menu: str
    action: QAction
    missing: Callable[[], str]


class Commands:
    """The list of all actions of one window."""

    def __init__(self, window: QWidget) -> None:
        self._window = window
        self.all: list[Command] = []

    def add(
        self,
        menu: str,
        name: str,
        run: Callable[[], object],
        shortcut: str = "",
        missing: Callable[[], str] = nothing_missing,
    ) -> QAction:
        """Add an action called ``name``; it is disabled while something is missing."""
        action = QAction(name, self._window)
        action.setShortcut(QKeySequence(shortcut))
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda: run() and None)
        self._window.addAction(action)
        self.all.append(Command(menu, action, missing))
        return action

    def fill(self, bar: QMenuBar) -> None:
        """Make a menu of each group of actions."""
        for name in dict.fromkeys(command.menu for command in self.all):
            menu = bar.addMenu(name)
            menu.setToolTipsVisible(True)
            menu.addActions([c.action for c in self.all if c.menu == name])

    def refresh(self) -> None:
        """Enable what can run; tooltips say what the others need."""
        for command in self.all:
            lack = command.missing()
            command.action.setEnabled(not lack)
            command.action.setToolTip(describe(command))


def shortcut_text(action: QAction) -> str:
    """Return the shortcut as the platform writes it, "" for none."""
    return action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)


def describe(command: Command) -> str:
    """Return an action's name with its shortcut and what it still needs."""
    keys, lack = shortcut_text(command.action), command.missing()
    text = command.action.text() + (f" ({keys})" if keys else "")
    return f"{text}\nNeeds: {lack}" if lack else text


class Palette(QDialog):
    """Search an action by words of its name and run it."""

    def __init__(self, commands: Commands, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._commands = commands
        self.setFixedSize(560, 420)
        self.query = QLineEdit()
        self.query.setPlaceholderText("Search an action")
        self.query.setAccessibleName("Search an action")
        self.list = QListWidget()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(self.query)
        column.addWidget(self.list)
        self.query.textChanged.connect(self._filter)
        self.query.returnPressed.connect(self._run)
        self.query.installEventFilter(self)
        self.list.itemClicked.connect(lambda _: self._run())
        self._filter("")
        middle = parent.mapToGlobal(parent.rect().center())
        self.move(
            middle.x() - self.width() // 2, parent.mapToGlobal(parent.rect().topLeft()).y() + 80
        )

    @guarded(default=False)
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the arrow keys in the search field move through the list."""
        steps = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        pressed = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress
        step = steps.get(Qt.Key(event.key())) if pressed and isinstance(event, QKeyEvent) else None
        if step is None:
            return False
        row = self.list.currentRow() + step
        self.list.setCurrentRow(min(max(row, 0), self.list.count() - 1))
        return True

    def _filter(self, text: str) -> None:
        self.list.clear()
        words = text.lower().split()
        for command in self._commands.all:
            full = f"{command.menu} {command.action.text()}".lower()
            if not all(word in full for word in words):
                continue
            keys, lack = shortcut_text(command.action), command.missing()
            line = f"{command.menu} › {command.action.text()}" + (f"     {keys}" if keys else "")
            item = QListWidgetItem(f"{line}     needs {lack}" if lack else line)
            item.setData(Qt.ItemDataRole.UserRole, command)
            if lack:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        command: Command = item.data(Qt.ItemDataRole.UserRole)
        if not command.missing():
            self.accept()
            command.action.trigger()


# What mouse and keys do inside the views, which are not actions.
GESTURES = (
    ("Wheel, arrow keys", "Scroll through the slices"),
    ("Left drag", "Move the crosshair; move the cut by its line"),
    ("Right drag", "Change window and level"),
    ("Middle drag", "Pan"),
    ("Ctrl + wheel", "Zoom"),
    ("Shift + move", "Carry the crosshair along"),
    ("Double click", "Fill the window with one view, and back"),
    ("Home", "Fit the image to the view"),
    ("3D: left drag", "Rotate"),
    ("3D: A P L R S I", "Look from that side of the patient"),
    ("Esc", "Give a drag back"),
)


class ShortcutSheet(QDialog):
    """All shortcuts and gestures on one page."""

    def __init__(self, commands: Commands, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Shortcuts")
        grid = QGridLayout(self)
        grid.setContentsMargins(24, 16, 24, 16)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(4)
        rows = [(shortcut_text(c.action), c.action.text()) for c in commands.all]
        known = [row for row in rows if row[0]]
        for column, (title, lines) in enumerate((("Keys", known), ("In the views", GESTURES))):
            head = QLabel(title)
            head.setProperty("role", "title")
            grid.addWidget(head, 0, 2 * column, 1, 2)
            for n, (keys, text) in enumerate(lines, 1):
                label = QLabel(keys)
                label.setProperty("role", "muted")
                grid.addWidget(label, n, 2 * column)
                grid.addWidget(QLabel(text), n, 2 * column + 1)
