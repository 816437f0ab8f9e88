"""Makes a label of a plan once more, with a small change, for the stage that measures doubt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from segmentation.contract import Progress, share, silent
from segmentation.doubt import Change
from segmentation.operations import with_volume
from segmentation.volume import LabelMap, Volume
from workstation.planning.plan import Plan, Step

REPEATED = ("LabelMap", "Volume")
"""Kinds of results that are made anew; cuts, transforms and the like stay as they are."""


@dataclass(frozen=True)
class Replay:
    """The steps that make ``output``, to be run again under changes.

    Every repeat is a result like any other: it is kept in ``store`` under a key made of all it
    depends on, so work that was stopped goes on where it was, and labels that share steps share
    their repeats. ``find`` returns the stage that a step calls.
    """

    plan: Plan
    store: MutableMapping[str, Any]
    output: str
    find: Callable[[Step], Any]

    def __call__(self, change: Change, progress: Progress = silent) -> LabelMap:
        """Return the label as it comes out under ``change``."""
        keys, part = self.plan.keys(), self.plan.only(self.output)
        used = {name for step in part.steps for name in step.inputs.values()}
        images: dict[str, Volume] = {}
        for name in sorted(used & set(self.plan.sources)):
            value = self.store[keys[name]]
            if isinstance(value, Volume):
                images[name] = change.image(value, name)
                keys[name] = _key(change, keys[name])
        repeated: set[str] = set()
        for number, step in enumerate(part.steps):
            stage = self.find(step)
            varied = self._varied(change, step, stage)
            touched = not repeated.union(images).isdisjoint(step.inputs.values())
            if stage.output_kind not in REPEATED or not (touched or varied != step):
                continue
            names = dict(step.inputs)
            key = _key(change, varied.key({a: keys[name] for a, name in names.items()}))
            if key not in self.store:
                inputs = {a: images.get(n) or self.store[keys[n]] for a, n in names.items()}
                work = share(progress, number, len(part.steps))
                self.store[key] = _run(change, varied, stage, inputs, work)
            keys[step.output] = key
            repeated.add(step.output)
        value = self.store[keys[self.output]]
        assert isinstance(value, LabelMap)
        return value

    def _varied(self, change: Change, step: Step, stage: Any) -> Step:
        """Return ``step`` with thresholds and marked points varied as far as its limits go."""
        params = dict(step.params)
        for name, parameter in stage.parameters.items():
            value = params.get(name, parameter.default)
            varied = change.parameter(name, value, step.output)
            if varied != value:
                params[name] = _limited(varied, parameter.schema)
        return replace(step, params=params)


def _limited(value: Any, schema: Mapping[str, Any]) -> Any:
    if not isinstance(value, float):
        return value
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    return min(max(value, low), high)


def _key(change: Change, key: str) -> str:
    text = json.dumps([change.to_json(), key], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _run(
    change: Change, step: Step, stage: Any, inputs: Mapping[str, Any], progress: Progress
) -> Any:
    """Run ``step``; where nothing in it marks a place, with the image moved and the label back."""
    if not _movable(step, inputs):
        return stage.run(inputs, step.params, progress)
    moved = {a: replace(value, array=change.moved(value.array)) for a, value in inputs.items()}
    result = stage.run(moved, step.params, progress)
    array = change.moved(result.array, back=True)
    if isinstance(result, LabelMap):  # moved out and in again, it has another volume
        return with_volume(replace(result, numbers=()), array)
    return replace(result, array=array)


def _movable(step: Step, inputs: Mapping[str, Any]) -> bool:
    """Tell whether all that the step works on are voxels of one grid, and no place is marked."""
    values = list(inputs.values())
    if not values or not all(isinstance(value, Volume | LabelMap) for value in values):
        return False
    if not all(value.geometry.same_grid(values[0].geometry) for value in values):
        return False
    return not any(isinstance(value, tuple) and value for value in step.params.values())
