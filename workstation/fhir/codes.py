"""The codes and units that are understood. Every code stands in a published value set.

LOINC names as of release 2.78; SNOMED CT blood groups from the International Patient Summary;
the LOINC codes of the HLA loci from the HL7 genomics reporting guide and the NMDP profiles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
HGNC = "http://www.genenames.org"

CREATININE_UMOL_L_PER_MG_DL = 88.42
"""1 mg/dL of creatinine in umol/L, as laboratories convert (113.1 g/mol)."""

BILIRUBIN_UMOL_L_PER_MG_DL = 17.104
"""1 mg/dL of bilirubin (584.66 g/mol) in umol/L."""

MMHG_PER_KPA = 7.500617
KG_PER_LB = 0.45359237
CM_PER_INCH = 2.54


@dataclass(frozen=True)
class Quantity:
    """A kind of number: its product unit in UCUM, and what each accepted unit is worth in it.

    ``low`` and ``high`` (in ``unit``) are wide: they catch slipped units, not disease.
    """

    unit: str
    factors: Mapping[str, float]
    low: float
    high: float


_MASS_PER_VOLUME = {"mg/dL": 1.0, "mg/L": 0.1}
_PRESSURE = {"mm[Hg]": 1.0, "kPa": MMHG_PER_KPA, "cm[H2O]": 0.0980665 * MMHG_PER_KPA}
_PER_MINUTE = {"/min": 1.0, "{beats}/min": 1.0}

QUANTITIES: Mapping[str, Quantity] = {
    "creatinine": Quantity(
        "mg/dL",
        _MASS_PER_VOLUME
        | {
            "umol/L": 1 / CREATININE_UMOL_L_PER_MG_DL,
            "mmol/L": 1000 / CREATININE_UMOL_L_PER_MG_DL,
        },
        0.05,
        40,
    ),
    "bilirubin": Quantity(
        "mg/dL", _MASS_PER_VOLUME | {"umol/L": 1 / BILIRUBIN_UMOL_L_PER_MG_DL}, 0.02, 100
    ),
    "albumin": Quantity("g/dL", {"g/dL": 1.0, "g/L": 0.1, "mg/dL": 0.001}, 0.5, 8),
    "inr": Quantity("1", {"1": 1.0, "{INR}": 1.0, "{ratio}": 1.0, "": 1.0}, 0.5, 25),
    "sodium": Quantity("mmol/L", {"mmol/L": 1.0, "meq/L": 1.0}, 80, 220),
    "platelets": Quantity(
        "10*9/L",
        {"10*9/L": 1.0, "10*3/uL": 1.0, "10*3/mm3": 1.0, "/uL": 0.001, "10*6/uL": 1000.0},
        1,
        3000,
    ),
    "body_weight": Quantity(
        "kg", {"kg": 1.0, "g": 0.001, "[lb_av]": KG_PER_LB, "[oz_av]": KG_PER_LB / 16}, 0.3, 400
    ),
    "height": Quantity(
        "cm", {"cm": 1.0, "m": 100.0, "mm": 0.1, "[in_i]": CM_PER_INCH, "[ft_i]": 30.48}, 20, 260
    ),
    "mean_arterial_pressure": Quantity("mm[Hg]", _PRESSURE, 20, 250),
    "systolic_pressure": Quantity("mm[Hg]", _PRESSURE, 30, 350),
    "diastolic_pressure": Quantity("mm[Hg]", _PRESSURE, 10, 250),
    "central_venous_pressure": Quantity("mm[Hg]", _PRESSURE, -10, 60),
    "heart_rate": Quantity("/min", _PER_MINUTE, 10, 350),
}

NUMBERS: Mapping[str, str] = {
    "2160-0": "creatinine",
    "14682-9": "creatinine",
    "1975-2": "bilirubin",
    "14631-6": "bilirubin",
    "1751-7": "albumin",
    "6301-6": "inr",
    "2951-2": "sodium",
    "777-3": "platelets",
    "29463-7": "body_weight",
    "8302-2": "height",
    "8478-0": "mean_arterial_pressure",
    "8480-6": "systolic_pressure",
    "8462-4": "diastolic_pressure",
    "60985-9": "central_venous_pressure",
    "8867-4": "heart_rate",
}
"""LOINC code to key of `QUANTITIES`."""

PANELS = ("85354-9", "85353-1", "34530-6")
"""LOINC codes that only hold others: blood pressure, vital signs, ABO and Rh."""

ABO, RH, ABO_AND_RH = "883-9", "10331-7", "882-1"
GENOTYPE, GENE_STUDIED = "84413-4", "48018-6"
GENOTYPES: Mapping[str, str] = {
    "57290-9": "A",
    "57291-7": "B",
    "77636-9": "C",
    "57293-3": "DRB1",
    "57294-1": "DRB3",
    "57295-8": "DRB4",
    "57296-6": "DRB5",
    "57299-0": "DQB1",
    "59017-4": "DPB1",
    "59018-2": "DPA1",
    "59019-0": "DQA1",
}
"""LOINC code of a genotype to its HLA locus."""

HGNC_LOCI: Mapping[str, str] = {
    "HGNC:4931": "A",
    "HGNC:4932": "B",
    "HGNC:4933": "C",
    "HGNC:4948": "DRB1",
    "HGNC:4951": "DRB3",
    "HGNC:4952": "DRB4",
    "HGNC:4953": "DRB5",
    "HGNC:4944": "DQB1",
    "HGNC:4940": "DPB1",
    "HGNC:4938": "DPA1",
    "HGNC:4942": "DQA1",
}

ABO_CODES: Mapping[tuple[str, str], str] = {
    (SNOMED, "112144000"): "A",
    (SNOMED, "112149005"): "B",
    (SNOMED, "165743006"): "AB",
    (SNOMED, "58460004"): "O",
    (LOINC, "LA19710-5"): "A",
    (LOINC, "LA19709-7"): "B",
    (LOINC, "LA28449-9"): "AB",
    (LOINC, "LA19708-9"): "O",
}
RH_CODES: Mapping[tuple[str, str], str] = {
    (SNOMED, "165747007"): "positive",
    (SNOMED, "165746003"): "negative",
    (LOINC, "LA6576-8"): "positive",
    (LOINC, "LA6577-6"): "negative",
}
ABO_AND_RH_CODES: Mapping[tuple[str, str], tuple[str, str]] = {
    (SNOMED, "278149003"): ("A", "positive"),
    (SNOMED, "278152006"): ("A", "negative"),
    (SNOMED, "278150003"): ("B", "positive"),
    (SNOMED, "278153001"): ("B", "negative"),
    (SNOMED, "278151004"): ("AB", "positive"),
    (SNOMED, "278154007"): ("AB", "negative"),
    (SNOMED, "278147001"): ("O", "positive"),
    (SNOMED, "278148006"): ("O", "negative"),
}

SPELLINGS: Mapping[str, str] = {
    "mmHg": "mm[Hg]",
    "mm Hg": "mm[Hg]",
    "cmH2O": "cm[H2O]",
    "lb": "[lb_av]",
    "lbs": "[lb_av]",
    "oz": "[oz_av]",
    "in": "[in_i]",
    "ft": "[ft_i]",
    "mEq/L": "meq/L",
    "bpm": "/min",
    "beats/min": "/min",
    "beats/minute": "/min",
    "K/uL": "10*3/uL",
    "10^9/L": "10*9/L",
    "10^3/uL": "10*3/uL",
    "x10^9/L": "10*9/L",
    "INR": "{INR}",
    "ratio": "{ratio}",
}
"""How people write units that UCUM writes otherwise."""

_LITRE = re.compile(r"(?<=/)([dmu]?)l$")
_GROUP = re.compile(r"(?:blood\s+)?(?:group\s+|type\s+)?(AB|A1B|A2B|A1|A2|A|B|O|0)(?![\w])", re.I)
_GL = re.compile(
    r"HLA-[A-Z]+\d*\*\d+(?::\d+)*[A-Z]?(?:[/~+|^]HLA-[A-Z]+\d*\*\d+(?::\d+)*[A-Z]?)*\Z"
)


class UnknownUnit(ValueError):
    """A number has a unit that its kind does not have."""


def plain_unit(text: str) -> str:
    """Return a unit in UCUM as the tables write it: litre with a capital, micro as u."""
    unit = text.strip().replace("µ", "u").replace("μ", "u")
    unit = SPELLINGS.get(unit, unit)
    return SPELLINGS.get(_LITRE.sub(r"\1L", unit), _LITRE.sub(r"\1L", unit))


def convert(key: str, value: float, unit: str) -> float:
    """Return ``value`` in the product's unit of ``key``.

    Raises:
        UnknownUnit: if ``unit`` is none of the units of ``key``.
        ValueError: if the value is not finite or not plausible.
    """
    kind = QUANTITIES[key]
    factor = kind.factors.get(plain_unit(unit))
    if factor is None:
        known = ", ".join(name or "no unit" for name in kind.factors)
        what = f"the unit {unit!r} is not known for it" if unit else "it has no unit"
        raise UnknownUnit(f"{what} (known: {known})")
    found = value * factor
    if not isfinite(found) or not kind.low <= found <= kind.high:
        limits = f"{kind.low:g} to {kind.high:g} {kind.unit}"
        raise ValueError(f"{value:g} {unit} is not plausible (what is: {limits})")
    return found


def abo_of_text(text: str) -> str:
    """Return the ABO group (A, B, AB, O, A1, A2, A1B, A2B) that ``text`` names, or ""."""
    found = _GROUP.match(text.strip())
    return found.group(1).upper().replace("0", "O") if found else ""


def rh_of_text(text: str) -> str:
    """Return "positive" or "negative" as ``text`` says of the Rh type, or ""."""
    low = text.lower().replace("−", "-")
    signs = {
        "positive": bool(re.search(r"\bpos(itive)?\b|\+", low)),
        "negative": bool(re.search(r"\bneg(ative)?\b|-\s*$|-ve\b", low)),
    }
    found = [name for name, said in signs.items() if said]
    return found[0] if len(found) == 1 else ""


def gl_string(text: str) -> str:
    """Return the plain GL string of a genotype, "" if it is none.

    The prefix of a GL String Code ("hla#3.53.0#") is taken off (Milius 2013,
    doi:10.1111/tan.12150), and a colon behind the locus is read as the star it stands for.
    """
    plain = text.strip().lstrip("#")
    if plain.count("#") == 2 and plain.startswith("hla#"):
        plain = plain.split("#")[2]
    plain = re.sub(r"(HLA-[A-Z]+\d*):", r"\1*", plain)
    return plain if _GL.match(plain) else ""


def locus_of(text: str) -> str:
    """Return the one locus that a GL string or gene name speaks of, or ""."""
    loci = set(re.findall(r"HLA-([A-Z]+\d*)", text))
    return loci.pop() if len(loci) == 1 else ""
