"""How the rows of a transplant review are marked and named in the window."""

from __future__ import annotations

from workstation.planning.transplant_rows import Row, spoken, value_text

MARKS = {"block": "✕ block", "unknown": "? unknown", "warn": "! warn", "pass": "✓ pass"}
ROLES = {"block": "problem", "unknown": "warning", "warn": "warning", "pass": "muted"}


def row_title(name: str) -> str:
    """Return the name of a row as the window writes it: the way it is said, with a capital."""
    said = f"antibody {name.rpartition('.')[2]}" if ".antibody." in name else spoken(name)
    return said[:1].upper() + said[1:] if not said.startswith("cPRA") else said


def row_value(row: Row) -> str:
    """Return the value of a row with its unit, "" for none."""
    return value_text(row.value, row.unit)
