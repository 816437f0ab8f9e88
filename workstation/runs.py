"""What each run of a plan did, and what it says about the state of the plan's steps."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from segmentation.contract import Finding, Severity
from segmentation.wording import counted
from workstation.case_record import CaseValues, now, versions
from workstation.plan_run import StepRun
from workstation.planning.plan import Plan
from workstation.problems import explain
from workstation.stages import find_stage
from workstation.store import write_json

RENEW = "Bring the plan up to date"
EARLIER_LISTED = 6  # results named in a sentence at the most


def write_run(
    folder: Path,
    number: int,
    plan: Plan,
    started: str,
    steps: Sequence[StepRun],
    values: CaseValues,
) -> None:
    """Keep in ``folder`` what the run of plan ``number`` did; ``started`` is an ISO time."""
    folder.mkdir(exist_ok=True)
    records = []
    for step in steps:
        digest = "" if step.state == "failed" else values.record(step.key)["digest"]
        records.append(vars(step) | {"digest": digest})
    record = {
        "plan": number,
        "plan_digest": plan.digest(),
        "started": started,
        "ended": now(),
        "versions": versions(),
        "device": "cpu",
        "steps": records,
    }
    stamp = started.replace(":", "").replace("-", "")
    write_json(folder / f"{stamp}-{number:04d}.json", record)


def write_export(
    folder: Path, number: int, plan: Plan, started: str, what: Mapping[str, Any]
) -> None:
    """Keep in ``folder`` what of plan ``number`` was exported against advice, and why."""
    folder.mkdir(exist_ok=True)
    record = {
        "plan": number,
        "plan_digest": plan.digest(),
        "started": started,
        "ended": now(),
        "versions": versions(),
        "device": "cpu",
        "steps": [],
        "export": dict(what),
    }
    stamp = started.replace(":", "").replace("-", "")
    write_json(folder / f"{stamp}-{number:04d}-export.json", record)


def read_runs(folder: Path, known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of all runs, oldest first; an unreadable one is left out.

    A record never changes, so those that are ``known`` by file name are not read again.
    """
    names = sorted(path.name for path in folder.glob("[0-9]*.json"))  # not one being written
    for name in names:
        if name not in known:
            with suppress(ValueError):
                known[name] = json.loads((folder / name).read_text("utf-8"))
    return [known[name] for name in names if name in known]


def step_states(
    plan: Plan, values: Container[str], runs: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """Return output to "fresh", "stale", "missing" or "failed"."""
    failed: set[str] = set()
    seen: set[str] = set()
    for run in runs:
        for step in run["steps"]:
            seen.add(step["output"])
            (failed.add if step["state"] == "failed" else failed.discard)(step["key"])
    keys = plan.keys()
    states = {}
    for step in plan.steps:
        key = keys[step.output]
        if key in values:
            states[step.output] = "fresh"
        elif key in failed:
            states[step.output] = "failed"
        else:
            states[step.output] = "stale" if step.output in seen else "missing"
    return states


def failures(
    plan: Plan, states: Mapping[str, str], runs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a finding for each step that failed: why, and what to do."""
    keys = plan.keys()
    reasons = {
        step["key"]: step.get("error", "")
        for run in runs
        for step in run["steps"]
        if step["state"] == "failed"
    }
    found = []
    for output in (name for name, state in states.items() if state == "failed"):
        why = explain(ValueError(reasons[keys[output]] or "its computation failed"))
        text = f"The step {output!r} failed. {why.title}"
        finding = Finding(Severity.PROBLEM, "step_failed", text, remedy=why.remedy)
        found.append(finding.to_json() | {"step": output})
    return found


def earlier_steps(plan: Plan, states: Mapping[str, str]) -> tuple[str, ...]:
    """Return the outputs, in order, whose results an earlier version of their stage made."""
    fresh = (step for step in plan.steps if states.get(step.output) == "fresh")
    return tuple(step.output for step in fresh if step.version < find_stage(step).version)


def earlier_findings(plan: Plan, states: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a finding where results of a plan are those of earlier versions of their stages."""
    names = [name.replace("_", " ") for name in earlier_steps(plan, states)]
    if not names:
        return []
    more = f" and {len(names) - EARLIER_LISTED} more" if len(names) > EARLIER_LISTED else ""
    text = (
        f"{counted(len(names), 'result was', 'results were')} made by an earlier version of Hilum: "
        f"{', '.join(names[:EARLIER_LISTED])}{more}. The present one may give other values and "
        "say other things."
    )
    remedy = (
        "Bring the plan up to date (on the Plan page, or with hilum run CASE --renew); it can be "
        "undone."
    )
    finding = Finding(Severity.WARNING, "earlier_version", text, remedy=remedy)
    return [finding.to_json() | {"step": "plan"}]
