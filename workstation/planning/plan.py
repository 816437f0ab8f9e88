"""The plan: an immutable list of steps, its content keys and its JSON form."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

NAME = r"[a-z][a-z0-9_]*"
"""What a result may be called: the name becomes part of file and parameter names."""

SCHEMA = 2
"""The version of the plan format that this release writes."""


class PlanError(ValueError):
    """A plan cannot be read or does not hold together; the text says where and what to do."""


def _plain(value: Any) -> Any:
    """Return JSON-like data made of immutable parts, so that equal plans compare equal."""
    if isinstance(value, Mapping):
        return MappingProxyType({str(key): _plain(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value


def to_plain_json(value: Any) -> Any:
    """Return ``value`` made of the types that `json` writes: dict, list and scalars."""
    if isinstance(value, Mapping):
        return {str(key): to_plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_json(item) for item in value]
    return value


@dataclass(frozen=True)
class Step:
    """One call of a stage.

    Attributes:
        stage: the stage's name, such as "segmentation.threshold".
        version: the stage's version; it is raised when equal input would give another result.
        inputs: argument name to the name of a source or of an earlier output.
        params: argument name to a JSON value; what is absent takes the stage's default.
        output: the name of the result.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    stage: str
    output: str
    version: int = 1
    inputs: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _plain(self.inputs))
        object.__setattr__(self, "params", _plain(self.params))

    def key(self, input_keys: Mapping[str, str]) -> str:
        """Return the content key of the result, given the content keys of the inputs."""
        text = json.dumps(
            [self.stage, self.version, to_plain_json(self.params), dict(input_keys)],
            sort_keys=True,
            allow_nan=False,
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "output": self.output,
            "stage": self.stage,
            "version": self.version,
            "inputs": to_plain_json(self.inputs),
            "params": to_plain_json(self.params),
        }


