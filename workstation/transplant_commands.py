"""What `hilum compare-donors` does, and the rows of a review sheet as text."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workstation.console import DONE, Work, print_json
from workstation.planning.transplant_rows import value_text
from workstation.transplant_compare import SHOWN, TABLES, compare_people

NAME_WIDTH, CELL_WIDTH = 28, 14
HEADS = {
    "abo": "ABO",
    "virtual_crossmatch": "virtual XM",
    "donor_specific_antibodies": "DSA (MFI)",
    "hla.total": "HLA",
    "score.kdri": "KDRI",
    "score.lkdpi": "LKDPI",
}


def compare_donors(options: argparse.Namespace, work: Work) -> int:
    """Print the sheets of several pairs side by side, in the order given."""
    today = datetime.now(UTC).date().isoformat()
    settings = {"review_date": today} | dict(options.settings)
    given = {name: getattr(options, name) for name in TABLES}
    tables = {name: path for name, path in given.items() if path is not None}
    document = work(
        "Compare",
        lambda progress: compare_people(
            options.one, options.others, settings, options.reverse, progress, tables
        ),
    )
    if options.json:
        print_json(document | {"settings": settings})
        return DONE
    shown = [n for n in SHOWN if any(n in pair.get("values", {}) for pair in document["pairs"])]
    print(_line("", ["verdict", "block/unkn/warn", *(HEADS[name] for name in shown)]))
    for pair in document["pairs"]:
        print(_pair_line(pair, shown))
        if pair.get("blocking"):
            print(f"    blocks: {', '.join(pair['blocking'])}")
    print("Crossmatches count for the donor that they name; one that names none is left out.")
    print("The order is the one given and no ranking. People decide.")
    print("Research use only, not for clinical decisions.")
    return DONE


def print_rows(summary: Mapping[str, Any]) -> None:
    """Print the rows of a review sheet, if the plan has one."""
    for row in summary.get("rows", ()):
        value = value_text(row["value"], row["unit"])
        print(f"  {row['verdict']:8} {row['name']:{NAME_WIDTH}} {value:22} {row['reason']}")
        print(f"           {row['source']}{', ' + row['date'] if row['date'] else ''}")


def _pair_line(pair: Mapping[str, Any], shown: list[str]) -> str:
    name = pair["label"] or pair["file"]
    if "error" in pair:
        return _line(name, [pair["verdict"]]) + f"  {pair['error']}"
    counts = "/".join(str(pair["counts"][v]) for v in ("block", "unknown", "warn"))
    cells = [_cell(pair["values"].get(row)) for row in shown]
    return _line(name, [pair["verdict"], counts, *cells])


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    return row["verdict"] if row["value"] is None else _short(row["value"])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(name: str, cells: list[str]) -> str:
    return f"{name[:NAME_WIDTH]:{NAME_WIDTH}}" + "".join(f" {c:>{CELL_WIDTH}}" for c in cells)
