"""Plans of one case side by side: what differs in them, and what that does to the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segmentation.contract import Number
from workstation.case import Case, CaseError
from workstation.case_record import number_record
from workstation.figures import figures_of
from workstation.named_plans import cut_kind, find_plan, listed_plans
from workstation.planning.number_limits import limits_of
from workstation.planning.plan import Plan, to_plain_json
from workstation.planning.treatment import COMPARED
from workstation.stages import STAGES

KEPT = ("value", "low", "high")
HEADLINE = 3
"""How many numbers tell plans apart at a glance."""

PATIENT, OUTLINES = "planning.patient", "Segment"
FLOW, EFFECT = "hemodynamics.simulate_flow", "planning.treatment_effect"
OF_VESSEL = ("flow.wss.mean", "flow.wss.maximum", "flow.speed.maximum")
"""Quantities of the flow in a whole vessel that are put beside each other."""


def asked_plans(case: Case, names: Sequence[str]) -> list[tuple[int, str]]:
    """Return number and name of the plans that are asked for; of all named ones for ().

    Raises:
        CaseError: if one is not there.
    """
    named = case.record.plan_names
    if not names:
        return [(number, name) for name, number in named.items()]
    called = {number: name for name, number in named.items()}
    found = [(find_plan(case, which), which) for which in names]
    return [(n, which if which in named else called.get(n, "")) for n, which in found]


def headline(case: Case, number: int) -> tuple[dict[str, dict[str, Any]], bool]:
    """Return the first key numbers of a plan by their titles, and whether all are computed."""
    plan = case.plan(number)
    wanted = list(figures_of(plan).key_numbers.items())[:HEADLINE]
    keys = plan.keys()
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, title in wanted:
        output = name.partition(".")[0]
        if keys.get(output, "") in case.values:
            records = case.values.record(keys[output])["numbers"]
            shown = (number_record(output, Number.from_json(n)) for n in records)
            found |= {n["name"]: (title, n) for n in shown if n["name"] == name}
    return dict(found.values()), len(found) == len(wanted)


def compare(case: Case, asked: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Return plans, each a number and a name, side by side as `hilum compare --json` prints them.

    A number that a plan lacks is null there. A number that stands against a published limit says
    so; which plan is better is not judged. Findings of problems stand with their plan.

    Raises:
        CaseError: if a plan is not there, or fewer than two are asked for.
    """
    if len(asked) < 2:
        raise CaseError(
            "a comparison needs two plans at least; make one with: hilum plans CASE --new"
        )
    numbers = [number for number, _ in asked]
    read = {number: case.plan(number) for number in dict.fromkeys(numbers)}
    told = {number: case.summary(number) for number in read}
    labels = {record["plan"]: record["label"] for record in listed_plans(case)}
    plans, summaries = [read[n] for n in numbers], [told[n] for n in numbers]
    settings = _settings(plans)
    return {
        "case": str(case.folder),
        "plans": [
            {
                "plan": number,
                "name": name,
                "label": labels.get(number, ""),
                "cut": cut_kind(plan),
                "computed": all(step["state"] == "fresh" for step in summary["steps"]),
            }
            for (number, name), plan, summary in zip(asked, plans, summaries)
        ],
        "settings": settings,
        "notes": _notes(plans, settings),
        "numbers": _numbers(plans, summaries),
        "findings": [
            finding | {"plan": number}
            for number, summary in told.items()
            for finding in summary["findings"]
            if finding["severity"] != "info" and finding.get("step") not in plans[0].sources
        ],
    }


