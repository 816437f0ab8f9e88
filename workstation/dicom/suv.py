"""Standardised uptake value by body weight, where the header holds all that it takes.

SUV = activity x weight / dose, the dose decayed to the time to which the image is decay
corrected (PS3.3 C.8.9.1; QIBA, "Vendor-neutral pseudo-code for SUV calculation", the path
without private elements). What is missing or not plausible is named, never guessed.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from pydicom.dataset import Dataset

from workstation.dicom.values import number, text, values

WEIGHT_KG = (0.5, 500.0)
DOSE_BQ = (1e5, 1e11)  # a dose in MBq, as some write, lies far below
HALF_LIFE_S = (30.0, 1e7)
MOST_HALF_LIVES = 10.0


class NoUptake(ValueError):
    """SUV cannot be computed; the text names what is missing or not plausible."""


def suv_per_bq_ml(header: Dataset) -> float:
    """Return the factor from Bq/mL to SUV by body weight in g/mL.

    Raises:
        NoUptake: naming what the header lacks.
    """
    corrected = values(header, "CorrectedImage")
    if not {"ATTN", "DECY"} <= set(corrected):
        raise NoUptake("correction for attenuation and decay is not declared")
    sequence = header.get("RadiopharmaceuticalInformationSequence")
    if not sequence or len(sequence) != 1:
        raise NoUptake("the header does not describe one radiopharmaceutical")
    drug = sequence[0]
    weight_g = 1000 * _within(number(header, "PatientWeight"), WEIGHT_KG, "patient's weight")
    dose_bq = _within(number(drug, "RadionuclideTotalDose"), DOSE_BQ, "injected dose")
    correction = text(header, "DecayCorrection").upper()
    if correction == "ADMIN":
        return weight_g / dose_bq
    if correction != "START":
        raise NoUptake(f"the decay correction is {correction or 'not stated'}")
    half_life_s = _within(number(drug, "RadionuclideHalfLife"), HALF_LIFE_S, "half-life")
    elapsed_s = (_scan_start(header) - _injection(header, drug)).total_seconds()
    if not 0 <= elapsed_s <= MOST_HALF_LIVES * half_life_s:
        raise NoUptake(f"the scan begins {elapsed_s:.0f} s after the injection")
    return float(weight_g / (dose_bq * 2 ** (-elapsed_s / half_life_s)))


def _within(value: float | None, limits: tuple[float, float], name: str) -> float:
    if value is None:
        raise NoUptake(f"the {name} is absent")
    if not limits[0] <= value <= limits[1]:
        raise NoUptake(f"the {name} of {value:g} is not plausible")
    return value


def _scan_start(header: Dataset) -> datetime:
    """Return the time that START means: that of the series, unless it was written later."""
    start = _moment(text(header, "SeriesDate"), text(header, "SeriesTime"), "series time")
    acquired = _moment(
        text(header, "AcquisitionDate"), text(header, "AcquisitionTime"), "acquisition time"
    )
    if start > acquired:
        raise NoUptake("the series was written after its acquisition, whose start is not stated")
    return start


def _injection(header: Dataset, drug: Dataset) -> datetime:
    stamp = text(drug, "RadiopharmaceuticalStartDateTime")
    if stamp:
        for sign in "+-":
            stamp, found, zone = stamp.partition(sign)
            if found and found + zone != text(header, "TimezoneOffsetFromUTC"):
                raise NoUptake("the injection time is given in another time zone")
        return _moment(stamp[:8], stamp[8:], "injection time")
    time = text(drug, "RadiopharmaceuticalStartTime")
    return _moment(text(header, "SeriesDate"), time, "injection time")


def _moment(date: str, time: str, name: str) -> datetime:
    whole, _, fraction = time.partition(".")
    with suppress(ValueError):
        return datetime.strptime(f"{date}{whole}{(fraction or '0')[:6]}", "%Y%m%d%H%M%S%f")
    raise NoUptake(f"the {name} is absent or unreadable")
