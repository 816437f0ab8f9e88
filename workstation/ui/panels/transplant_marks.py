"""How the rows of a transplant review are marked and named in the window."""

from __future__ import annotations

from workstation.planning.transplant_rows import Row, value_text
from workstation.ui.words import readable

MARKS = {"block": "✕ block", "unknown": "? unknown", "warn": "! warn", "pass": "✓ pass"}
ROLES = {"block": "problem", "unknown": "warning", "warn": "warning", "pass": "muted"}


def row_title(name: str) -> str:
    """Return the name of a row as the window writes it."""
    if ".antibody." in name:
        return f"Antibody {name.rpartition('.')[2]}"
    kind, _, cells = name.rpartition("_")
    if kind.startswith("crossmatch."):  # cells are named by a capital
        return f"{readable(kind)} {cells.upper()}"
    return readable(name.removeprefix("follow."))


def row_value(row: Row) -> str:
    """Return the value of a row with its unit, "" for none."""
    return value_text(row.value, row.unit)
