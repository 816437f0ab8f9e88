"""A donor or a recipient as a form: values with unit, date and source, judged as one types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from workstation.planning.transplant_person import PersonRecord
from workstation.planning.transplant_size import JOINED, Organ
from workstation.transplant_entry import (
    CHOICES,
    Conflict,
    Entry,
    conflicts,
    converted,
    is_aside,
    refusal,
    resolved,
    units_of,
)
from workstation.transplant_record import CROSSMATCH, FIELDS
from workstation.ui.panels.clinical import name_of
from workstation.ui.panels.parts import RecordList, bold, button, keep_narrow, label, set_role

HEADS = ("Value", "", "Unit", "Date", "Source", "Confirmed by")
HLA = ("hla", "hla_a", "hla_b", "hla_c", "hla_drb1", "hla_dqb1", "hla_dqa1", "hla_dpb1", "hla_dpa1")
BODY = ("sex", "age", "birth_date", "height", "body_weight")
LABORATORY = ("creatinine", "bilirubin", "inr", "sodium", "albumin", "egfr")
GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "donor": {
        "Blood group": ("abo", "rh"),
        "Tissue type": HLA,
        "Body": BODY,
        "Laboratory": LABORATORY,
        "History": ("hypertension", "diabetes", "stroke_death", "dcd", "hcv", "smoker", "related"),
        "Size and vessels": (
            "graft_volume", "liver_volume", "remnant_volume", "graft_ap_depth_mm",
            "graft_artery_count",
        ),
    },
    "recipient": {
        "Blood group": ("abo", "rh", "anti_a_igg", "anti_a_igm"),
        "Tissue type": HLA,
        "Antibodies": ("antibody", "unacceptable_antigen", "cpra"),
        "Crossmatch": CROSSMATCH,
        "Body": BODY,
        "Laboratory": LABORATORY,
        "History": ("diabetes", "prior_transplant", "dialysis_years", "transplant_date"),
        "Size and vessels": ("cavity_ap_depth_mm",),
    },
    "followed": {
        "Transplant": ("transplant_date",),
        "Laboratory": ("creatinine", "bilirubin", "tacrolimus"),
        "Images": ("resistive_index", "graft_volume"),
        "Antibodies": ("antibody",),
    },
}  # fmt: skip
"""Role to the groups of its form, with the keys that are offered though nothing is known."""

NOTE = (
    "Every value that is understood is kept as you leave its field; the sheet follows, and Undo "
    "takes it back. What is refused is not kept. A value without a date counts as too old."
)


WHO = {"followed": "recipient after the transplant"}
NAMES = {
    "hla": "All loci in one line",
    "anti_a_igg": "Anti-A IgG titre",
    "anti_a_igm": "Anti-A IgM titre",
    "anti_b_igg": "Anti-B IgG titre",
    "anti_b_igm": "Anti-B IgM titre",
    "cpra": "cPRA",
    "crossmatch_cdc_t": "Crossmatch CDC, T cells",
    "crossmatch_cdc_b": "Crossmatch CDC, B cells",
    "crossmatch_flow_t": "Crossmatch flow, T cells",
    "crossmatch_flow_b": "Crossmatch flow, B cells",
    "dcd": "After circulatory death",
    "stroke_death": "Death from a stroke",
    "hcv": "Hepatitis C",
    "egfr": "eGFR",
    "graft_ap_depth_mm": "Graft, front to back",
    "cavity_ap_depth_mm": "Cavity, front to back",
    "graft_artery_count": "Arteries of the graft",
}


def titled(key: str) -> str:
    """Return the name of a value as the form writes it."""
    return NAMES.get(key) or name_of(key)


def keys_of(role: str, organ: Organ) -> dict[str, tuple[str, ...]]:
    """Return the groups of a person's form with the vessels that an organ is joined to."""
    groups = dict(GROUPS[role])
    if role == "followed":
        return groups
    side = 1 if role == "donor" else 2
    vessels = tuple(f"diameter_{joined[side]}" for joined in JOINED[organ])
    groups["Size and vessels"] += vessels
    return groups


