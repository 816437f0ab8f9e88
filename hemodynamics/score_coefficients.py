"""Coefficients of a logistic model that are given as a file, and the model's value from them.

The file is JSON and holds numbers only; nothing in it is ever evaluated::

    {"model": "xiang", "intercept": -1.2,
     "coefficients": {
       "size_ratio": {"coefficient": 0.7, "unit": "", "low": 0.5, "high": 8},
       "site": {"coefficient": {"mca": 0.4, "acom": 0.9}}},
     "source": "authors, year, doi", "population": "whom it was derived from"}

The log odds are intercept + sum of coefficient x (input - centre) / scale; an input that is a
yes counts 1, and one that is a word has a coefficient for each word. ``low`` and ``high`` bound
the inputs that the model was derived from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from scipy.special import expit

from hemodynamics.score import Published, Score, outside
from segmentation.contract import Finding, Severity

NEEDS_COEFFICIENTS = "needs coefficients"
"""The label of a model whose coefficients were not given."""

HELD = (
    "the file holds model, intercept, coefficients, source, population and perhaps a note, each "
    "coefficient its input's name with coefficient and perhaps unit, centre, scale, low and high"
)
EXTRA: ConfigDict = ConfigDict(extra="forbid", allow_inf_nan=False)
UNITS = {"_pa": "Pa", "_mm": "mm", "_mm2": "mm2", "_mm3": "mm3", "_years": "years", "_m_s": "m/s"}
"""Ending of an input's name to its unit; others have none."""


class UnusableCoefficients(ValueError):
    """A file of coefficients is refused; the text says what is wrong with it."""


@dataclass(frozen=True)
class Term:
    """What one input adds to the log odds.

    Attributes:
        coefficient: for one unit of (input - centre) / scale, or one for each word.
        unit: the unit of input, centre and bounds; it must be that of the model's input.
        centre, scale: what the authors subtracted and divided by.
        low, high: bounds of the input in the population, where they are published.
    """

    __pydantic_config__: ClassVar[ConfigDict] = EXTRA

    coefficient: float | dict[str, float]
    unit: str = ""
    centre: float = 0.0
    scale: float = 1.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Coefficients:
    """What a file of coefficients holds; ``source`` says where they are published."""

    __pydantic_config__: ClassVar[ConfigDict] = EXTRA

    model: str
    intercept: float
    coefficients: dict[str, Term]
    source: str
    population: str
    note: str = ""


@dataclass(frozen=True)
class Slot:
    """A `RiskModel` whose inputs are known and whose coefficients a person must give.

    Attributes:
        declare: takes the inputs, all of them optional, and gives the score without a value.
    """

    name: str
    declare: Callable[..., Score]
    population: str
    source: str
    unit: str = "%"

    @property
    def compute(self) -> Callable[..., Score]:
        """The function without coefficients: it shows its inputs and has no value."""
        return self.declare

    def with_coefficients(self, record: Any) -> Published:
        """Return the model that computes with the coefficients of a file's content.

        Raises:
            UnusableCoefficients: saying what is wrong with them.
        """
        found = _checked(self, record)

        @wraps(self.declare)
        def compute(**given: Any) -> Score:
            return _logistic(found, given)

        source = f"coefficients: {found.source}; model: {self.source}"
        return Published(self.name, compute, self.unit, found.population, source)