def _notes(plans: Sequence[Plan], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in what plans differ that should be the same: the patient and the anatomy."""
    changed = {row["step"] for row in settings}
    steps = [step for plan in plans for step in plan.steps if step.output in changed]
    notes = []
    if any(step.stage == PATIENT for step in steps):
        notes.append(
            "The patient's values differ between the plans; so do all numbers that rest on them."
        )
    outlines = [s.output for s in steps if s.stage in STAGES and STAGES[s.stage].group == OUTLINES]
    sources = [
        name
        for name in dict.fromkeys(name for plan in plans for name in plan.sources)
        if len({plan.sources.get(name) for plan in plans}) > 1
    ]
    named = ", ".join(dict.fromkeys(name.replace("_", " ") for name in (*outlines, *sources)))
    if named:
        notes.append(f"The plans do not rest on the same anatomy; it differs in: {named}.")
    if any(len(_tried(plan)) > 1 for plan in plans):
        notes.append(
            "A plan holds several treatments, each for itself; to see them side by side, give each "
            "a plan of its own."
        )
    return notes


def _tried(plan: Plan) -> list[str]:
    """Return the flows that were computed beside a plan's first: as they would be if treated."""
    return [step.output for step in plan.steps if step.stage == FLOW][1:]


def treated_flows(plans: Sequence[Plan]) -> list[str]:
    """Return of each plan the flow as it treats it, "" where it has several or none.

    There is nothing to set side by side, and the list is empty, where no plan treats anything.
    """
    every = [[step.output for step in plan.steps if step.stage == FLOW] for plan in plans]
    if not any(len(flows) > 1 for flows in every):
        return []
    return [flows[-1] if 0 < len(flows) < 3 else "" for flows in every]


def _treated(
    plans: Sequence[Plan], records: Sequence[Mapping[str, Mapping[str, Any]]]
) -> Iterator[tuple[str, list[Mapping[str, Any] | None]]]:
    """Yield quantities of flow as each plan treats it, of one that does not, as it is.

    A plan with several treatments, and a dome that is taken away, have none.
    """
    tried = [_tried(plan) for plan in plans]
    if not any(tried):
        return
    for name in (*COMPARED, *OF_VESSEL):
        found = [
            record.get(_name_treated(name, plan, own)) if len(own) < 2 else None
            for plan, own, record in zip(plans, tried, records)
        ]
        if sum(number is not None for number in found) > 1:
            yield name, found


def _name_treated(name: str, plan: Plan, tried: Sequence[str]) -> str:
    """Return what a plan calls a quantity of its treated flow, or of its only one."""
    if not tried:
        return name
    if name in OF_VESSEL:
        return f"{tried[0]}.{name.partition('.')[2]}"
    effects = (s for s in plan.steps if s.stage == EFFECT and s.inputs.get("treated") == tried[0])
    return next((f"{step.output}.{name}.after" for step in effects), "")


def _numbers(plans: Sequence[Plan], summaries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each number; those that the template puts first stand first."""
    records = [{n["name"]: n for n in summary["numbers"]} for summary in summaries]
    there = dict.fromkeys(name for record in records for name in record)
    figures = figures_of(plans[0])
    titles = {**figures.key_numbers, **figures.titles}
    first = [name for name in titles if name in there]
    rows = []
    for name, found in _treated(plans, records):
        title = f"{titles.get(name, name)}, as treated"
        rows.append(_row(f"treated.{name}", plans, found) | {"title": title, "key": True})
    for name in (*first, *(name for name in there if name not in titles)):
        row = _row(name, plans, [record.get(name) for record in records])
        rows.append(row | {"title": titles.get(name, ""), "key": name in titles})
    return rows


def _row(
    name: str, plans: Sequence[Plan], found: Sequence[Mapping[str, Any] | None]
) -> dict[str, Any]:
    first = next(record for record in found if record is not None)
    values = [
        None
        if record is None
        else {key: record[key] for key in KEPT} | {"limits": _against(name, plan, record)}
        for plan, record in zip(plans, found)
    ]
    there = [record["value"] for record in values if record is not None]
    return {
        "name": name,
        "unit": first["unit"],
        "values": values,
        "differs": len(there) < len(values) or min(there) < max(there),
    }


def _against(name: str, plan: Plan, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the published limits that a number passes, or that its band reaches."""
    return [
        {"state": state, "side": limit.side, "value": limit.value, "words": limit.words}
        for limit in limits_of(name, plan)
        if (state := limit.kept(record)) != "kept"
    ]


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
            held = [value for value, step in zip(values, here) if step is not None]
            if any(value != held[0] for value in held):
                rows.append({"step": output, "param": name, "values": values})
    return rows
