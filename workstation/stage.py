"""What a stage is: an ordinary function whose signature says all that its users need.

The signature alone drives the command line, the generated form and the validation of plans.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from segmentation import operations
from segmentation.contract import Progress
from segmentation.volume import LabelMap
from workstation.planning.plan import to_plain_json

UNITS = {
    "mm": "mm",
    "mm2": "mm²",
    "hu": "HU",
    "ml": "mL",
    "kg": "kg",
    "cm": "cm",
    "years": "years",
    "percent": "%",
    "degrees": "°",
    "s": "s",
    "mmhg": "mmHg",
    "l_min": "L/min",
    "ml_s": "mL/s",
    "pa_s": "Pa·s",
    "pa": "Pa",
    "hours": "h",
    "mg_dl": "mg/dL",
    "g_dl": "g/dL",
    "mmol_l": "mmol/L",
    "per_min": "1/min",
}
"""Ending of a parameter's name to its unit."""

GIVEN = ("progress", "again", "variants")
"""Arguments that whoever runs a stage provides: no parameters of a plan."""

VECTOR_ERRORS = ("tuple_type", "missing", "too_long")
"""How pydantic names a list that is none, or has the wrong length."""


class StageError(ValueError):
    """A stage was asked for something that it cannot take."""


@dataclass(frozen=True)
class Input:
    """A value that a stage takes."""

    name: str
    kind: str
    optional: bool


@dataclass(frozen=True)
class Parameter:
    """A JSON parameter of a stage; ``schema`` is its JSON schema with limits and choices."""

    name: str
    annotation: Any
    default: Any
    required: bool
    unit: str
    description: str

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What checks and converts a value."""
        return TypeAdapter(self.annotation, config=ConfigDict(allow_inf_nan=False))

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the parameter: type, limits, choices."""
        return {k: v for k, v in self.adapter.json_schema().items() if k != "title"}

    def check(self, value: Any) -> Any:
        """Return ``value``, plain JSON, converted to the type of the signature.

        Nothing is guessed: text is no number, and true is none either.

        Raises:
            StageError: saying what is wrong with it.
        """
        text = json.dumps(to_plain_json(value))
        try:
            return self.adapter.validate_json(text, strict=True)
        except ValidationError as error:
            details = error.errors()
            vector = any(d["type"] in VECTOR_ERRORS for d in details)
            reason = "numbers in brackets are expected, such as [1, 0, 0]" if vector else ""
            reason = reason or str(details[0]["msg"]).replace("Input should be", "it must be")
            raise StageError(f"the value {text} of {self.name} is refused: {reason}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum stages --json` prints."""
        record: dict[str, Any] = {"name": self.name, "required": self.required}
        if not self.required:
            record["default"] = to_plain_json(self.default)
        return record | {
            "unit": self.unit,
            "description": self.description,
            "schema": self.schema,
        }


@dataclass(frozen=True)
class Stage:
    """One entry of the table: a function, its version and its group in the workflow."""

    group: str
    function: Callable[..., Any]
    version: int = 1

    @property
    def name(self) -> str:
        """The stage's name in plans: package (or planning) and function."""
        module = self.function.__module__.split(".")
        return f"{'planning' if 'planning' in module else module[0]}.{self.function.__name__}"

    @property
    def title(self) -> str:
        """The first line of the documentation."""
        return (inspect.getdoc(self.function) or self.name).split("\n", 1)[0].rstrip(".")

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.function, include_extras=True)

    @cached_property
    def output_kind(self) -> str:
        """The name of the type of the result."""
        return str(self._hints["return"].__name__)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The values that the stage takes, in the order of its signature."""
        found = []
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY or parameter.name == "progress":
                continue
            hint = self._hints[parameter.name]
            union = typing.get_origin(hint) in (typing.Union, types.UnionType)
            kinds = [t for t in typing.get_args(hint) if t is not type(None)] if union else [hint]
            optional = parameter.default is not inspect.Parameter.empty
            found.append(Input(parameter.name, " | ".join(k.__name__ for k in kinds), optional))
        return tuple(found)

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """The JSON parameters by name, in the order of the signature."""
        help_texts = _argument_help(inspect.getdoc(self.function) or "")
        found = {}
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or parameter.name in GIVEN:
                continue
            required = parameter.default is inspect.Parameter.empty
            found[parameter.name] = Parameter(
                parameter.name,
                self._hints[parameter.name],
                None if required else parameter.default,
                required,
                _unit_of(parameter.name),
                help_texts.get(parameter.name, ""),
            )
        return found

    def check_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``params`` converted to the types of the signature.

        Raises:
            StageError: naming the parameter, what is wrong with it and what is allowed.
        """
        checked = {}
        for name, value in params.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise StageError(f"{self.name} has no parameter {name!r}; it has: {known}")
            checked[name] = self.parameters[name].check(value)
        missing = [p.name for p in self.parameters.values() if p.required and p.name not in checked]
        if missing:
            raise StageError(f"{self.name} needs a value for: {', '.join(missing)}")
        return checked

    def run(
        self, inputs: Mapping[str, Any], params: Mapping[str, Any], progress: Progress, **given: Any
    ) -> Any:
        """Call the function; a label map gets its volume as a number.

        ``given`` is what the runner of a plan provides besides.
        """
        result = self.function(**inputs, **self.check_params(params), **given, progress=progress)
        if isinstance(result, LabelMap) and not any(n.quantity == "volume" for n in result.numbers):
            return operations.with_volume(result, result.array)
        return result

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum stages --json` prints."""
        return {
            "name": self.name,
            "version": self.version,
            "group": self.group,
            "title": self.title,
            "inputs": [
                {"name": i.name, "type": i.kind, "optional": i.optional} for i in self.inputs
            ],
            "parameters": [p.to_json() for p in self.parameters.values()],
            "output": self.output_kind,
        }


def _unit_of(name: str) -> str:
    for ending, unit in sorted(UNITS.items(), key=lambda item: -len(item[0])):
        if name.endswith("_" + ending):
            return unit
    return ""


def _argument_help(text: str) -> dict[str, str]:
    """Return argument name to description, from the ``Args:`` section of a docstring."""
    section = re.search(r"^Args:\n(.*?)(?:\n\S|\Z)", text, re.S | re.M)
    if section is None:
        return {}
    entries = re.findall(
        r"^ {4}(\w+): (.*?)(?=^ {4}\w+(?:, \w+)*: |\Z)", section.group(1), re.S | re.M
    )
    return {name: " ".join(body.split()) for name, body in entries}
