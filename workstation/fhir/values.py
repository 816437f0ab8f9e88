"""One Observation to clinical values, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from workstation.clinical import ClinicalValue, moment
from workstation.fhir import codes
from workstation.fhir.codes import LOINC
from workstation.fhir.crossmatch import (
    DONOR,
    cells_of,
    crossmatch_key,
    crossmatch_result,
)

LONGEST = 2000
"""Characters of one text that are kept."""

USED = ("final", "amended", "corrected", "preliminary")
UNACCEPTABLE = re.compile(r"unacceptable\s+(hla\s+)?antigens?", re.I)
ANTIBODY = re.compile(r"\bhla\b.*antibod|antibod.*\bhla\b|donor.specific\s+antibod", re.I)
INTENSITY = re.compile(r"\bmfi\b|mean\s+fluorescen", re.I)
SEPARATORS = re.compile(r"[,;\s]+")

Record = dict[str, Any]


class NotUnderstood(ValueError):
    """An observation, or a part of it, cannot be used; the text is the reason."""


@dataclass(frozen=True)
class Frame:
    """What all values of one Observation share."""

    date: str
    status: str
    specimen: str
    resource: str


def clean(value: Any) -> str:
    """Return text that can be shown and written: no control characters, no half characters."""
    text = str(value) if isinstance(value, str | int | float) else ""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST]).strip()


def dicts(found: Any) -> list[Record]:
    """Return the objects in a JSON list; none if it is no list."""
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def codings(concept: Any) -> list[tuple[str, str, str]]:
    """Return (system, code, display) of a CodeableConcept's codings."""
    found = concept.get("coding") if isinstance(concept, dict) else None
    return [
        (clean(c.get("system")), clean(c.get("code")), clean(c.get("display")))
        for c in dicts(found)
    ]


def concept_text(concept: Any) -> str:
    """Return a CodeableConcept in words: its text, a display, or its first code."""
    if not isinstance(concept, dict):
        return ""
    known = codings(concept)
    return (
        clean(concept.get("text"))
        or next((display for _, _, display in known if display), "")
        or next((code for _, code, _ in known), "")
    )


def said(concept: Any) -> str:
    """Return everything that a CodeableConcept says in words."""
    if not isinstance(concept, dict):
        return ""
    return " ".join([clean(concept.get("text")), *(display for _, _, display in codings(concept))])


def loinc(concept: Any) -> list[str]:
    """Return the LOINC codes of a CodeableConcept."""
    return [code for system, code, _ in codings(concept) if system == LOINC]


def is_known(part: Record) -> bool:
    """Tell whether an Observation or component is one that is read."""
    known = (*codes.NUMBERS, *codes.GENOTYPES, codes.ABO, codes.RH, codes.ABO_AND_RH)
    if any(code in known or code == codes.GENOTYPE for code in loinc(part.get("code"))):
        return True
    text = said(part.get("code"))
    known_words = UNACCEPTABLE.search(text) or ANTIBODY.search(text)
    return bool(known_words or crossmatch_key(text))


def components(observation: Record) -> list[Record]:
    """Return the components of an Observation."""
    return dicts(observation.get("component"))


def frame_of(observation: Record, name: str, specimen: str, today: date) -> Frame:
    """Return what all values of ``observation`` share.

    Raises:
        NotUnderstood: if its state or date forbids to use it.
    """
    status = clean(observation.get("status"))
    if status not in USED:
        raise NotUnderstood(f"its status is {status or 'missing'}")
    when = _when(observation)
    found = moment(when)
    if when and found is None:
        raise NotUnderstood(f"its date {when[:40]!r} is none")
    if found is not None and found.date() > today + timedelta(days=1):
        raise NotUnderstood(f"its date {when[:10]} lies in the future")
    return Frame(when, status, specimen, name)


def _when(observation: Record) -> str:
    period = observation.get("effectivePeriod")
    period = period if isinstance(period, dict) else {}
    options = (
        observation.get("effectiveDateTime"),
        observation.get("effectiveInstant"),
        period.get("end"),
        period.get("start"),
        observation.get("issued"),
    )
    return next((clean(option) for option in options if option), "")


