"""What `hilum review` does: note that a person looked at labels, or take that back."""

from __future__ import annotations

import argparse
from typing import Any

from workstation.case import open_case
from workstation.review import (
    confirm_row,
    mark_reviewed,
    withdraw_review,
    withdraw_row,
)


def review(options: argparse.Namespace) -> dict[str, Any]:
    """Review the labels and rows that ``options`` name, all or none; return the case's summary.

    Raises:
        CaseError: for a name that is no computed label or row of the plan, or no person's name.
    """
    with open_case(options.case) as case:
        plan = case.plan()
        rows = {row["name"]: row for row in case.summary().get("rows", ())}
        for name in options.names:
            if name in rows and options.withdraw:
                withdraw_row(case.record, rows[name])
            elif name in rows:
                confirm_row(case.record, rows[name], options.by, options.comment)
            elif options.withdraw:
                withdraw_review(plan, case.record, name)
            else:
                mark_reviewed(plan, case.record, case.values, name, options.by)
        case.save()
        return case.summary()


def review_text(record: dict[str, Any] | None) -> str:
    """Return a step's review in words: "reviewed by NAME, 2026-10-02"; "" for no label."""
    if record is None:
        return ""
    if record["by"] is None:
        return str(record["state"])
    return f"{record['state']} by {record['by']}, {record['at'][:10]}"
