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
from segmentation.volume import ImageGeometry, LabelMap, Volume
from workstation.planning.plan import Plan, Step

KEPT_GROUP = "Segment"
REPEATED = ("LabelMap", "Volume")
"""Kinds of results that are made anew; cuts, transforms and the like stay as they are."""


@dataclass(frozen=True)
class Replay:
    """The steps that make ``output``, to be run again under changes.

    Every repeat of an outline is a result like any other: it is kept in ``store`` under a key
    made of all it depends on, so work that was stopped goes on where it was, and labels that
    share steps share their repeats. Parts cut from it are quick and not kept. ``find`` returns
    the stage that a step calls.
    """

    plan: Plan
    store: MutableMapping[str, Any]
    output: str
    find: Callable[[Step], Any]

    def __call__(self, change: Change, progress: Progress = silent) -> LabelMap:
        """Return the label as it comes out under ``change``."""
        keys, steps = self.plan.keys(), self.plan.only(self.output).steps
        images = {n for s in steps for n in s.inputs.values() if self._is_image(n, keys)}
        grid = next((self.store[keys[name]].geometry for name in sorted(images)), None)
        changed, brief = set(images), dict[str, Any]()  # ``brief`` holds what is not kept

        def value_of(name: str) -> Any:
            if name in images and name not in brief:
                brief[name] = change.image(self.store[self.plan.sources[name]], name)
            return brief[name] if name in brief else self.store[keys[name]]

        keys |= {name: _key(change, keys[name]) for name in images}
        for number, step in enumerate(steps):
            stage = self.find(step)
            varied = self._varied(change, step, stage, grid)
            touched = varied != step or not changed.isdisjoint(step.inputs.values())
            if stage.output_kind not in REPEATED or not touched:
                continue
            key = _key(change, varied.key({a: keys[name] for a, name in step.inputs.items()}))
            if key not in self.store:
                inputs = {a: value_of(name) for a, name in step.inputs.items()}
                result = _run(change, varied, stage, inputs, share(progress, number, len(steps)))
                if stage.group == KEPT_GROUP:
                    self.store[key] = result
                else:
                    brief[step.output] = result
            keys[step.output] = key
            changed.add(step.output)
        found: LabelMap = value_of(self.output)
        return found

    def _is_image(self, name: str, keys: Mapping[str, str]) -> bool:
        return name in self.plan.sources and isinstance(self.store[keys[name]], Volume)

    def _varied(self, change: Change, step: Step, stage: Any, grid: ImageGeometry | None) -> Step:
        """Return ``step`` with thresholds and marked points varied as far as its limits go."""
        params = dict(step.params)
        for name, parameter in stage.parameters.items():
            value = params.get(name, parameter.default)
            varied = change.parameter(name, value, step.output, grid)
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
