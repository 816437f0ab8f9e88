"""What ``hilum validate`` does: run checks, print a table or JSON, write a report."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from workstation import validate
from workstation.console import DONE, PROBLEM, Work, print_json
from workstation.validate_report import table, write_report

WRONG_USAGE = 2


def main(options: argparse.Namespace, work: Work) -> int:
    """Run the checks; return 0 if all that ran passed, 1 if one failed, 2 for an unknown name."""
    try:
        checks = validate.chosen(options.names)
    except validate.UnknownCheck as error:
        print(f"hilum: {error}", file=sys.stderr)
        return WRONG_USAGE
    if options.list:
        for check in checks:
            time = "" if check.quick else f" (about {check.minutes:g} min, only by name)"
            print(f"{check.name:22} {check.title}{time}")
        return DONE
    data = options.data or os.environ.get("HILUM_DATA")
    folder = Path(data) if data else None
    rows = work("Validation", lambda p: validate.validate(options.names, folder, p))
    document = validate.to_json(rows)
    if options.json:
        print_json(document)
    else:
        print(table(rows))
    if options.out is not None:
        write_report(rows, options.out)
    failed = [row for row in rows if row.verdict == "fail"]
    for row in failed:
        what = ", ".join(part for part in (row.case, row.quantity) if part)
        print(f"hilum: {row.name} failed: {what}", file=sys.stderr)
    return PROBLEM if failed else DONE