def values_of(part: Record, frame: Frame, inner: Sequence[Record] = ()) -> list[ClinicalValue]:
    """Return the values of an Observation or component whose code is known.

    ``inner`` are the components that may complete the value (gene, antigen, intensity).

    Raises:
        NotUnderstood: saying why there are none.
    """
    absent = part.get("dataAbsentReason")
    if absent is not None:
        raise NotUnderstood(f"the value is absent ({concept_text(absent) or 'no reason given'})")
    text = said(part.get("code"))
    found = loinc(part.get("code"))
    number = next((code for code in found if code in codes.NUMBERS), None)
    if number is not None:
        return [_number(part, codes.NUMBERS[number], frame, number)]
    genotype = next((c for c in found if c in codes.GENOTYPES or c == codes.GENOTYPE), None)
    if genotype is not None:
        return [_genotype(part, frame, _best_genotype(found), inner)]
    group = next((c for c in found if c in (codes.ABO, codes.RH, codes.ABO_AND_RH)), None)
    if group is not None:
        return _blood_group(part, frame, group)
    if crossmatch_key(text):
        return [_crossmatch(part, frame, inner)]
    if UNACCEPTABLE.search(text):
        return list(_unacceptable(part, frame, inner))
    return list(_antibodies(part, frame, inner))


def _best_genotype(found: Sequence[str]) -> str:
    return next((code for code in found if code in codes.GENOTYPES), codes.GENOTYPE)


def _value(part: Record, key: str, frame: Frame, code: str = "") -> ClinicalValue:
    """Return a value without content: what it is and where it comes from."""
    concept = part.get("code")
    known = codings(concept)
    system, number, display = next(
        (c for c in known if not code or c[:2] == (LOINC, code)), ("", "", "")
    )
    return ClinicalValue(
        key=key,
        value=None,
        unit="",
        text="",
        given="",
        system=system,
        code=number,
        display=display or concept_text(concept),
        date=frame.date,
        status=frame.status,
        specimen=frame.specimen,
        resource=frame.resource,
    )


def _quantity(part: Record) -> tuple[float, str]:
    """Return number and unit of ``valueQuantity``."""
    quantity = part.get("valueQuantity")
    if not isinstance(quantity, dict):
        raise NotUnderstood("it holds no number with a unit (valueQuantity)")
    if quantity.get("comparator"):
        raise NotUnderstood(f"the value is only a bound ({clean(quantity['comparator'])})")
    try:
        value = float(quantity["value"])
    except (KeyError, TypeError, ValueError):
        raise NotUnderstood("its quantity holds no number") from None
    code, unit = clean(quantity.get("code")), clean(quantity.get("unit"))
    if clean(quantity.get("system")) not in ("", codes.UCUM):
        code = ""
    return value, _one_unit(code, unit)


def _one_unit(code: str, unit: str) -> str:
    """Return the unit of a quantity; its code and its words must not name two known ones."""
    known = {name for kind in codes.QUANTITIES.values() for name in kind.factors if name}
    both = [codes.plain_unit(code), codes.plain_unit(unit)]
    same = {"mmol/L": "meq/L", "10*3/uL": "10*9/L", "{beats}/min": "/min", "{INR}": "1"}
    plain = {same.get(name, name) for name in both if name in known}
    if len(plain) > 1:
        raise NotUnderstood(f"its unit is {code!r} by code and {unit!r} in words")
    return code or unit


def _number(part: Record, key: str, frame: Frame, code: str) -> ClinicalValue:
    value, unit = _quantity(part)
    try:
        found = codes.convert(key, value, unit)
    except ValueError as error:
        raise NotUnderstood(str(error)) from error
    made = _value(part, key, frame, code)
    kind = codes.QUANTITIES[key].unit
    return replace(made, value=found, unit=kind, given=f"{value:g} {unit}".strip())


def _words(part: Record) -> list[str]:
    """Return the value of ``part`` in words: text, displays and codes, or a string."""
    concept = part.get("valueCodeableConcept")
    if isinstance(concept, dict):
        parts = [clean(concept.get("text"))]
        for _, code, display in codings(concept):
            parts += [display, code]
        return [text for text in parts if text]
    text = clean(part.get("valueString"))
    return [text] if text else []


def _genotype(part: Record, frame: Frame, code: str, inner: Sequence[Record]) -> ClinicalValue:
    texts = [text for text in map(codes.gl_string, _words(part)) if text]
    if not texts:
        raise NotUnderstood("its value is no GL string (such as HLA-A*02:01+HLA-A*03:01)")
    if len(set(texts)) > 1:
        raise NotUnderstood("it holds two different GL strings")
    spoken = codes.locus_of(texts[0])
    named = codes.GENOTYPES.get(code, "") or _gene(inner)
    if named and spoken != named:
        raise NotUnderstood(f"it is coded as HLA-{named}, but its value is {texts[0]}")
    key = f"hla_{spoken.lower()}" if spoken else "hla"
    made = _value(part, key, frame, code)
    return replace(made, text=texts[0], given=_words(part)[0])


