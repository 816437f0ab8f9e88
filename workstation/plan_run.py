"""Running a plan: what a store lacks is computed, step by step."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from segmentation.contract import Measurements, Progress, share, silent
from workstation.planning.plan import Plan, Step
from workstation.problems import explain
from workstation.replay import Replay
from workstation.stage import Stage
from workstation.stages import check_plan, find_stage
from workstation.variants import Outcome, Spread, Task, Variants, one_by_one


class StepFailed(RuntimeError):
    """A step of a plan could not be computed; ``__cause__`` says why."""

    def __init__(self, output: str, stage: str, cause: Exception) -> None:
        problem = explain(cause)
        known = isinstance(cause, OSError | MemoryError)
        reason = problem.title if known else str(cause)
        super().__init__(f"step {output!r} ({stage}) failed: {reason}")
        self.output = output
        self.stage = stage
        self.remedy = problem.remedy if known else str(getattr(cause, "remedy", ""))


@dataclass(frozen=True)
class StepRun:
    """What became of one step in one run."""

    output: str
    key: str
    state: str
    seconds: float = 0.0
    error: str = ""


def run_plan(
    plan: Plan,
    store: MutableMapping[str, Any],
    progress: Progress = silent,
    on_step: Callable[[StepRun], None] = lambda run: None,
    spread_over: Spread = one_by_one,
) -> dict[str, str]:
    """Compute what ``store`` (content key to value) lacks; return name to content key.

    ``on_step`` hears of each step as it ends: "cached", "done" or "failed". ``spread_over`` does
    the repeats of a result under other inputs.

    A step that fails stops only what needs its result; where disk or memory fail, all stops.

    Raises:
        StepFailed: from the error of the first step that failed; all other results stay.
        PlanError, StageError: before anything runs, if the plan does not hold together.
    """
    check_plan(plan)
    keys = plan.keys()
    failed: StepFailed | None = None
    lost: set[str] = set()
    for number, step in enumerate(plan.steps):
        key = keys[step.output]
        part = share(progress, number, len(plan.steps))
        part(0.0, step.output)
        if lost.intersection(step.inputs.values()):
            lost.add(step.output)
            continue
        if key in store:
            on_step(StepRun(step.output, key, "cached"))
            continue
        started = time.perf_counter()
        inputs = {argument: store[keys[name]] for argument, name in step.inputs.items()}
        try:
            stage = find_stage(step)
            given = _given(plan, store, step, stage, spread_over)
            store[key] = stage.run(inputs, step.params, part, **given)
        except (ValueError, RuntimeError, ArithmeticError, MemoryError, OSError) as error:
            on_step(StepRun(step.output, key, "failed", time.perf_counter() - started, str(error)))
            if isinstance(error, OSError | MemoryError):
                raise StepFailed(step.output, step.stage, error) from error
            if failed is None:
                failed = StepFailed(step.output, step.stage, error)
                failed.__cause__ = error
            lost.add(step.output)
            continue
        on_step(StepRun(step.output, key, "done", time.perf_counter() - started))
    progress(1.0)
    if failed is not None:
        raise failed
    return keys


def _given(
    plan: Plan, store: MutableMapping[str, Any], step: Step, stage: Stage, spread_over: Spread
) -> dict[str, Replay | Variants]:
    """Return what a stage gets that makes its first input once more, with changes."""
    arguments = inspect.signature(stage.function).parameters
    if "again" in arguments:
        return {"again": Replay(plan, store, step.inputs[stage.inputs[0].name], find_stage)}
    if "variants" in arguments:
        of = step.inputs[stage.inputs[0].name]
        return {"variants": Variants(plan, store, of, find_stage, numbers_of, spread_over)}
    return {}


def numbers_of(task: Task, progress: Progress = silent) -> Outcome:
    """Run the plan of a task; return the numbers of its result, or why it failed."""
    values = dict(task.values)
    try:
        result = values[run_plan(task.plan, values, progress)[task.output]]
    except StepFailed as error:
        return str(error)
    return Measurements(result.numbers, result.findings)
