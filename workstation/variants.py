"""Makes the numbers of a result once more under other parameters, here or on other machines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from segmentation.contract import Measurements, Progress, share, silent
from workstation.planning.plan import Plan, PlanError, Step


@dataclass(frozen=True)
class Task:
    """One plan to be run for the numbers of ``output``: all that another machine needs.

    The plan's sources are values that are there already, whether results or images; ``values``
    holds them by content key.
    """

    plan: Plan
    values: Mapping[str, Any]
    output: str


Outcome = Measurements | str
"""The numbers of a task, or why it failed."""

Work = Callable[[Task, Progress], Outcome]


class Spread(Protocol):
    """Does work on tasks and tells of each outcome as it comes in."""

    def __call__(
        self,
        work: Work,
        tasks: Sequence[Task],
        found: Callable[[int, Outcome], None],
        progress: Progress,
    ) -> None:
        """Call ``found(number, outcome)`` once for each task."""


def one_by_one(
    work: Work, tasks: Sequence[Task], found: Callable[[int, Outcome], None], progress: Progress
) -> None:
    """Do the tasks here, one after the other."""
    for number, task in enumerate(tasks):
        found(number, work(task, share(progress, number, len(tasks))))


@dataclass(frozen=True)
class Variants:
    """The steps that make ``output``, to be run under other parameters.

    Outcomes are kept in ``store``, so work that was stopped goes on where it was; the results on
    the way to them are not. ``find`` returns the stage that a step calls.
    """

    plan: Plan
    store: MutableMapping[str, Any]
    output: str
    find: Callable[[Step], Any]
    work: Work
    spread: Spread = one_by_one

    def __call__(
        self, settings: Sequence[Mapping[str, float]], progress: Progress = silent
    ) -> list[Outcome]:
        """Return the numbers under each setting of STEP.PARAM to value, in their order.

        Raises:
            PlanError: for a parameter that no step before the result has.
        """
        plans = [self._varied(setting) for setting in settings]
        keys = [_key(plan.keys()[self.output]) for plan in plans]
        missing = [n for n, key in enumerate(keys) if key not in self.store]
        failed: dict[int, str] = {}

        def keep(number: int, outcome: Outcome) -> None:
            if isinstance(outcome, str):
                failed[missing[number]] = outcome
            else:
                self.store[keys[missing[number]]] = outcome

        self.spread(self.work, [self._task(plans[n]) for n in missing], keep, progress)
        return [failed[n] if n in failed else self.store[key] for n, key in enumerate(keys)]

    def _varied(self, setting: Mapping[str, float]) -> Plan:
        plan = self.plan.only(self.output)
        for name, value in setting.items():
            output, _, parameter = name.partition(".")
            known = self.find(plan.step(output)).parameters
            if parameter not in known:
                raise PlanError(f"{output} has no parameter {parameter!r}; it has: {list(known)}")
            plan = plan.with_params(output, **{parameter: known[parameter].check(value)})
        return plan

    def _task(self, plan: Plan) -> Task:
        """Return what must be computed: the steps whose results are not there yet."""
        keys, steps, wanted = plan.keys(), list[Step](), {self.output}
        for step in reversed(plan.steps):
            if step.output in wanted and keys[step.output] not in self.store:
                steps.append(step)
                wanted.update(step.inputs.values())
        made = {step.output for step in steps}
        there = {name: keys[name] for name in sorted(wanted - made)}
        values = {key: self.store[key] for key in there.values()}
        return Task(Plan(plan.frame_uid, there, tuple(reversed(steps))), values, self.output)


def _key(key: str) -> str:
    return hashlib.sha256(f"numbers of {key}".encode()).hexdigest()
