"""Plans of one case side by side: what differs in them, and what that does to the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workstation.case import Case, CaseError
from workstation.planning.plan import Plan, to_plain_json


def find_plan(case: Case, which: str) -> int:
    """Return the number of the plan called ``which``, a name that was given to it or a number.

    Raises:
        CaseError: if there is none.
    """
    named = case.record.plan_names.get(which)
    if named is not None:
        return named
    if not which.isdecimal() or not case.plan_path(int(which)).is_file():
        numbers = ", ".join(p.stem.lstrip("0") for p in sorted(case.plan_path(1).parent.glob("*")))
        names = ", ".join(case.record.plan_names) or "none"
        raise CaseError(
            f"the case has no plan {which!r}; its plans are: {numbers or 'none'}, "
            f"and named: {names}"
        )
    return int(which)


def keep_plan(case: Case, name: str, number: int) -> None:
    """Give plan ``number`` a name, such as A; whatever had that name loses it.

    Raises:
        CaseError: for a name that could be taken for a number, or is none.
    """
    if not name.strip() or name.strip().isdecimal():
        raise CaseError(f"{name!r} cannot name a plan; take a letter or a word")
    case.record.plan_names[name.strip()] = number
    case.save()


def listed_plans(case: Case) -> list[dict[str, Any]]:
    """Return the plans that the case's history and names hold: number, name, label, current."""
    labels = {entry.plan: entry.label for entry in case.record.history}
    names = {number: name for name, number in case.record.plan_names.items()}
    return [
        {
            "plan": number,
            "name": names.get(number, ""),
            "label": labels.get(number, ""),
            "current": number == case.plan_number,
        }
        for number in sorted(labels.keys() | names.keys())
    ]


def compare(case: Case, numbers: Sequence[int]) -> dict[str, Any]:
    """Return plans side by side, as `hilum compare --json` prints them.

    A number that a plan lacks is null there. Findings of problems stand with their plan.

    Raises:
        CaseError: if a plan is not there, or fewer than two are asked for.
    """
    if len(numbers) < 2:
        raise CaseError("a comparison needs two plans at least")
    plans = [case.plan(number) for number in numbers]
    summaries = [case.summary(number) for number in numbers]
    about = {record["plan"]: record for record in listed_plans(case)}
    records = [{n["name"]: n for n in summary["numbers"]} for summary in summaries]
    names = list(dict.fromkeys(name for record in records for name in record))
    return {
        "case": str(case.folder),
        "plans": [
            {
                "plan": number,
                "name": about.get(number, {}).get("name", ""),
                "label": about.get(number, {}).get("label", ""),
                "computed": all(step["state"] == "fresh" for step in summary["steps"]),
            }
            for number, summary in zip(numbers, summaries)
        ],
        "settings": _settings(plans),
        "numbers": [_row(name, [record.get(name) for record in records]) for name in names],
        "findings": [
            finding | {"plan": number}
            for number, summary in zip(numbers, summaries)
            for finding in summary["findings"]
            if finding["severity"] != "info" and finding.get("step") not in plans[0].sources
        ],
    }


def _row(name: str, found: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    first = next(record for record in found if record is not None)
    values = [
        None if record is None else {key: record[key] for key in ("value", "low", "high")}
        for record in found
    ]
    there = [record["value"] for record in values if record is not None]
    return {
        "name": name,
        "unit": first["unit"],
        "values": values,
        "differs": len(there) < len(values) or min(there) < max(there),
    }


def _settings(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """Return the steps and parameters in which the plans differ."""
    steps = [{step.output: step for step in plan.steps} for plan in plans]
    rows = []
    for output in dict.fromkeys(name for of in steps for name in of):
        here = [of.get(output) for of in steps]
        stages = ["" if step is None else step.stage for step in here]
        if len(set(stages)) > 1:
            rows.append({"step": output, "param": "", "values": stages})
        params = [{} if step is None else dict(step.params) for step in here]
        for name in dict.fromkeys(name for given in params for name in given):
            values = [to_plain_json(given.get(name)) for given in params]
            if any(value != values[0] for value in values):
                rows.append({"step": output, "param": name, "values": values})
    return rows
