"""Plan templates: which sources a plan asks for, and the steps it starts with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from workstation.planning.plan import Plan, PlanError, Step


@dataclass(frozen=True)
class TemplateSource:
    """A source that a template knows: ``kind`` is "volume", "labels" or "surface"."""

    name: str
    kind: str
    required: bool
    description: str

    @property
    def source_name(self) -> str:
        """The name in a plan's sources: a file must not shadow the result it becomes."""
        return self.name if self.kind == "volume" else f"{self.name}_file"


@dataclass(frozen=True)
class Alternative:
    """Steps that take the place of the step ``replace`` when all sources of ``when`` are given."""

    when: frozenset[str]
    replace: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Template:
    """A starting point for plans."""

    name: str
    title: str
    description: str
    sources: Mapping[str, TemplateSource]
    steps: tuple[Step, ...]
    alternatives: tuple[Alternative, ...]
    results: tuple[str, ...]

    def plan(self, frame_uid: str, source_keys: Mapping[str, str]) -> Plan:
        """Return a plan for sources given by template name and content key.

        Of the alternatives for a step, the first whose sources are all given is taken.

        Raises:
            PlanError: if a required source is missing or a given one is unknown.
        """
        unknown = sorted(set(source_keys) - set(self.sources))
        if unknown:
            known = ", ".join(self.sources)
            raise PlanError(f"{self.name} knows no source {unknown[0]!r}; it takes: {known}")
        missing = [
            s.name for s in self.sources.values() if s.required and s.name not in source_keys
        ]
        if missing:
            raise PlanError(
                f"{self.name} needs the source {missing[0]!r}; give it with "
                f"--source {missing[0]}=PATH"
            )
        chosen: dict[str, Alternative] = {}
        for alternative in self.alternatives:
            if alternative.when <= set(source_keys):
                chosen.setdefault(alternative.replace, alternative)
        steps: list[Step] = []
        for step in self.steps:
            steps += chosen[step.output].steps if step.output in chosen else (step,)
        named = {self.sources[name].source_name: key for name, key in source_keys.items()}
        return Plan(frame_uid, named, tuple(steps), self.name)

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum templates --json` prints."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "sources": [
                {
                    "name": s.name,
                    "type": s.kind,
                    "required": s.required,
                    "description": s.description,
                }
                for s in self.sources.values()
            ],
            "steps": [step.to_json() for step in self.steps],
            "results": list(self.results),
        }


def _read(record: Mapping[str, Any]) -> Template:
    return Template(
        record["name"],
        record["title"],
        record["description"],
        {name: TemplateSource(name, **about) for name, about in record["sources"].items()},
        tuple(Step(**step) for step in record["steps"]),
        tuple(
            Alternative(frozenset(a["when"]), a["replace"], tuple(Step(**s) for s in a["steps"]))
            for a in record["alternatives"]
        ),
        tuple(record["results"]),
    )


def templates() -> dict[str, Template]:
    """Return the templates that ship, by name."""
    folder = resources.files("workstation.planning") / "templates"
    found = [
        _read(json.loads(entry.read_text("utf-8")))
        for entry in folder.iterdir()
        if entry.name.endswith(".json")
    ]
    return {template.name: template for template in sorted(found, key=lambda t: t.name)}


def find_template(name: str) -> Template:
    """Return the template called ``name``.

    Raises:
        PlanError: if there is none.
    """
    known = templates()
    if name not in known:
        raise PlanError(f"there is no template {name!r}; the templates are: {', '.join(known)}")
    return known[name]
