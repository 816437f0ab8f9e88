"""What `hilum doubt` does: measure how sure a result of a case is."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

from segmentation.contract import as_sentence
from segmentation.doubt import REVIEW_NEXT
from workstation import cluster
from workstation.bands import can_spread, cost_text, usual_ranges, with_doubt, with_spread
from workstation.case import Case, CaseError, open_case
from workstation.console import Work
from workstation.planning.plan import Plan


def doubt(options: argparse.Namespace, work: Work) -> dict[str, Any]:
    """Add the steps that measure the doubt of a result, run them, return the case's summary.

    Raises:
        PlanError, StageError: for a name that is no result, or a parameter that is refused.
        CaseError: if nothing is known to vary.
    """
    with open_case(options.case) as case:
        plan = case.plan()
        if can_spread(plan, options.name):
            plan = _spread(options, plan, case)
        else:
            plan = with_doubt(plan, options.name, dict(options.params))
            print(as_sentence(cost_text(plan, options.name, case.runs())), file=sys.stderr)
        if plan != case.plan():
            case.add_plan(plan, f"Doubt about {options.name}")
        if options.cluster is None:
            work("Doubt", partial(case.run, plan))
        else:
            with cluster.connected(options.cluster) as client:
                over = cluster.spread_over(client)
                work("Doubt", partial(case.run, plan, spread_over=over))
        return case.summary()


def _spread(options: argparse.Namespace, plan: Plan, case: Case) -> Plan:
    """Return the plan with the step that repeats a flow under other inputs."""
    numbers = case.summary()["numbers"]
    vary = options.vary or usual_ranges(plan, options.name, numbers)
    if not vary:
        raise CaseError(
            f"it is not known what varies in {options.name}; name it with "
            "--vary STEP.PARAM=LOW..HIGH, hilum stages lists the parameters"
        )
    params = dict(options.params)
    members = params.pop("members", None)
    if params:
        raise CaseError(f"there is no {next(iter(params))!r} to set here, only members")
    return with_spread(plan, options.name, vary, members)


def print_doubt(summary: dict[str, Any]) -> None:
    """Print the numbers that have a band, and where to look next."""
    for number in summary["numbers"]:
        if number["low"] is not None:
            name, unit = number["name"], number["unit"]
            band = f"({number['low']:.4g} to {number['high']:.4g})"
            print(f"  {name:32} {number['value']:10.4g} {unit:4} {band}")
    for finding in summary["findings"]:
        if finding["code"] == REVIEW_NEXT:
            place = ", ".join(f"{v:.0f}" for v in finding["location_mm"])
            print(f"  review next at ({place}): {finding['sentence']} [{finding['step']}]")