def read_coefficients(text: str | bytes) -> dict[str, Any]:
    """Return the content of a file of coefficients; a model checks it when it takes it.

    Raises:
        UnusableCoefficients: if it is no JSON object.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise UnusableCoefficients(f"the coefficients are no JSON: {error}; {HELD}") from error
    if not isinstance(record, dict):
        raise UnusableCoefficients(f"the coefficients must be one JSON object; {HELD}")
    return record


def declared(given: Mapping[str, Any]) -> Score:
    """Return the score of a model whose coefficients were not given."""
    missing = tuple(name for name, value in given.items() if value is None)
    text = "no coefficients of this model are given, so it has no value"
    remedy = "Give a file of coefficients with its source"
    finding = Finding(Severity.INFO, "needs_coefficients", text, remedy=remedy)
    return Score(None, NEEDS_COEFFICIENTS, findings=(finding,), missing=missing)


def unit_of(name: str) -> str:
    """Return the unit of an input by the ending of its name, "" for none."""
    endings = sorted(UNITS, key=len, reverse=True)
    return next((UNITS[ending] for ending in endings if name.endswith(ending)), "")


def _logistic(found: Coefficients, given: Mapping[str, Any]) -> Score:
    missing = tuple(name for name in found.coefficients if given.get(name) is None)
    if missing:
        return Score(None, "inputs are missing", missing=missing)
    parts = {name: _part(term, given[name]) for name, term in found.coefficients.items()}
    log_odds = found.intercept + sum(parts.values())
    percent = 100.0 * float(expit(log_odds))
    beyond = [
        outside(f"{name.replace('_', ' ')} is {given[name]:g}, studied were {_range(term)}")
        for name, term in found.coefficients.items()
        if _is_beyond(term, given[name])
    ]
    return Score(
        percent,
        f"probability {percent:.3g} %",
        details={"log_odds": log_odds, "contributions": parts},
        findings=tuple(beyond),
    )


def _part(term: Term, value: Any) -> float:
    if isinstance(term.coefficient, dict):
        if value not in term.coefficient:
            known = ", ".join(term.coefficient)
            raise UnusableCoefficients(f"the file has no coefficient for {value!r}, only: {known}")
        return term.coefficient[value]
    return term.coefficient * (float(value) - term.centre) / term.scale


def _is_beyond(term: Term, value: Any) -> bool:
    if isinstance(term.coefficient, dict):
        return False
    below = term.low is not None and float(value) < term.low
    return below or (term.high is not None and float(value) > term.high)


def _range(term: Term) -> str:
    ends = ["" if end is None else f"{end:g}" for end in (term.low, term.high)]
    if not ends[0]:
        return f"up to {ends[1]} {term.unit}".strip()
    return f"{ends[0]} to {ends[1]} {term.unit}".strip() if ends[1] else f"{ends[0]} and more"


# ---------------------------------------------------------------- what a file may hold

_FILE = TypeAdapter(Coefficients)


def _checked(slot: Slot, record: Any) -> Coefficients:
    model = record.get("model", slot.name) if isinstance(record, Mapping) else slot.name
    if model != slot.name:
        raise UnusableCoefficients(
            f"the coefficients are those of the model {model!r}, not of {slot.name!r}"
        )
    try:
        found = _FILE.validate_json(json.dumps(record), strict=True)
    except ValidationError as error:
        wrong = ", ".join(dict.fromkeys(_told(one["loc"], one) for one in error.errors()))
        raise UnusableCoefficients(f"coefficients of {slot.name}: {wrong}; {HELD}") from error
    for name, text in (("source", found.source), ("population", found.population)):
        if len(text.strip()) < 8:
            raise UnusableCoefficients(
                f"coefficients of {slot.name}: the {name} must say where they come from; a model "
                "whose origin is not stated stays switched off"
            )
    if not found.coefficients:
        raise UnusableCoefficients(f"coefficients of {slot.name}: there is none")
    for name, term in found.coefficients.items():
        problem = _problem(slot, name, term)
        if problem:
            raise UnusableCoefficients(f"coefficients of {slot.name}: {problem}")
    return found


def _told(place: Sequence[int | str], error: Mapping[str, Any]) -> str:
    """Return what is wrong at a place of a file."""
    where = ".".join(str(part) for part in place if part not in ("float", "dict[str,float]"))
    words = {"missing": "is missing", "unexpected_keyword_argument": "is not known"}
    return f"{where} {words.get(error['type'], 'is refused: ' + error['msg'].lower())}"


def _problem(slot: Slot, name: str, term: Term) -> str:
    """Return what is wrong with one input of a file, "" if nothing is."""
    known = signature(slot.declare).parameters
    if name not in known:
        return f"the model has no input {name!r}; it has: {', '.join(known)}"
    words = _words(slot.declare, name)
    if words and not isinstance(term.coefficient, dict):
        return f"{name} is one of {', '.join(words)}; give a coefficient for each of them"
    if isinstance(term.coefficient, dict):
        wrong = [word for word in term.coefficient if word not in words]
        if not words or not term.coefficient:
            return f"{name} is a number; give one coefficient"
        return f"{name} knows no {wrong[0]!r}; it knows: {', '.join(words)}" if wrong else ""
    if term.unit != unit_of(name):
        wanted = unit_of(name) or "no unit"
        return (
            f"{name} is in {wanted}, not in {term.unit or 'no unit'}; convert the coefficient, "
            "or set scale"
        )
    if term.scale == 0:
        return f"{name}: the scale must not be 0"
    if term.low is not None and term.high is not None and term.low >= term.high:
        return f"{name}: low must lie below high"
    return ""


def _words(declare: Callable[..., Score], name: str) -> tuple[str, ...]:
    """Return the words that an input may be, none for a number or a yes or no."""
    hint = get_type_hints(declare)[name]
    for part in (hint, *get_args(hint)):
        if get_origin(part) is Literal:
            return tuple(get_args(part))
    return ()
