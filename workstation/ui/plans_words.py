"""How the cells of a comparison of plans read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segmentation.wording import counted
from workstation.ui.words import band_text, choice_text, readable, unit_text, value_text

MARKS = {"passed": "▲", "in doubt": "!"}


def row_title(name: str, param: str = "") -> str:
    """Return the title of a number or of a setting."""
    if not param:
        return readable(name)
    return f"{readable(name)}: {readable(param).lower()}"


def setting_text(value: Any) -> str:
    """Return a setting as it reads; numbers with three digits that count."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        nested = any(isinstance(part, list) for part in value)
        if nested:
            return counted(len(value), "entry", "entries")
        return ", ".join(setting_text(p) for p in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return choice_text(str(value).rpartition(".")[2])


def cell_text(value: Mapping[str, Any] | None, unit: str) -> str:
    """Return a number with its unit, its band below, and the limits that it stands against."""
    if value is None:
        return "–"
    lines = [f"{value_text(value['value'], unit)} {unit_text(unit)}".rstrip()]
    if value["low"] is not None and value["high"] is not None:
        lines.append(band_text(dict(value) | {"unit": unit}))
    states: dict[str, list[str]] = {}
    for limit in value["limits"]:
        states.setdefault(f"{MARKS[limit['state']]} {_beside(limit)}", []).append(
            f"{limit['value']:g}"
        )
    lines += [f"{words} {', '.join(ends)} {unit_text(unit)}" for words, ends in states.items()]
    return "\n".join(lines)


def limit_text(value: Mapping[str, Any] | None, unit: str) -> str:
    """Return the limits that a number stands against, with their sources."""
    limits = value["limits"] if value is not None else ()
    return "\n".join(
        f"{limit['side']} {limit['value']:g} {unit_text(unit)}: {limit['words']}"
        for limit in limits
    )


def _beside(limit: Mapping[str, Any]) -> str:
    below = limit["side"] == "at least"
    if limit["state"] == "passed":
        return "below" if below else "not below"
    return "band reaches below" if below else "band reaches"