def _gene(inner: Sequence[Record]) -> str:
    """Return the locus that the component "gene studied" names, or ""."""
    for part in inner:
        if codes.GENE_STUDIED in loinc(part.get("code")):
            for _, code, _ in codings(part.get("valueCodeableConcept")):
                if code in codes.HGNC_LOCI:
                    return codes.HGNC_LOCI[code]
            return next((found for found in map(codes.locus_of, _words(part)) if found), "")
    return ""


def _blood_group(part: Record, frame: Frame, code: str) -> list[ClinicalValue]:
    abo, rh = _coded_group(part, code)
    wanted = {codes.ABO: ("abo",), codes.RH: ("rh",), codes.ABO_AND_RH: ("abo", "rh")}[code]
    given = (_words(part) or [""])[0]
    first = next(iter(codings(part.get("valueCodeableConcept"))), ("", "", ""))
    found = [
        replace(_value(part, key, frame, code), text=text.pop(), given=given, value_code=first[1])
        for key, text in (("abo", abo), ("rh", rh))
        if key in wanted and len(text) == 1
    ]
    contradicting = [texts for texts in (abo, rh) if len(texts) > 1]
    if contradicting:
        names = " and ".join(sorted(contradicting[0]))
        raise NotUnderstood(f"its codes and words contradict each other: {names}")
    if not found:
        raise NotUnderstood(f"its value {given[:40]!r} is no blood group that is known")
    return found


def _coded_group(part: Record, code: str) -> tuple[set[str], set[str]]:
    """Return the ABO groups and the Rh types that codes and words of ``part`` name."""
    abo: set[str] = set()
    rh: set[str] = set()
    for system, number, _ in codings(part.get("valueCodeableConcept")):
        both = codes.ABO_AND_RH_CODES.get((system, number))
        if both:
            abo.add(both[0])
            rh.add(both[1])
        abo |= {codes.ABO_CODES.get((system, number), "")}
        rh |= {codes.RH_CODES.get((system, number), "")}
    for text in _words(part):
        abo.add(codes.abo_of_text(text) if code != codes.RH else "")
        rh.add(codes.rh_of_text(text) if code != codes.ABO else "")
    subgroups = {text for text in abo if len(text) > 1 and text[1] in "12"}
    if len(subgroups) == 1:  # "A1" in words beside the code of A is no contradiction
        abo -= {re.sub(r"\d", "", text) for text in subgroups}
    return abo - {""}, rh - {""}


def _antigens(part: Record) -> list[str]:
    words = _words(part)
    return [text for text in SEPARATORS.split(words[0]) if text] if words else []


def _unacceptable(part: Record, frame: Frame, inner: Sequence[Record]) -> Iterator[ClinicalValue]:
    made = _value(part, "unacceptable_antigen", frame)
    found = [antigen for source in (part, *inner) for antigen in _antigens(source)]
    if not found:
        raise NotUnderstood("the list of unacceptable antigens is empty")
    for antigen in dict.fromkeys(found):
        yield replace(made, text=antigen, given=antigen)


def _crossmatch(part: Record, frame: Frame, inner: Sequence[Record]) -> ClinicalValue:
    """Return the result of a crossmatch; its specimen names with whose cells it was done."""
    result = crossmatch_result(_words(part))
    if result not in ("positive", "negative"):
        raise NotUnderstood("its result is neither positive nor negative")
    named = {w for c in inner if DONOR.search(said(c.get("code"))) for w in _words(c)[:1]}
    named |= {clean(cells_of(part))} - {""}
    if len(named) > 1:
        raise NotUnderstood(f"it names two donors: {' and '.join(sorted(named))}"[:200])
    made = _value(part, crossmatch_key(said(part.get("code"))), frame)
    given = (_words(part) or [""])[0]
    return replace(made, text=result, given=given, specimen=next(iter(named), ""))


def _antibodies(part: Record, frame: Frame, inner: Sequence[Record]) -> Iterator[ClinicalValue]:
    """Yield an antibody's antigen with its intensity, which other laboratories may lack."""
    made = _value(part, "antibody", frame)
    strengths = [c for c in inner if INTENSITY.search(said(c.get("code")))]
    named = _words(part) or [w for c in inner if c not in strengths for w in _words(c)[:1]]
    if not named:
        raise NotUnderstood("the antibody names no antigen")
    source = part if "valueQuantity" in part else next(iter(strengths), None)
    if source is None:
        yield replace(made, text=named[0], given=named[0])
        return
    mfi, unit = _quantity(source)
    if mfi < 0:
        raise NotUnderstood(f"its intensity {mfi:g} is negative")
    given = f"{named[0]}, {mfi:g} {unit}".strip()
    yield replace(made, text=named[0], value=mfi, unit="{MFI}", given=given)
