"""What the values of an image mean, and in which unit: HU, SUV, activity, velocity, or none.

A unit is named only where the header states it: by the modality's own rules, by a real world
value map (PS3.3 C.7.6.16.2.11) or by the rescale type. Else the quantity says it has none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from pydicom.dataset import Dataset

from workstation.dicom.slices import Slice
from workstation.dicom.suv import NoUptake, suv_per_bq_ml
from workstation.dicom.values import number, text, value, values

SUV = "SUV (g/mL)"
_NO_UNIT = ("", "US", "NORMALIZED", "UNSPECIFIED")
_UNITLESS = ("", "1", "[arb'U]", "[ARB'U]")


class _Meaning(NamedTuple):
    """``slope * stored + intercept`` is a ``quantity``; ``note`` as in `Slice`."""

    slope: float
    intercept: float
    quantity: str
    note: tuple[str, str] = ("", "")


def with_meaning(
    s: Slice, header: Dataset, rescale: Dataset, maps: Sequence[Dataset], words: Collection[str]
) -> Slice:
    """Return a slice with what its values mean, from one with its rescale alone.

    ``rescale`` holds the rescale type and ``maps`` the real world value maps of the image or
    frame; ``words`` are those of its image or frame type and complex component.
    """
    meaning = _meaning(header, rescale, maps, words, s.slope, s.intercept)
    return replace(s, **meaning._asdict())


def _meaning(
    header: Dataset,
    rescale: Dataset,
    maps: Sequence[Dataset],
    words: Collection[str],
    slope: float,
    intercept: float,
) -> _Meaning:
    modality = text(header, "Modality")
    plain = _ct(header, rescale) if modality == "CT" else ""
    kind = _contrast(words)
    mapped = None if plain == "HU" else _mapped(maps, f"{modality or 'image'} {kind}")
    if mapped is not None:
        return mapped
    if modality == "CT":
        return _Meaning(slope, intercept, plain)
    if modality == "PT":
        return _pet(header, slope, intercept)
    unit = text(rescale, "RescaleType")
    stated = f" ({unit})" if unit.upper() not in _NO_UNIT else ""
    silent = "" if kind == "intensity" else " (no unit)"
    return _Meaning(slope, intercept, f"{modality or 'image'} {kind}{stated or silent}")


def _ct(header: Dataset, rescale: Dataset) -> str:
    kind = text(rescale, "RescaleType").upper()
    calibrated = value(rescale, "RescaleIntercept") is not None and kind in ("", "HU", "US")
    if calibrated and "PERFUSION" not in values(header, "ImageType"):
        return "HU"
    return f"CT value ({kind})" if kind else "CT value"


def _contrast(words: Collection[str]) -> str:
    if {"VELOCITY", "VELOCITY MAP"} & set(words):
        return "velocity"
    return "phase" if {"P", "PHASE", "PHASE MAP"} & set(words) else "intensity"


def _mapped(maps: Sequence[Dataset], contrast: str) -> _Meaning | None:
    """Return what the only real world value map says, if it is linear and has a unit."""
    if len(maps) != 1:
        return None
    (only,) = maps
    slope, intercept = number(only, "RealWorldValueSlope"), number(only, "RealWorldValueIntercept")
    units = only.get("MeasurementUnitsCodeSequence") or (Dataset(),)
    unit = text(units[0], "CodeValue")
    if not slope or intercept is None or unit in _UNITLESS:
        return None
    named = _name_of(only) or contrast.replace(" intensity", " value")
    return _Meaning(slope, intercept, f"{named} ({unit})")


def _name_of(mapping: Dataset) -> str:
    """Return the quantity that a map names by a code (PS3.16 TID 9000s), or ""."""
    for item in mapping.get("QuantityDefinitionSequence") or ():
        for concept in item.get("ConceptCodeSequence") or ():
            return text(concept, "CodeMeaning")
    return ""


def _pet(header: Dataset, slope: float, intercept: float) -> _Meaning:
    units, kind = text(header, "Units").upper(), text(header, "SUVType").upper()
    if units == "GML" and kind in ("", "BW"):
        return _Meaning(slope, intercept, SUV)
    if units == "GML":
        return _Meaning(slope, intercept, f"SUV {kind} (g/mL)")
    if units != "BQML":
        counts = "PET counts (no unit)" if units == "CNTS" else ""
        name = counts or f"PET activity ({units or 'no unit'})"
        why = f"the values are {units or 'of no stated unit'}, which is no activity in Bq/mL"
        return _Meaning(slope, intercept, name, ("no_suv", f"SUV is not computed: {why}"))
    try:
        factor = suv_per_bq_ml(header)
    except NoUptake as error:
        note = ("no_suv", f"SUV is not computed, the values are in Bq/mL: {error}")
        return _Meaning(slope, intercept, "PET activity (Bq/mL)", note)
    return _Meaning(slope * factor, intercept * factor, SUV)