class EntryRow:
    """The fields of one value; ``changed`` hears when an accepted one is left."""

    def __init__(self, key: str, entry: Entry | None, changed: Callable[[EntryRow], None]) -> None:
        self.key, self.saved = key, dict(entry) if entry is not None else None
        self._changed = changed
        given: Mapping[str, Any] = entry or {}
        self.name = label(titled(key), wrap=False)
        self.value = self._field(CHOICES.get(key), str(given.get("value", "")))
        self.mfi = self._edit(str(given.get("mfi", "")), "MFI") if key == "antibody" else None
        self.unit = self._units(str(given.get("unit", "")))
        self.date = self._edit(str(given.get("date", "")), "YYYY-MM-DD")
        self.source = self._edit(str(given.get("source", "")), "source")
        self.by = self._edit(str(given.get("confirmed_by", "")), "name")
        self.told = label("", "muted")
        aside = is_aside(given)
        for field in self.fields():
            field.setEnabled(not aside)
            field.setAccessibleName(f"{titled(key)} {field.property('what')}")
        if aside:
            self.told.setText(f"Set aside by {given['set_aside_by']}; it does not count.")
        elif entry is not None:
            self.judge()

    def fields(self) -> list[QWidget]:
        """Return the fields from left to right."""
        made = (self.value, self.mfi, self.unit, self.date, self.source, self.by)
        return [field for field in made if field is not None]

    def _edit(self, text: str, what: str) -> QLineEdit:
        made = QLineEdit(text)
        made.setPlaceholderText(what)
        made.setProperty("what", what)
        made.textEdited.connect(lambda _: self.judge())
        made.editingFinished.connect(self.leave)
        return made

    def _field(self, choices: tuple[str, ...] | None, text: str) -> QWidget:
        if choices is None:
            return self._edit(text, "value")
        return self._choice(("", *choices), text)

    def _choice(self, choices: tuple[str, ...], text: str) -> QComboBox:
        made = QComboBox()
        keep_narrow(made)
        made.addItems([*choices, *([text] if text not in choices else [])])
        made.setCurrentText(text)
        made.activated.connect(lambda _: self.leave())
        return made

    def _units(self, text: str) -> QComboBox | None:
        units = units_of(self.key)
        return self._choice(units, text or units[0]) if units else None

    def entry(self) -> dict[str, Any] | None:
        """Return what stands in the fields, None for no value."""
        value = _text(self.value)
        if not value:
            return None
        known = {k: v for k, v in (self.saved or {}).items() if k not in ("unit", "mfi")}
        made = {**known, "key": self.key, "value": value}
        said = {"unit": _text(self.unit), "mfi": _text(self.mfi)}
        said |= {"date": _text(self.date), "source": _text(self.source) or "entered by hand"}
        made |= {name: text for name, text in said.items() if text}
        if "mfi" in made:
            made["mfi"] = _number(made["mfi"])
        by = _text(self.by)
        if by != made.get("confirmed_by", ""):
            made |= {"confirmed_by": by, "confirmed_on": _today().isoformat()}
        for name in ("date", "confirmed_by"):
            if not said.get(name, by):
                made.pop(name, None)
        return made

    def judge(self) -> bool:
        """Say what is wrong with what stands in the fields, or its value in the unit kept."""
        entry = self.entry()
        wrong = refusal(entry, _today()) if entry is not None else ""
        self.told.setText(wrong or (converted(entry) if entry is not None else ""))
        set_role(self.told, "problem" if wrong else "muted")
        self.told.setVisible(bool(self.told.text()))
        return not wrong

    def leave(self) -> None:
        """Keep what stands in the fields if it is understood and differs."""
        entry = self.entry()
        if self.judge() and not _same(entry, self.saved):
            self.saved = entry
            self._changed(self)


class ConflictCard(QWidget):
    """Values that contradict each other, and the choice of one by a named person."""

    chosen = Signal(int, str)

    def __init__(self, conflict: Conflict, rows: list[Entry]) -> None:
        super().__init__()
        self.by = QLineEdit()
        self.by.setPlaceholderText("who decides")
        self.by.setAccessibleName("Who decides")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(label(f"✕ Contradiction: {conflict.about}", "problem"))
        line = QHBoxLayout()
        line.addWidget(self.by)
        self.choices = []
        for number, row in zip(conflict.rows, rows):
            text = f"Keep {row['value']} ({row.get('date', '')[:10] or 'no date'})"
            tip = f"{row.get('source', '')}: the others are set aside, and who chose is noted"
            made = button(text, tip, partial(self._choose, number))
            self.choices.append(made)
            line.addWidget(made)
        line.addStretch(1)
        column.addLayout(line)

    def _choose(self, row: int) -> None:
        by = self.by.text().strip()
        if by:
            self.chosen.emit(row, by)
        else:
            self.by.setFocus()


