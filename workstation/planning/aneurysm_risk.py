"""Every risk score of an intracranial aneurysm beside the others, from shape, flow and patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import Parameter, getdoc, signature
from types import MappingProxyType
from typing import Any, Literal

from hemodynamics import rupture, rupture_slots, rupture_uiats
from hemodynamics.flow_result import FlowResult
from hemodynamics.score import Published, Score, maybe_outside, outside
from hemodynamics.score_coefficients import NEEDS_COEFFICIENTS, Slot, UnusableCoefficients
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent
from segmentation.measured import Measured
from workstation.planning.aneurysm_patient import Fact, PatientFacts

AORTIC = "aortic_diameter"
NAMES = {
    "phases": "PHASES",
    "ucas": "UCAS Japan",
    "elapss": "ELAPSS",
    "uiats": "UIATS",
    "suzuki": "Suzuki 2020",
    "xiang": "Xiang 2011 (RRS)",
    "detmer": "Detmer 2018",
}
"""Models in the order of the sheet, as people call them."""

WITH_FLOW = tuple(slot.name for slot in rupture_slots.SLOTS)
"""Models that numbers of the flow enter."""

QUANTITIES = {
    "size_mm": "size",
    "width_mm": "width_maximum",
    "aspect_ratio": "aspect_ratio",
    "size_ratio": "size_ratio",
    "bottleneck_factor": "bottleneck_factor",
    "nonsphericity_index": "nonsphericity_index",
    "undulation_index": "undulation_index",
    "ellipticity_index": "ellipticity_index",
    "pressure_loss_coefficient": "pressure_loss_coefficient",
    "wss_pa": "wss.dome_mean",
    "wss_maximum_pa": "wss.dome_maximum",
    "wss_normalised": "wss.dome_normalised",
    "osi": "osi.dome_mean",
    "osi_maximum": "osi.dome_maximum",
    "low_shear_share": "wss.low_area",
    "inflow_concentration": "inflow.concentration",
    "shear_concentration": "wss.concentration",
    "kinetic_energy_ratio": "kinetic_energy_ratio",
}
"""Input of a model to the quantity of shape or flow that it is."""

PERCENT = 0.01
"""What turns a share in percent into one."""

POSTERIOR = ("basilar_tip", "basilar", "vertebral", "pca")
_POINTS_SITES = {
    **{site: site for site in ("ica", "pcom", "aca", "acom", "mca")},
    **dict.fromkeys(POSTERIOR, "posterior"),
}
SITES: Mapping[str, Mapping[str, str]] = {
    "phases": _POINTS_SITES,
    "elapss": _POINTS_SITES,
    "ucas": {
        **{site: site for site in ("ica", "aca", "acom", "mca")},
        "pcom": "ic_pcom",
        "basilar_tip": "ba",
        "basilar": "ba",
        "vertebral": "va",
    },
    "uiats": {
        **dict.fromkeys(("ica", "aca", "mca", "pca"), "other"),
        **{site: site for site in ("pcom", "acom", "basilar_tip")},
        **dict.fromkeys(("basilar", "vertebral"), "vertebrobasilar"),
    },
    "detmer": {
        **{site: site for site in ("ica", "pcom", "aca", "acom", "mca", "vertebral", "pca")},
        **dict.fromkeys(("basilar_tip", "basilar"), "basilar"),
    },
}
"""Site of an aneurysm in the words of each model."""

FURTHER = {
    "points": ("points", "points"),
    "repair_points": ("repair", "points"),
    "conservative_points": ("conservative", "points"),
    "growth_3_years_percent": ("growth_3_years", "%"),
    "growth_5_years_percent": ("growth_5_years", "%"),
}
"""Further results of a score that are numbers of the plan, with their unit."""


@dataclass(frozen=True)
class RiskRow:
    """One model: what it says, of whom it speaks, what it was given and what it lacks.

    Attributes:
        inputs: what the model was given, by name.
        missing: names of the inputs that it lacks.
        notes: what a reader must know, such as a value outside the derivation range, or what
            it would be within the band of the measured shape.
    """

    model: str
    title: str
    value: float | None
    unit: str
    low: float | None
    high: float | None
    label: str
    population: str
    source: str
    inputs: Mapping[str, Fact]
    missing: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {
            "inputs": dict(self.inputs),
            "missing": list(self.missing),
            "notes": [note.to_json() for note in self.notes],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RiskRow:
        """Read what `to_json` wrote."""
        notes = tuple(Finding.from_json(note) for note in record["notes"])
        return cls(**{**record, "missing": tuple(record["missing"]), "notes": notes})


@dataclass(frozen=True)
class RiskSheet(Measurements):
    """The scores of one aneurysm; ``rows`` holds all models, also those without a value."""

    rows: tuple[RiskRow, ...] = field(default=())


def aneurysm_risk(
    shape: Measured | Measurements,
    patient: PatientFacts,
    dome_flow: Measurements | FlowResult | None = None,
    *,
    coefficients: tuple[dict[str, Any], ...] = (),
    models: Literal["all", "flow"] = "all",
    progress: Progress = silent,
) -> RiskSheet:
    """Compute every rupture and growth score whose inputs are known, and list what others lack.

    Nothing is assumed: a score with an unknown input has no value. Each speaks for the patients
    that it was derived from, and none of them is a decision.

    Args:
        coefficients: Contents of files of coefficients that switch further models on, each with
            its source.
        models: All of them, or only those that flow enters, which wait for it.

    Raises:
        UnusableCoefficients: if coefficients are refused, or are those of no model here.
    """
    chosen = models_with(coefficients)
    if models == "flow":
        chosen = [model for model in chosen if model.name in WITH_FLOW]
    measured = {number.quantity: number for number in shape.numbers}
    if dome_flow is not None:
        measured |= {n.quantity: n for n in dome_flow.numbers if n.quantity not in measured}
    facts = dict(patient.facts)
    known = _named(measured, "value") | facts
    scored = []
    for count, model in enumerate(chosen):
        progress(count / len(chosen), NAMES[model.name])
        row, score = _scored(model, known)
        ends = [_scored(model, _named(measured, end) | facts)[0] for end in ("low", "high")]
        scored.append((_with_band(row, ends), score))
    rows = tuple(row for row, _ in scored)
    progress(1.0)
    return RiskSheet(
        tuple(number for row, score in scored for number in _numbers(row, score)),
        (*_warnings(rows), *_lacks(rows), *(_idle(rows) if models == "all" else ())),
        rows,
    )


def models_with(coefficients: Sequence[Mapping[str, Any]]) -> list[Published | Slot]:
    """Return the models of the sheet, those switched on whose coefficients are given.

    Raises:
        UnusableCoefficients: if coefficients are refused, or are those of no model here.
    """
    published = [m for m in (*rupture.MODELS, *rupture_uiats.MODELS) if m.name != AORTIC]
    slots = {slot.name: slot for slot in rupture_slots.SLOTS}
    found: dict[str, Published | Slot] = {model.name: model for model in published} | slots
    for record in coefficients:
        name = record.get("model")
        if name not in slots:
            raise UnusableCoefficients(
                f"coefficients are given for {name!r}; models that take them: {', '.join(slots)}"
            )
        if found[name] is not slots[name]:
            raise UnusableCoefficients(f"coefficients of {name} are given twice; keep one file")
        found[name] = slots[name].with_coefficients(record)
    return [found[name] for name in NAMES]


def _named(measured: Mapping[str, Number], end: str) -> dict[str, Fact]:
    """Return what was measured under the names of the models' inputs.

    ``end`` chooses the value, or the low or high end of its band where there is one.
    """
    found: dict[str, Fact] = {}
    for name, quantity in QUANTITIES.items():
        number = measured.get(quantity)
        if number is not None:
            edge = getattr(number, end)
            value = number.value if edge is None else edge
            found[name] = value * (PERCENT if number.unit == "%" else 1.0)
    if "height" in measured and "aspect_ratio" in measured:  # that ratio is height by neck
        found["neck_width_mm"] = measured["height"].value / measured["aspect_ratio"].value
    return found


def _with_band(row: RiskRow, ends: Sequence[RiskRow]) -> RiskRow:
    """Return ``row`` with a note if the band of the measured shape leads to other values."""
    values = [end.value for end in ends if end.value is not None]
    if row.value is None or not values or all(value == row.value for value in values):
        return row
    low, high = min(*values, row.value), max(*values, row.value)
    text = f"within the bands of what was measured it lies between {low:.3g} and {high:.3g}"
    note = Finding(Severity.WARNING, "band_of_inputs", f"{text} {row.unit}")
    return replace(row, notes=(*row.notes, note))


def _scored(model: Published | Slot, known: Mapping[str, Fact]) -> tuple[RiskRow, Score]:
    notes: list[Finding] = []
    given: dict[str, Fact] = {}
    needed = signature(model.compute).parameters
    for name in needed:
        fact = _worded(model.name, name, known, notes)
        if fact is not None:
            given[name] = fact
    lacks = [n for n, p in needed.items() if p.default is Parameter.empty and n not in given]
    if lacks:
        score = Score(None, "inputs are missing", missing=tuple(lacks))
    else:
        score = model.compute(**given)
    if model.name == "ucas" and known.get("population") != "japanese":
        told = outside if "population" in known else maybe_outside
        notes.append(told("only patients in Japan were studied"))
    notes += [note for note in score.findings if note.severity is not Severity.INFO]
    row = RiskRow(
        model.name,
        (getdoc(model.compute) or NAMES[model.name]).split("\n", 1)[0].rstrip("."),
        score.value,
        model.unit,
        score.low,
        score.high,
        score.label,
        model.population,
        model.source,
        MappingProxyType(given),
        score.missing,
        tuple(notes),
    )
    return row, score


def _worded(model: str, name: str, known: Mapping[str, Fact], notes: list[Finding]) -> Fact | None:
    """Return an input in the words of a model, None if unknown; add what does not fit it."""
    fact = known.get(name)
    if fact is None:
        return None
    if name == "site":
        found = SITES[model].get(str(fact))
        if found is None:
            notes.append(outside(f"aneurysms of this site ({fact}) were no group of their own"))
        return found
    if name == "population" and fact == "inuit" and model != "uiats":
        notes.append(outside("Inuit were not studied"))
        return "other"
    return fact


def _numbers(row: RiskRow, score: Score) -> list[Number]:
    if row.value is None:
        return []
    source = f"{row.source}; derived from {row.population}"
    found = [Number(row.model, row.value, row.unit, source, row.low, row.high)]
    for name, (quantity, unit) in FURTHER.items():
        if name in score.details:
            number = float(score.details[name])
            found.append(Number(f"{row.model}.{quantity}", number, unit, source))
    return found


def _warnings(rows: Sequence[RiskRow]) -> list[Finding]:
    return [
        replace(note, sentence=f"{NAMES[row.model]}: {_lower(note.sentence)}")
        for row in rows
        for note in row.notes
        if row.value is not None
    ]


def _lacks(rows: Sequence[RiskRow]) -> list[Finding]:
    """Return which scores have no value and what they lack."""
    found = []
    for row in rows:
        if row.missing and row.label != NEEDS_COEFFICIENTS:
            words = ", ".join(name.replace("_", " ") for name in row.missing)
            text = f"{NAMES[row.model]} is not computed; not known: {words}"
            remedy = "Enter what is known of the patient, and compute shape and flow"
            found.append(Finding(Severity.INFO, "risk_inputs", text, remedy=remedy))
    return found


def _idle(rows: Sequence[RiskRow]) -> list[Finding]:
    """Return which models wait for a file of coefficients."""
    idle = [NAMES[row.model] for row in rows if row.label == NEEDS_COEFFICIENTS]
    if not idle:
        return []
    text = f"These models have no value without published coefficients: {', '.join(idle)}"
    remedy = "Give a file of coefficients with its source"
    return [Finding(Severity.INFO, "needs_coefficients", text, remedy=remedy)]


def merged(sheets: Iterable[RiskSheet]) -> tuple[RiskRow, ...]:
    """Return one row for each model, from the last of ``sheets`` that has it."""
    rows = {row.model: row for sheet in sheets for row in sheet.rows}
    return tuple(rows[name] for name in NAMES if name in rows)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