@dataclass(frozen=True)
class Plan:
    """Sources, and the steps that turn them into results.

    Attributes:
        frame_uid: the frame of reference in which every point of every step is given.
        sources: name to sha256 of the source's content (pixels and geometry).
        steps: in the order in which they run.
        template: the template it was started from, "" for none.
        accepted: name of a source to the codes of the repairs that a person accepted for it.
        schema: the version of this format.

    Raises:
        PlanError: for a name used twice or spelt wrongly, or an input that nothing before it
            provides.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    frame_uid: str
    sources: Mapping[str, str]
    steps: tuple[Step, ...] = ()
    template: str = ""
    accepted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", _plain(self.sources))
        object.__setattr__(self, "accepted", _plain(self.accepted))
        known = set(self.sources)
        for name in self.accepted:
            if name not in known:
                raise PlanError(f"a repair was accepted for {name!r}, which is no source")
        for step in self.steps:
            for argument, name in step.inputs.items():
                if name not in known:
                    raise PlanError(
                        f"step {step.output!r} takes its {argument} from {name!r}, "
                        "which no source and no earlier step provides"
                    )
            if not re.fullmatch(NAME, step.output):
                raise PlanError(
                    f"{step.output!r} cannot name a result; use small letters, digits and "
                    "underscores, a letter first"
                )
            if step.output in known:
                raise PlanError(f"the name {step.output!r} is used twice; rename one of them")
            known.add(step.output)

    def keys(self) -> dict[str, str]:
        """Return the content key of every source and every output."""
        keys = dict(self.sources)
        for step in self.steps:
            keys[step.output] = step.key({a: keys[name] for a, name in step.inputs.items()})
        return keys

    def step(self, output: str) -> Step:
        """Return the step that makes ``output``.

        Raises:
            PlanError: if there is none.
        """
        for step in self.steps:
            if step.output == output:
                return step
        known = ", ".join(step.output for step in self.steps) or "none"
        raise PlanError(f"the plan has no step {output!r}; its steps are: {known}")

    def with_params(self, output: str, **params: Any) -> Plan:
        """Return this plan with some parameters of one step changed; None removes one."""
        old = self.step(output)
        merged = {**old.params, **params}
        kept = {name: value for name, value in merged.items() if value is not None}
        return self.with_step(replace(old, params=kept))

    def with_step(self, new: Step) -> Plan:
        """Return this plan with the step of the same output replaced."""
        self.step(new.output)
        steps = (new if step.output == new.output else step for step in self.steps)
        return replace(self, steps=tuple(steps))

    def with_sources(self, **sources: str) -> Plan:
        """Return this plan with sources added or replaced by content key.

        What was accepted for a source that is replaced is forgotten.
        """
        kept = {name: codes for name, codes in self.accepted.items() if name not in sources}
        return replace(self, sources={**self.sources, **sources}, accepted=kept)

    def downstream(self, name: str) -> set[str]:
        """Return the outputs that depend on ``name``, directly or not."""
        reached = {name}
        for step in self.steps:
            if reached.intersection(step.inputs.values()):
                reached.add(step.output)
        return reached - {name}

    def only(self, *outputs: str) -> Plan:
        """Return the part of this plan that ``outputs`` need."""
        wanted = set(outputs)
        kept: list[Step] = []
        for step in reversed(self.steps):
            if step.output in wanted:
                kept.append(step)
                wanted.update(step.inputs.values())
        return replace(self, steps=tuple(reversed(kept)))

    def followed(self, output: str, argument: str, step: Step) -> Plan:
        """Return this plan with ``step`` put behind the step that makes ``output``.

        The earlier step's result is renamed ``OUTPUT_proposal`` and becomes ``argument`` of
        ``step``, which makes ``output`` from it; everything downstream uses the new result.
        """
        first = self.step(output)
        taken = {*self.sources, *(s.output for s in self.steps)}
        name = f"{output}_proposal"
        while name in taken:
            name += "_"
        second = replace(step, output=output, inputs={**step.inputs, argument: name})
        steps: list[Step] = []
        for old in self.steps:
            steps += [replace(old, output=name), second] if old is first else [old]
        return replace(self, steps=tuple(steps))

    def added(self, step: Step) -> Plan:
        """Return this plan with ``step`` put at its end."""
        return replace(self, steps=(*self.steps, step))

    def without(self, output: str) -> Plan:
        """Return this plan without the step that makes ``output``; reverses `followed`.

        Raises:
            PlanError: if other steps need the result, and no earlier version of it is there.
        """
        gone = self.step(output)
        rest = tuple(step for step in self.steps if step is not gone)
        earlier = [n for n in gone.inputs.values() if n.startswith(f"{output}_proposal")]
        if not earlier:
            users = [step.output for step in rest if output in step.inputs.values()]
            if users:
                raise PlanError(
                    f"{output!r} is used by {', '.join(users)}; remove those steps first"
                )
            return replace(self, steps=rest)
        name = earlier[0]
        renamed = (
            replace(
                step,
                output=output if step.output == name else step.output,
                inputs={a: output if n == name else n for a, n in step.inputs.items()},
            )
            for step in rest
        )
        return replace(self, steps=tuple(renamed))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `read_plan` reverses it."""
        return {
            "schema": self.schema,
            "template": self.template,
            "frame_uid": self.frame_uid,
            "sources": to_plain_json(self.sources),
            "accepted": to_plain_json(self.accepted),
            "steps": [step.to_json() for step in self.steps],
        }

    def digest(self) -> str:
        """Return the sha256 of the canonical JSON form."""
        text = json.dumps(self.to_json(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _from_1(record: dict[str, Any]) -> dict[str, Any]:
    """No repair could be accepted yet."""
    return record | {"schema": 2, "accepted": {}}


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
"""Schema n to the function that turns its JSON record into one of schema n + 1."""

_ADAPTER = TypeAdapter(Plan)


def read_plan(text: str | bytes, where: str = "the plan") -> Plan:
    """Return the plan that JSON ``text`` holds, migrated to the present schema.

    Raises:
        PlanError: if it is not a plan, comes from a newer release, or does not hold together.
    """
    try:
        record = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise PlanError(f"{where} is not readable JSON ({error})") from error
    if not isinstance(record, dict) or not isinstance(record.get("schema"), int):
        raise PlanError(f"{where} is not a Hilum plan: it has no schema number")
    if record["schema"] > SCHEMA:
        raise PlanError(
            f"{where} was written by a newer Hilum (schema {record['schema']}; this one reads up "
            f"to {SCHEMA}); update Hilum to open it"
        )
    while record["schema"] < SCHEMA:
        migrate = MIGRATIONS.get(record["schema"])
        if migrate is None:
            raise PlanError(f"{where} has the unknown schema {record['schema']}")
        record = migrate(record)
    try:
        return _ADAPTER.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        place = ".".join(str(part) for part in first["loc"])
        detail = str(cause) if isinstance(cause, PlanError) else f"{place}: {first['msg']}"
        raise PlanError(f"{where} cannot be used: {detail}") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that a plan may hold")
