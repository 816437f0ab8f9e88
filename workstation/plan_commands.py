"""What `hilum plans` and `hilum compare` do: name the plans of a case; set them side by side."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

from segmentation.wording import counted
from workstation.case import Case, CaseError, open_case
from workstation.comparing import asked_plans, compare
from workstation.console import DONE, Work, print_json
from workstation.named_plans import (
    find_plan,
    keep_plan,
    listed_plans,
    new_plan,
    remove_plan,
    rename_plan,
    switch_plan,
)
from workstation.plan_pictures import write_plan_pictures

NAME_WIDTH, VALUE_WIDTH = 48, 14
MARKS = {"passed": "▲", "in doubt": "!"}


def plans_command(options: argparse.Namespace, work: Work) -> int:
    """List the plans of a case, after what is asked for was done to them."""
    if options.plan is not None and options.keep is None:
        raise CaseError("--plan goes with --keep")
    asked = (options.keep, options.new, options.rename, options.remove, options.switch)
    changes = options.undo or any(value is not None for value in asked)
    with open_case(options.case, write=changes) as case:
        if changes:
            _change(case, options)
        records = listed_plans(case)
    if options.json:
        print_json({"case": str(options.case), "plans": records})
    else:
        for record in records:
            mark = "*" if record["current"] else " "
            words = ", ".join(w for w in (record["cut"], record["label"]) if w)
            print(f"{mark} {record['plan']:4} {record['name']:8} {words}")
    return DONE


def _change(case: Case, options: argparse.Namespace) -> None:
    """Do what is asked for to the plans of a case."""
    if options.keep is not None:
        chosen = find_plan(case, options.plan) if options.plan else case.plan_number
        case.plan(chosen)
        keep_plan(case, options.keep, chosen)
    elif options.new is not None:
        new_plan(case, options.new)
    elif options.rename is not None:
        rename_plan(case, *options.rename)
    elif options.remove is not None:
        remove_plan(case, options.remove)
    elif options.switch is not None:
        switch_plan(case, options.switch)
    elif case.record.position > 0:
        case.go_to(case.record.position - 1)
    else:
        raise CaseError("the case has no change that could be taken back")


def compare_command(options: argparse.Namespace, work: Work) -> int:
    """Print plans of a case side by side, and write pictures of them."""
    files = []
    with open_case(options.case, write=False) as case:
        asked = asked_plans(case, options.plans)
        document = compare(case, asked)
        if options.pictures is not None:
            numbers = [number for number, _ in asked]
            draw = partial(write_plan_pictures, case, numbers, options.pictures)
            files = work("Pictures", draw)
    if options.json:
        print_json(document | {"pictures": [str(file) for file in files]})
    else:
        _print(document)
        for file in files:
            print(f"written: {file}")
    return DONE


def _print(document: Mapping[str, Any]) -> None:
    heads = [plan["name"] or f"plan {plan['plan']}" for plan in document["plans"]]
    print(_line("", heads))
    cuts = [plan["cut"] for plan in document["plans"]]
    if any(cuts):
        print(_line("cut", [cut or "-" for cut in cuts]))
    for row in document["settings"]:
        print(
            _line(f"{row['step']}.{row['param']}".rstrip("."), [_short(v) for v in row["values"]])
        )
    for row in document["numbers"]:
        if row["differs"]:
            print(_line(f"{row['name']} {row['unit']}".strip(), [_cell(v) for v in row["values"]]))
    same = sum(not row["differs"] for row in document["numbers"])
    print(counted(same, "number is", "numbers are") + " the same in all plans")
    for words in dict.fromkeys(_limits(document)):
        print(f"  {words}")
    for note in document["notes"]:
        print(f"  ! {note}")
    for plan in document["plans"]:
        if not plan["computed"]:
            path = f"{document['case']}/plans/{plan['plan']:04d}.json"
            print(f"plan {plan['plan']} is not computed; run: hilum run {path}")
    for finding in document["findings"]:
        print(f"  plan {finding['plan']}: {finding['severity']}: {finding['sentence']}")
    print("Research use only, not for clinical decisions.")


def _cell(value: Mapping[str, Any] | None) -> str:
    """Return a value with the gravest mark of the limits that it stands against."""
    if value is None:
        return "-"
    states = [limit["state"] for limit in value["limits"]]
    mark = next((MARKS[state] for state in MARKS if state in states), "")
    return f"{mark} {value['value']:.5g}".strip()


def _limits(document: Mapping[str, Any]) -> list[str]:
    return [
        f"{MARKS[limit['state']]} {row['name']} should be {limit['side']} {limit['value']:g} "
        f"{row['unit']}".rstrip()
        + f": {limit['words']}"
        for row in document["numbers"]
        for value in row["values"]
        if value is not None
        for limit in value["limits"]
    ]


def _line(name: str, values: list[str]) -> str:
    return f"{name:{NAME_WIDTH}}" + "".join(f" {value:>{VALUE_WIDTH}}" for value in values)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_short(part) for part in value)
    return (
        "-" if value in (None, "") else f"{value:.4g}" if isinstance(value, float) else str(value)
    )
