"""Which printer a model is for, and the list of printers, which a person edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from workstation.printers import Printer, keep_printers, read_printers
from workstation.ui.panels.parts import button, keep_narrow, label
from workstation.ui.words import parameter_label

UNITS = {"overhang_degrees": "°"}


class PrinterChoice(QWidget):
    """A choice of printers; its folded form changes, adds and removes them."""

    changed = Signal()

    def __init__(self, file: Path, attempt: Callable[[Callable[[], object]], bool]) -> None:
        super().__init__()
        self._file, self._attempt = file, attempt
        self.printers = list(read_printers(file))
        self.box = QComboBox()
        self.box.setAccessibleName("Printer")
        keep_narrow(self.box)
        self._form = QWidget()
        self.fold = QToolButton()
        self.fold.setText("▸ Edit")
        self.fold.setProperty("flat", "true")
        self.fold.setToolTip("Change, add or remove printers")
        self.fold.clicked.connect(lambda: self._unfold(self._form.isHidden()))
        self.about = label("", "muted")
        self.fields = {field.name: QLineEdit() for field in fields(Printer)}
        rows = QFormLayout(self._form)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        for name, edit in self.fields.items():
            unit = "" if name == "name" else f", {UNITS.get(name, 'mm')}"
            edit.setAccessibleName(parameter_label(name))
            rows.addRow(parameter_label(name) + unit, edit)
        self.save = button("Save", "Change this printer, or add one of a new name", self._save)
        self.remove = button("Remove", "Take this printer off the list", self._remove)
        ends = QHBoxLayout()
        ends.addWidget(self.save)
        ends.addWidget(self.remove)
        rows.addRow(ends)
        line = QHBoxLayout()
        line.addWidget(self.box, 1)
        line.addWidget(self.fold)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(line)
        column.addWidget(self.about)
        column.addWidget(self._form)
        self._form.hide()
        self._fill(0)
        self.box.currentIndexChanged.connect(lambda _: self._show())

    @property
    def chosen(self) -> Printer:
        """The printer that is chosen."""
        return self.printers[max(self.box.currentIndex(), 0)]

    def _fill(self, index: int) -> None:
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([printer.name for printer in self.printers])
        self.box.setCurrentIndex(index)
        self.box.blockSignals(False)
        self._show()

    def _show(self) -> None:
        printer = self.chosen
        build = " × ".join(f"{side:g}" for side in printer.build_mm)
        self.about.setText(f"{build} mm, walls from {printer.wall_mm:g} mm")
        for name, edit in self.fields.items():
            value = getattr(printer, name)
            edit.setText(value if isinstance(value, str) else f"{value:g}")
        self.remove.setEnabled(len(self.printers) > 1)
        self.changed.emit()

    def _unfold(self, open_: bool) -> None:
        self._form.setVisible(open_)
        self.fold.setText("▾ Edit" if open_ else "▸ Edit")

    def _entered(self) -> Printer:
        texts = {name: edit.text().strip().replace(",", ".") for name, edit in self.fields.items()}
        name = self.fields["name"].text().strip()
        numbers = {}
        for key, text in texts.items():
            if key == "name":
                continue
            try:
                numbers[key] = float(text)
            except ValueError:
                raise ValueError(f"{parameter_label(key)} is no number: {text!r}") from None
        return Printer(name=name, **numbers)

    def _save(self) -> None:
        def save() -> None:
            entered = self._entered()
            names = [printer.name for printer in self.printers]
            if entered.name in names:
                self.printers[names.index(entered.name)] = entered
            else:
                self.printers.append(entered)
            keep_printers(self._file, self.printers)
            self._fill([printer.name for printer in self.printers].index(entered.name))

        self._attempt(save)

    def _remove(self) -> None:
        del self.printers[max(self.box.currentIndex(), 0)]
        keep_printers(self._file, self.printers)
        self._fill(0)
