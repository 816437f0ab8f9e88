"""How names, numbers and states of a plan read to a person."""

from __future__ import annotations

from typing import Any

from segmentation.contract import exact_words
from workstation.stage import UNITS

_WORDS = {
    "tumor": "tumour",
    "ct": "CT",
    "cvp": "CVP",
    "sah": "SAH",
    "osi": "OSI",
    "wss": "WSS",
    "aca": "ACA",
    "acom": "ACom",
    "ica": "ICA",
    "mca": "MCA",
    "pca": "PCA",
    "pcom": "PCom",
    "hla": "HLA",
    "dr": "DR",
    "dq": "DQ",
    "dp": "DP",
    "abo": "ABO",
    "cdc": "CDC",
    "kdri": "KDRI",
    "epts": "EPTS",
    "lkdpi": "LKDPI",
    "meld": "MELD",
    "flr": "FLR",
    "albi": "ALBI",
    "icg": "ICG",
}
_ALONE = {"map": "MAP"}  # mean arterial pressure; beside other words it is a map of something
MARKS = {"fresh": "✓", "stale": "↻", "missing": "○", "failed": "▲", "running": "●"}
STATES = {
    "fresh": "computed",
    "stale": "needs recomputing",
    "missing": "not computed yet",
    "failed": "failed",
}
SEVERITY_MARKS = {"info": "i", "warning": "!", "problem": "▲"}
SEVERITY_ROLES = {"info": "muted", "warning": "warning", "problem": "problem"}


def readable(name: str) -> str:
    """Return the name of a step, result or quantity in sentence case."""
    words = name.replace(".", " ").replace("_", " ").split()
    known = _WORDS | _ALONE if len(words) == 1 else _WORDS
    if words[:1] == ["hla"]:  # the loci A, B and C
        words = [word.upper() if len(word) == 1 else word for word in words]
    text = " ".join(known.get(word, word) for word in words)
    if text.split(" ", 1)[0][1:].lower() != text.split(" ", 1)[0][1:]:
        return text  # an abbreviation such as mLDFA, where m says which axis
    return text[:1].upper() + text[1:]


def choice_text(word: str) -> str:
    """Return one of a few words as it stands in a sentence."""
    return " ".join(_WORDS.get(part, part) for part in word.split("_"))


def parameter_label(name: str) -> str:
    """Return the name of a parameter without its unit, in sentence case."""
    for ending in sorted(UNITS, key=len, reverse=True):
        if name.endswith(f"_{ending}"):
            return readable(name.removesuffix(f"_{ending}"))
    return readable(name)


def value_text(value: float, unit: str) -> str:
    """Return a number with a sensible number of digits: mL without decimals from 100 on."""
    if abs(value) >= 100 or (unit in ("", "points", "triangles") and float(value).is_integer()):
        return f"{value:,.0f}".replace(",", "\u202f")
    if unit in ("mm", "mL", "%", "cm2", "mmHg") or abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def unit_text(unit: str) -> str:
    """Return a unit as it is printed."""
    return "°" if unit == "degrees" else unit.replace("2", "²").replace("m3", "m³")


def band_text(number: dict[str, Any]) -> str:
    """Return the band of a number record, that it was planned or entered, or is not known."""
    if number["low"] is None or number["high"] is None:
        return exact_words(str(number.get("source", ""))) or "uncertainty not known"
    low, high = (value_text(number[end], number["unit"]) for end in ("low", "high"))
    return f"{low} to {high} {unit_text(number['unit'])}"


def date_text(dicom_date: str) -> str:
    """Return a DICOM date (YYYYMMDD) with dashes; what is no date stays as it is."""
    if len(dicom_date) == 8 and dicom_date.isdigit():
        return f"{dicom_date[:4]}-{dicom_date[4:6]}-{dicom_date[6:]}"
    return dicom_date


def typed_number(text: str) -> float | None:
    """Return the number that a person typed, with a comma or a point; None if it is none."""
    try:
        return float(text.strip().replace(",", ".").replace("−", "-"))
    except ValueError:
        return None
