"""The fields of a search for studies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QWidget

from workstation.dicom import network
from workstation.ui.panels.node_form import line
from workstation.ui.panels.parts import label

MODALITIES = ("", "CT", "MR", "PT", "XA", "US", "SEG", "SR", "RTSTRUCT")
PERIODS = {"Any date": None, "Today": 0, "Last 7 days": 7, "Last 30 days": 30, "Last year": 365}


class QueryForm(QWidget):
    """What to search for; Return searches."""

    changed = Signal()

    def __init__(self, search: Callable[[], object]) -> None:
        super().__init__()
        self.name = line("Patient name", "* and ? are wildcards", "SMITH*")
        self.id = line("Patient ID", "* and ? are wildcards where the node allows them")
        self.accession = line("Accession number", "The number of the order")
        self.modality = QComboBox()
        self.modality.setEditable(True)
        self.modality.addItems(MODALITIES)
        self.modality.setAccessibleName("Modality")
        self.period = QComboBox()
        self.period.setAccessibleName("Study date")
        for text, days in PERIODS.items():
            self.period.addItem(text, days)
        self.first = line("First date", "The first study date, year-month-day", "2026-01-31")
        self.last = line("Last date", "The last study date, year-month-day", "2026-12-31")
        self.period.activated.connect(lambda _: self._fill_dates())
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        cells: Sequence[Sequence[tuple[str, QWidget]]] = (
            (("Patient name", self.name), ("Patient ID", self.id), ("Accession", self.accession)),
            (("Modality", self.modality), ("Study date", self.period), ("From, to", self._dates())),
        )
        for row, pairs in enumerate(cells):
            for column, (text, field) in enumerate(pairs):
                grid.addWidget(label(text, "muted", wrap=False), row, 2 * column)
                grid.addWidget(field, row, 2 * column + 1)
                grid.setColumnStretch(2 * column + 1, 1)
        for edit in (self.name, self.id, self.accession, self.first, self.last):
            edit.setMinimumWidth(80)
            edit.returnPressed.connect(lambda: search() and None)
            edit.textChanged.connect(lambda _: self.changed.emit())

    def _dates(self) -> QWidget:
        pair = QWidget()
        row = QHBoxLayout(pair)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.first)
        row.addWidget(self.last)
        return pair

    def _fill_dates(self) -> None:
        days = self.period.currentData()
        start = "" if days is None else (date.today() - timedelta(days=days)).isoformat()
        self.first.setText(start)
        self.last.clear()

    def lacks(self) -> str:
        """Return what cannot be searched for, "" when all is right."""
        try:
            self.query()
        except ValueError as error:
            return str(error)
        return ""

    def query(self) -> network.StudyQuery:
        """Return what the form says.

        Raises:
            ValueError: when a text cannot be sent, or a date is none.
        """
        return network.StudyQuery(
            patient_id=self.id.text().strip(),
            patient_name=self.name.text().strip(),
            accession_number=self.accession.text().strip(),
            modality=self.modality.currentText().strip().upper(),
            date_from=_day(self.first),
            date_to=_day(self.last),
        )


def _day(edit: QLineEdit) -> date | None:
    text = edit.text().strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError(f"a date such as 2026-01-31 in place of {text!r}") from None
