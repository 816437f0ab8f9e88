"""Every clinical score and formula that can be computed, by name, and what it takes.

Scores of other packages join by the entry point group ``hemodynamics.risk_models``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from hemodynamics import rupture, rupture_slots, rupture_uiats, vessel_flow
from hemodynamics.score import RiskModel, Score
from hemodynamics.score_coefficients import Slot
from workstation.planning import donor_scores, liver_function
from workstation.stage import Parameter, Stage, StageError

GROUP = "hemodynamics.risk_models"

YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""Words for a truth value."""

OWN: tuple[RiskModel, ...] = (
    *rupture.MODELS,
    *rupture_uiats.MODELS,
    *rupture_slots.SLOTS,
    *vessel_flow.MODELS,
    *liver_function.MODELS,
    *donor_scores.MODELS,
)


@dataclass(frozen=True)
class Listed:
    """A score with its inputs; ``problem`` says why a plug-in cannot be used."""

    name: str
    model: RiskModel | None
    problem: str = ""

    @property
    def _stage(self) -> Stage:
        assert self.model is not None
        return Stage("Score", self.model.compute)

    @property
    def inputs(self) -> Mapping[str, Parameter]:
        """What the score takes, by name."""
        return self._stage.parameters if self.model else {}

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``hilum score --json`` lists."""
        if self.model is None:
            return {"name": self.name, "problem": self.problem}
        return {
            "name": self.name,
            "title": self._stage.title,
            "unit": self.model.unit,
            "population": self.model.population,
            "source": self.model.source,
            "inputs": [parameter.to_json() for parameter in self.inputs.values()],
        }


def scores() -> dict[str, Listed]:
    """Return every score by name; a broken plug-in is listed with its problem."""
    found = {model.name: Listed(model.name, model) for model in OWN}
    for entry in entry_points(group=GROUP):
        try:
            found.setdefault(entry.name, Listed(entry.name, entry.load()))
        except Exception as error:  # a plug-in may fail in any way and must not stop the others
            problem = f"{type(error).__name__}: {error}"
            found.setdefault(entry.name, Listed(entry.name, None, problem))
    return found


def compute(
    name: str, given: Mapping[str, str], coefficients: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the record of one score from text values, as ``hilum score --json`` prints it.

    Inputs that are missing are listed, and then there is no value. A model that waits for its
    ``coefficients`` takes the content of their file.

    Raises:
        StageError: for an unknown score or input, or a value that is refused.
        UnusableCoefficients: if the coefficients are refused.
    """
    listed = _with(_found(name), coefficients)
    assert listed.model is not None
    for key in given:
        if key not in listed.inputs:
            raise StageError(f"{name} has no input {key!r}; it has: {', '.join(listed.inputs)}")
    values = {key: _read(listed.inputs[key], text) for key, text in given.items()}
    needed = [p.name for p in listed.inputs.values() if p.required and p.name not in values]
    result = Score(None, "inputs are missing") if needed else listed.model.compute(**values)
    defaults = {p.name: p.default for p in listed.inputs.values() if not p.required}
    return {
        "name": name,
        "value": result.value,
        "unit": listed.model.unit,
        "low": result.low,
        "high": result.high,
        "label": result.label,
        "inputs": {**defaults, **values, **result.details},
        "missing": needed or list(result.missing),
        "source": listed.model.source,
        "population": listed.model.population,
        "findings": [finding.to_json() for finding in result.findings],
    }


def _found(name: str) -> Listed:
    known = scores()
    listed = known.get(name)
    if listed is None:
        raise StageError(f"there is no score {name!r}; there are: {', '.join(known)}")
    if listed.model is None:
        raise StageError(f"the score {name} cannot be used: {listed.problem}")
    return listed


def _with(listed: Listed, coefficients: Mapping[str, Any] | None) -> Listed:
    """Return the score with the coefficients that were given for it."""
    if coefficients is None:
        return listed
    if not isinstance(listed.model, Slot):
        raise StageError(f"the score {listed.name} has its coefficients; it takes no file of them")
    return Listed(listed.name, listed.model.with_coefficients(coefficients))


def _read(parameter: Parameter, text: str) -> Any:
    """Return a value of a parameter from what a person typed.

    Raises:
        StageError: if it is refused.
    """
    kinds = [parameter.schema, *parameter.schema.get("anyOf", ())]
    if any(kind.get("type") == "boolean" for kind in kinds):
        return parameter.check(YES_NO.get(text.strip().lower(), text))
    if parameter.schema.get("type") == "array":
        return parameter.check(_parsed(text if text.strip().startswith("[") else f"[{text}]"))
    if "const" in parameter.schema or "enum" in parameter.schema:
        return parameter.check(text)
    if parameter.schema.get("type") == "string":
        return parameter.check(text)
    return parameter.check(_parsed(text))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
