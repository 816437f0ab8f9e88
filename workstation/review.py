"""Whether a person has looked at the labels of a plan: proposed, edited or reviewed.

A review is a statement about one result. It is kept under the result's content key, so any
change of what the label is made of ends it by itself, and undoing that change brings it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from segmentation.contract import Finding, Severity
from workstation.case_record import CaseError, CaseRecord, CaseValues, Review, now
from workstation.planning.plan import Plan, Step, to_plain_json
from workstation.planning.template import templates
from workstation.planning.transplant_rows import row_key
from workstation.stage import Stage
from workstation.stages import STAGES

PROPOSED, EDITED, REVIEWED = "proposed", "edited", "reviewed"
LABEL_GROUP = "Segment"
NAMED = 4  # numbers that a warning names


def label_steps(plan: Plan) -> dict[str, Step]:
    """Return the steps whose result is an outline of anatomy, by output, in plan order."""
    return {step.output: step for step in plan.steps if _is_label(STAGES.get(step.stage))}


def _is_label(stage: Stage | None) -> bool:
    return stage is not None and (stage.group, stage.output_kind) == (LABEL_GROUP, "LabelMap")


def review_states(plan: Plan, record: CaseRecord, values: CaseValues) -> dict[str, dict[str, Any]]:
    """Return, for each label of the plan, its state, who reviewed it and when (ISO, UTC).

    "proposed" was made by an automatic stage, a model or a label file; "edited" has hand edits,
    seeds or a person's numbers in its making; "reviewed" was accepted as it is now.
    """
    keys = plan.keys()
    found: dict[str, dict[str, Any]] = {}
    for output in label_steps(plan):
        review = record.reviews.get(keys[output])
        if review is not None and _still(review, keys[output], values):
            found[output] = {"state": REVIEWED, "by": review.by, "at": review.at}
        else:
            state = EDITED if _is_edited(plan, output) else PROPOSED
            found[output] = {"state": state, "by": None, "at": None}
    return found


def _still(review: Review, key: str, values: CaseValues) -> bool:
    """Tell whether the result under ``key`` is the very one that was reviewed, or gone."""
    return key not in values or values.record(key)["digest"] == review.digest


def mark_reviewed(plan: Plan, record: CaseRecord, values: CaseValues, output: str, by: str) -> None:
    """Note in ``record`` that ``by`` reviewed the label ``output`` as it is computed now.

    Raises:
        CaseError: without a name, for what is no label of the plan, or is not computed.
    """
    name = " ".join(by.split())
    if not name:
        raise CaseError("a review needs the name of the person who looked; give it with --by NAME")
    key = _key_of(plan, output)
    if key not in values:
        raise CaseError(f"{output!r} is not computed yet; run the plan, look at it, then review it")
    record.reviews[key] = Review(name, now(), values.record(key)["digest"])


def withdraw_review(plan: Plan, record: CaseRecord, output: str) -> None:
    """Take back the review of the label ``output`` as it is now, if there is one.

    Raises:
        CaseError: for what is no label of the plan.
    """
    record.reviews.pop(_key_of(plan, output), None)


def confirm_row(record: CaseRecord, row: Mapping[str, Any], by: str, comment: str = "") -> None:
    """Note in ``record`` that ``by`` confirms a row of a review sheet as it stands.

    The confirmation ends by itself when a reading behind the row, or the row, changes.

    Raises:
        CaseError: without a name.
    """
    name, said = " ".join(by.split()), " ".join(comment.split())
    if not name:
        raise CaseError("a confirmation needs the name of the person; give it with --by NAME")
    key = row_key(row)
    record.reviews[key] = Review(name, now(), key.partition(":")[2], said)


def withdraw_row(record: CaseRecord, row: Mapping[str, Any]) -> None:
    """Take back the confirmation of a row as it stands, if there is one."""
    record.reviews.pop(row_key(row), None)


def confirmed_rows(rows: Iterable[Mapping[str, Any]], record: CaseRecord) -> list[dict[str, Any]]:
    """Return rows with who confirmed them in the case, after those that the records name."""
    found = []
    for row in rows:
        review = record.reviews.get(row_key(row))
        said = [row["confirmed"]] if row["confirmed"] else []
        if review is not None:
            comment = f": {review.comment}" if review.comment else ""
            said.append(f"{review.by} ({review.at[:10]}){comment}")
        found.append({**row, "confirmed": ", ".join(said)})
    return found


def _key_of(plan: Plan, output: str) -> str:
    labels = label_steps(plan)
    if output not in labels:
        known = ", ".join(labels) or "none"
        raise CaseError(f"the plan has no label {output!r} to review; its labels are: {known}")
    return plan.keys()[output]


def unreviewed(plan: Plan, states: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return, for each step, the labels that its numbers rest on and that nobody reviewed.

    A label answers for all that it is made of: behind it nothing more is asked.
    """
    steps = {step.output: step for step in plan.steps}

    def rests_on(output: str) -> set[str]:
        if output in states:
            return set() if states[output]["state"] == REVIEWED else {output}
        step = steps.get(output)
        return set().union(*map(rests_on, step.inputs.values())) if step is not None else set()

    order = list(steps)
    found = {output: sorted(rests_on(output), key=order.index) for output in steps}
    return {output: tuple(labels) for output, labels in found.items() if labels}