class PersonForm(QWidget):
    """All values of one person; ``edited`` brings the document as it should be kept."""

    edited = Signal(object, str)

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role
        self.rows: list[EntryRow] = []
        self.document: dict[str, Any] = {}
        self.conflicts = RecordList(self._conflict_card)
        self._body, self._grid = QWidget(), QGridLayout()
        self.more = QComboBox()
        self.more.addItems([key for key in FIELDS if not key.endswith("VESSEL")])
        self.more.setAccessibleName("Which value")
        add = button("Add a reading", "One more field, also of a value that is there", self._add)
        line = QHBoxLayout()
        line.addWidget(self.more)
        line.addWidget(add)
        line.addStretch(1)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 8, 12, 12)
        self._column.setSpacing(8)
        for part in (label(NOTE, "muted"), self.conflicts, self._body):
            self._column.addWidget(part)
        self._column.addLayout(line)
        self._column.addStretch(1)

    def show_conflicts(self, record: PersonRecord) -> None:
        """Show what contradicts itself in the record that was made of the document."""
        rows = self.document["values"]
        found = conflicts(self.document, record, self.role)
        self.conflicts.show_records([(c, [rows[n] for n in c.rows]) for c in found])

    def show_person(self, document: Mapping[str, Any], organ: Organ) -> None:
        """Show a person's document anew."""
        self.document, self.rows = dict(document), []
        entries = document["values"]
        groups = keys_of(self.role, organ)
        known = {key for keys in groups.values() for key in keys}
        others = tuple(dict.fromkeys(e["key"] for e in entries if e["key"] not in known))
        body = QWidget()
        grid = QGridLayout(body)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        for column, stretch in enumerate((2, 3, 1, 1, 2, 2, 2)):
            grid.setColumnStretch(column, stretch)
        for title, keys in {**groups, **({"Other": others} if others else {})}.items():
            self._add_group(grid, title, keys, entries)
        self._column.replaceWidget(self._body, body)
        self._body.deleteLater()
        self._body, self._grid = body, grid

    def _add(self) -> None:
        row = EntryRow(self.more.currentText(), None, self._changed)
        self._add_row(self._grid, row)
        row.value.setFocus()

    def _add_group(
        self, grid: QGridLayout, title: str, keys: tuple[str, ...], entries: list[Entry]
    ) -> None:
        line = grid.rowCount()
        grid.setRowMinimumHeight(line, 28)
        grid.addWidget(bold(title), line, 0)
        for column, head in enumerate(HEADS, 1):
            grid.addWidget(label(head, "muted", wrap=False), line, column)
        for key in keys:
            given = [entry for entry in entries if entry["key"] == key]
            more = key == "antibody" and bool(given)
            more |= self.role == "followed" and key != "transplant_date"
            for entry in (*given, *([None] if more or not given else [])):
                self._add_row(grid, EntryRow(key, entry, self._changed))

    def _add_row(self, grid: QGridLayout, row: EntryRow) -> None:
        line = grid.rowCount()
        self.rows.append(row)
        grid.addWidget(row.name, line, 0)
        if row.mfi is None:
            grid.addWidget(row.value, line, 1, 1, 2)
        else:
            grid.addWidget(row.value, line, 1)
            grid.addWidget(row.mfi, line, 2)
        if row.unit is not None:
            grid.addWidget(row.unit, line, 3)
        for column, field in enumerate((row.date, row.source, row.by), 4):
            grid.addWidget(field, line, column)
        grid.addWidget(row.told, line + 1, 1, 1, 6)
        row.told.setVisible(bool(row.told.text()))

    def _conflict_card(self, shown: tuple[Conflict, list[Entry]]) -> ConflictCard:
        conflict, rows = shown
        card = ConflictCard(conflict, rows)
        card.chosen.connect(lambda row, by: self._resolve(conflict, row, by))
        return card

    def _resolve(self, conflict: Conflict, row: int, by: str) -> None:
        made = resolved(self.document, conflict, row, by, _today().isoformat())
        self.edited.emit(made, f"Settle a contradiction of the {WHO.get(self.role, self.role)}")

    def _changed(self, row: EntryRow) -> None:
        saved = [r.saved for r in self.rows if r.saved is not None]
        self.document = {**self.document, "values": saved}
        self.edited.emit(
            self.document, f"Set {titled(row.key)} of the {WHO.get(self.role, self.role)}"
        )


def _text(field: QWidget | None) -> str:
    if isinstance(field, QComboBox):
        return field.currentText().strip()
    return field.text().strip() if isinstance(field, QLineEdit) else ""


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # the judge says that it is none


def _same(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return one is other
    words = one.keys() | other.keys()
    return all(str(one.get(word, "")) == str(other.get(word, "")) for word in words)


def _today() -> date:
    return datetime.now(UTC).date()
