"""Plan templates: which sources a plan asks for, and the steps it starts with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from types import MappingProxyType
from typing import Any

from workstation.planning.plan import Plan, PlanError, Step

MARKED = "marked"


@dataclass(frozen=True)
class TemplateSource:
    """A source that a template knows.

    Attributes:
        kinds: what it may be: "volume", "labels", "surface" or "record" (of a person).
        modality: of an image that must be of one, such as "CT".
        person: whose it is in a case of several people, such as "donor"; "" for the one patient.
    """

    name: str
    kinds: tuple[str, ...]
    required: bool
    description: str
    modality: str = ""
    person: str = ""

    @property
    def is_image(self) -> bool:
        """Whether it is an image, and nothing else."""
        return self.kinds == ("volume",)

    @property
    def source_name(self) -> str:
        """The name in a plan's sources: a file must not shadow the result it becomes."""
        return self.name if self.is_image else f"{self.name}_file"


@dataclass(frozen=True)
class Alternative:
    """Steps that take the place of others when all sources of ``when`` are given.

    A source that may be of several kinds is named with one behind it, such as "lumen:surface"; a
    label that must hold a voxel with "marked", such as "tumor:marked".
    ``replace`` are the outputs of the steps that go; the new ones stand where the first was.
    """

    when: frozenset[str]
    replace: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Option:
    """Steps that a plan has only if they are asked for, because they cost time.

    Attributes:
        title: what they answer.
        steps: put at the end of the plan.
        like: output of a step to that of another, whose parameters it takes.
        spares: full name of a parameter to the steps that go where it is left empty.
    """

    title: str
    steps: tuple[Step, ...]
    like: Mapping[str, str]
    spares: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Figures:
    """What a report of a plan shows first; everything else stands in its tables.

    Attributes:
        key_numbers: full name of a number to its title, the most important first.
        titles: the titles of further numbers.
        outlined: labels that are outlined on slices, in drawing order.
        looked_at: values through which slices go, the first that is there.
        shown: results that the picture shows, () for all that can be shown.
        aside: what lies in another part of the body: no picture shows it, views only if asked.
    """

    key_numbers: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    outlined: tuple[str, ...] = ()
    looked_at: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


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
    one_of: tuple[str, ...] = ()
    figures: Figures = field(default_factory=Figures)
    options: Mapping[str, Option] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)

    def require_asked(self, settings: Sequence[tuple[str, str, Any]]) -> None:
        """Raise unless ``settings`` (step, parameter, value) hold what a plan cannot begin without.

        Raises:
            PlanError: naming the first that is missing.
        """
        given = {f"{step}.{name}" for step, name, _ in settings}
        for name, what in self.asked.items():
            if name not in given:
                raise PlanError(f"{self.name} needs {what}; give it with --set {name}=VALUE")

    def plan(
        self,
        frame_uid: str,
        source_keys: Mapping[str, str],
        kinds: Mapping[str, str] = MappingProxyType({}),
        empty: Collection[str] = (),
    ) -> Plan:
        """Return a plan for sources given by template name and content key.

        ``kinds`` says of which kind a source is that may be of several; ``empty`` are labels that
        hold no voxel. Of the alternatives for a step, the first whose sources are all given is
        taken, as a whole.

        Raises:
            PlanError: if a required source is missing, a given one is unknown, or not exactly
                one is given where only one can be used.
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
        self._require_one(source_keys)
        given = {*source_keys, *(f"{name}:{kind}" for name, kind in kinds.items())}
        given |= {f"{name}:{MARKED}" for name in source_keys if name not in empty}
        chosen: dict[str, Alternative] = {}
        for alternative in self.alternatives:
            if alternative.when <= given and not chosen.keys() & set(alternative.replace):
                chosen |= dict.fromkeys(alternative.replace, alternative)
        steps: list[Step] = []
        for step in self.steps:
            taken = chosen.get(step.output)
            if taken is None:
                steps.append(step)
            elif step.output == taken.replace[0]:
                steps += taken.steps
        named = {self.sources[name].source_name: key for name, key in source_keys.items()}
        absent = {s.source_name for s in self.sources.values() if s.source_name not in named}
        absent |= {s.output for s in self.steps} - {s.output for s in steps}
        return Plan(frame_uid, named, tuple(_without(s, absent) for s in steps), self.name)

    def asked_to_be_marked(self) -> set[str]:
        """Return the sources of which it matters whether they hold a voxel."""
        needs = {need for alternative in self.alternatives for need in alternative.when}
        return {name for name in self.sources if f"{name}:{MARKED}" in needs}

    def with_options(self, plan: Plan, names: Sequence[str]) -> Plan:
        """Return a plan of this template with the steps of some of its options.

        They do without the sources that were not given, as the other steps do, and without what
        another alternative makes.

        Raises:
            PlanError: if there is no such option.
        """
        others = {s.output for way in self.alternatives for s in way.steps}
        absent = {s.source_name for s in self.sources.values()} - plan.sources.keys()
        absent |= others - {s.output for s in plan.steps}
        for name in dict.fromkeys(names):
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise PlanError(f"{self.name} has no option {name!r}; it has: {known}")
            for step in self.options[name].steps:
                plan = plan.added(_without(step, absent))
        return plan

    def agreed(self, plan: Plan, names: Sequence[str]) -> Plan:
        """Return ``plan`` where steps of options have the parameters of those they are like."""
        for name in dict.fromkeys(names):
            for output, model in self.options[name].like.items():
                step = plan.step(output)
                params = {**plan.step(model).params, **step.params}
                plan = plan.with_step(replace(step, params=params))
        return plan

    def spared(self, plan: Plan, names: Sequence[str]) -> Plan:
        """Return ``plan`` without the steps that its options make needless, if none needs them."""
        for name in dict.fromkeys(names):
            for parameter, gone in self.options[name].spares.items():
                output, _, argument = parameter.partition(".")
                kept = tuple(step for step in plan.steps if step.output not in gone)
                needed = any({*gone}.intersection(step.inputs.values()) for step in kept)
                if not needed and not plan.step(output).params.get(argument):
                    plan = replace(plan, steps=kept)
        return plan

    def first_source(self, kind: str) -> str:
        """Return the source with which alone a plan can begin if it is of ``kind``, else ""."""
        needed = [source for source in self.sources.values() if source.required]
        if not needed:
            needed = [s for s in map(self.sources.get, self.one_of) if s and kind in s.kinds][:1]
        return needed[0].name if len(needed) == 1 and kind in needed[0].kinds else ""

    def _require_one(self, given: Mapping[str, str]) -> None:
        """Raise unless exactly one of the sources is given that stand for each other."""
        both = [name for name in self.one_of if name in given]
        if self.one_of and len(both) != 1:
            wanted = " or ".join(f"--source {name}=PATH" for name in self.one_of)
            raise PlanError(
                f"{self.name} begins with one of {' and '.join(self.one_of)}, and "
                f"{'both are' if both else 'none is'} given; give {wanted}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum templates --json` prints."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "sources": [
                {
                    "name": s.name,
                    "type": " | ".join(s.kinds),
                    "required": s.required,
                    "description": s.description,
                }
                for s in self.sources.values()
            ],
            "one_of": list(self.one_of),
            "steps": [step.to_json() for step in self.steps],
            "results": list(self.results),
            "options": {name: option.title for name, option in self.options.items()},
        }


def _read(record: Mapping[str, Any]) -> Template:
    return Template(
        record["name"],
        record["title"],
        record["description"],
        {name: _source(name, about) for name, about in record["sources"].items()},
        tuple(Step(**step) for step in record["steps"]),
        tuple(
            Alternative(
                frozenset(a["when"]), _several(a["replace"]), tuple(Step(**s) for s in a["steps"])
            )
            for a in record["alternatives"]
        ),
        tuple(record["results"]),
        tuple(record.get("one_of", ())),
        _figures(record.get("figures", {})),
        {name: _option(about) for name, about in record.get("options", {}).items()},
        record.get("asked", {}),
    )


def _without(step: Step, absent: Collection[str]) -> Step:
    """Return a step without inputs that are not there: sources, and what alternatives leave out."""
    kept = {name: source for name, source in step.inputs.items() if source not in absent}
    return step if len(kept) == len(step.inputs) else replace(step, inputs=kept)


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _source(name: str, about: Mapping[str, Any]) -> TemplateSource:
    return TemplateSource(
        name,
        _several(about["kind"]),
        about["required"],
        about["description"],
        about.get("modality", ""),
        about.get("person", ""),
    )


def _option(about: Mapping[str, Any]) -> Option:
    steps = tuple(Step(**step) for step in about["steps"])
    spares = {name: tuple(gone) for name, gone in about.get("spares", {}).items()}
    like = MappingProxyType(dict(about.get("like", {})))
    return Option(about["title"], steps, like, MappingProxyType(spares))


def _figures(record: Mapping[str, Any]) -> Figures:
    return Figures(
        MappingProxyType(dict(record.get("key_numbers", {}))),
        MappingProxyType(dict(record.get("titles", {}))),
        *(tuple(record.get(name, ())) for name in ("outlined", "looked_at", "shown", "aside")),
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
