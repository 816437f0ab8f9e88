"""What `hilum doubt` does: measure how sure a label of a case is."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

from segmentation.contract import as_sentence
from segmentation.doubt import REVIEW_NEXT
from workstation.bands import cost_text, with_doubt
from workstation.case import open_case
from workstation.console import Work


def doubt(options: argparse.Namespace, work: Work) -> dict[str, Any]:
    """Add the steps that measure the doubt of a label, run them, return the case's summary.

    Raises:
        PlanError, StageError: for a name that is no label, or a parameter that is refused.
    """
    with open_case(options.case) as case:
        plan = with_doubt(case.plan(), options.name, dict(options.params))
        if plan != case.plan():
            case.add_plan(plan, f"Doubt about {options.name}")
        print(as_sentence(cost_text(plan, options.name, case.runs())), file=sys.stderr)
        work("Doubt", partial(case.run, plan))
        return case.summary()


def print_doubt(summary: dict[str, Any]) -> None:
    """Print the numbers that have a band, and where to look next."""
    for number in summary["numbers"]:
        if number["low"] is not None:
            name, unit = number["name"], number["unit"]
            band = f"({number['low']:.4g} to {number['high']:.4g})"
            print(f"  {name:32} {number['value']:10.1f} {unit:4} {band}")
    for finding in summary["findings"]:
        if finding["code"] == REVIEW_NEXT:
            place = ", ".join(f"{v:.0f}" for v in finding["location_mm"])
            print(f"  review next at ({place}): {finding['sentence']} [{finding['step']}]")