def review_findings(plan: Plan, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a warning for each label that nobody reviewed and that numbers rest on."""
    states = {s["output"]: s["review"] for s in summary["steps"] if s["review"] is not None}
    resting: dict[str, list[str]] = {}
    lacking = unreviewed(plan, states)
    for number in summary["numbers"]:
        for label in lacking.get(number["step"], ()):
            resting.setdefault(label, []).append(number["name"])
    return [_warning(label, states[label]["state"], names) for label, names in resting.items()]


def _warning(label: str, state: str, names: list[str]) -> dict[str, Any]:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    listed = f"{', '.join(names[:NAMED])}{more}"
    sentence = f"Nobody has reviewed the {state} outline {label!r}; on it rest: {listed}."
    remedy = "Look at it in all slices, correct it, then mark it as reviewed."
    finding = Finding(Severity.WARNING, "not_reviewed", sentence, None, remedy)
    return finding.to_json() | {"step": label}


def _is_edited(plan: Plan, output: str) -> bool:
    """Tell whether a person had a part in making the label, or a label that it is made of."""
    steps = {step.output: step for step in plan.steps}
    shipped = templates().get(plan.template)
    given = shipped.steps if shipped is not None else ()
    waiting = [output]
    while waiting:
        step = steps.get(waiting.pop())
        if step is None:
            continue
        if _by_person(step, given):
            return True
        waiting += _made_of(step)
    return False


def _made_of(step: Step) -> list[str]:
    """Return the labels that the step changes or joins; one that only guides it is none."""
    inputs = STAGES[step.stage].inputs
    if not inputs or inputs[0].kind != "LabelMap":
        return []
    return [step.inputs[i.name] for i in inputs if i.kind == "LabelMap" and i.name in step.inputs]


def _by_person(step: Step, given: tuple[Step, ...]) -> bool:
    """Tell whether hand edits, points or numbers other than the usual went into the step."""
    stage = STAGES.get(step.stage)
    if stage is None or any(i.kind == "EditLog" for i in stage.inputs):
        return True
    usual = [s.params for s in given if s.stage == step.stage]
    return any(
        _measures(value)
        and to_plain_json(value) != to_plain_json(stage.parameters[name].default)
        and not any(params.get(name) == value for params in usual)
        for name, value in step.params.items()
        if name in stage.parameters
    )


def _measures(value: Any) -> bool:
    """Tell whether a parameter is a number or holds some; names and switches only choose."""
    if isinstance(value, tuple):
        return any(map(_measures, value))
    return isinstance(value, int | float) and not isinstance(value, bool)
