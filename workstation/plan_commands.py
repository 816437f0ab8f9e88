"""What `hilum plans` and `hilum compare` do: name the plans of a case; set them side by side."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from workstation.case import open_case
from workstation.comparing import compare, find_plan, keep_plan, listed_plans
from workstation.console import DONE, Work, print_json

NAME_WIDTH, VALUE_WIDTH = 34, 14


def plans_command(options: argparse.Namespace, work: Work) -> int:
    """List the plans of a case, or give one a name first."""
    with open_case(options.case, write=options.keep is not None) as case:
        if options.keep is not None:
            chosen = find_plan(case, options.plan) if options.plan else case.plan_number
            case.plan(chosen)
            keep_plan(case, options.keep, chosen)
        records = listed_plans(case)
    if options.json:
        print_json({"case": str(options.case), "plans": records})
    else:
        for record in records:
            mark = "*" if record["current"] else " "
            print(f"{mark} {record['plan']:4} {record['name']:8} {record['label']}")
    return DONE


def compare_command(options: argparse.Namespace, work: Work) -> int:
    """Print plans of a case side by side."""
    with open_case(options.case, write=False) as case:
        document = compare(case, [find_plan(case, which) for which in options.plans])
    if options.json:
        print_json(document)
    else:
        _print(document)
    return DONE


def _print(document: Mapping[str, Any]) -> None:
    heads = [plan["name"] or f"plan {plan['plan']}" for plan in document["plans"]]
    print(_line("", heads))
    for row in document["settings"]:
        print(
            _line(f"{row['step']}.{row['param']}".rstrip("."), [_short(v) for v in row["values"]])
        )
    for row in document["numbers"]:
        if row["differs"]:
            values = ["-" if v is None else f"{v['value']:.5g}" for v in row["values"]]
            print(_line(f"{row['name']} {row['unit']}".strip(), values))
    same = sum(not row["differs"] for row in document["numbers"])
    print(f"{same} numbers are the same in all plans")
    for plan in document["plans"]:
        if not plan["computed"]:
            path = f"{document['case']}/plans/{plan['plan']:04d}.json"
            print(f"plan {plan['plan']} is not computed; run: hilum run {path}")
    for finding in document["findings"]:
        print(f"  plan {finding['plan']}: {finding['severity']}: {finding['sentence']}")
    print("Research use only, not for clinical decisions.")


def _line(name: str, values: list[str]) -> str:
    return f"{name:{NAME_WIDTH}}" + "".join(f" {value:>{VALUE_WIDTH}}" for value in values)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_short(part) for part in value)
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
