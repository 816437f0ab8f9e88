"""After a transplant: each new value against the course that the person's own values foretell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import exp, sqrt
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt
from scipy.optimize import nnls
from scipy.stats import t as student

from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.wording import counted
from workstation.clinical import ClinicalValue, moment
from workstation.planning.transplant_person import Known, Person, PersonRecord, said
from workstation.planning.transplant_rows import (
    FOLLOW_UP,
    SETTLE,
    Course,
    Row,
    Sheet,
    Verdict,
    in_order,
    sentence,
)
from workstation.planning.transplant_sheet import TransplantError, review_day

FALLING = ("creatinine", "bilirubin")
STEADY = ("tacrolimus", "resistive_index", "graft_volume")
FOLLOWED = (*FALLING, *STEADY)
"""Values that are followed: those that fall to a plateau, and those that should stay."""

LEAST_STEADY, LEAST_FALLING = 3, 5
"""Earlier values that a steady course and a falling one need at least."""

BAND_POINTS = 60
"""Points of a band that is drawn."""

TAUS_DAYS = np.geomspace(0.3, 90.0, 60)
DAY_S = 86400.0
STEADY_RULE = "steady course: mean of the logarithms of the person's own earlier values"
FALLING_RULE = "falling course: plateau + part x exp(-days / time), fitted to the person's own"


@dataclass(frozen=True)
class Expected:
    """What a course foretells for one moment, with its band, and the model in words."""

    value: float
    low: float
    high: float
    rule: str


def steady_course(values: Sequence[float], coverage: float, least: float) -> Expected:
    """Return what values that stay foretell for the next one.

    The band is the prediction interval of Student's t on logarithms, with a standard deviation
    of at least ``least`` (a share of the value).
    """
    logs = np.log(np.asarray(values, dtype=float))
    count = len(logs)
    spread = max(float(np.std(logs, ddof=1)), least)
    half = float(student.ppf(0.5 + coverage / 2, count - 1)) * spread * sqrt(1 + 1 / count)
    middle = float(np.mean(logs))
    rule = f"{STEADY_RULE} ({count} values, spread {100 * spread:.1f} %)"
    return Expected(exp(middle), exp(middle - half), exp(middle + half), rule)


Model = Callable[[float], Expected]
"""What a course foretells for a day, counted from the transplant."""


def falling_course(
    days: Sequence[float], values: Sequence[float], coverage: float, least: float
) -> Model:
    """Return what values that fall to a plateau foretell for each day.

    Plateau and part are fitted to relative errors for each of a list of times, none of them
    negative; the best time is taken. The band is a prediction interval of relative errors.
    """
    t, y = np.asarray(days, dtype=float), np.asarray(values, dtype=float)
    best: tuple[float, float, np.ndarray] | None = None
    for tau in TAUS_DAYS:
        columns = np.stack([np.ones_like(t), np.exp(-t / tau)], axis=1) / y[:, None]
        found, error = nnls(columns, np.ones_like(y))
        if best is None or error < best[0]:
            best = (float(error), float(tau), found)
    assert best is not None
    error, tau, (plateau, part) = best
    free = max(len(t) - 3, 1)
    spread = max(error / sqrt(free), least)
    half = float(student.ppf(0.5 + coverage / 2, free)) * spread * sqrt(1 + 1 / len(t))
    rule = (
        f"{FALLING_RULE} (plateau {plateau:.3g}, part {part:.3g}, time {tau:.3g} days from "
        f"{len(t)} values, spread {100 * spread:.1f} %)"
    )

    def foretell(day: float) -> Expected:
        value = float(plateau + part * exp(-day / tau))
        return Expected(value, value * max(1 - half, 0.0), value * (1 + half), rule)

    return foretell


def transplant_followup(
    followed: PersonRecord,
    *,
    transplant_date: str = "",
    review_date: str = "",
    coverage_percent: Annotated[float, Gt(50), Lt(100)] = 99.0,
    measurement_percent: Annotated[float, Gt(0), Lt(100)] = 5.0,
    gap_days: Annotated[float, Gt(0)] = 30.0,
    progress: Progress = silent,
) -> Sheet:
    """Follow a recipient: new values against the course of the person's own.

    Args:
        transplant_date: day of the transplant; without it that of the record.
        review_date: the day of the review, such as 2026-03-01; later values are not used.
        coverage_percent: how many of the values that follow the course lie in its band.
        measurement_percent: imprecision of a measurement; no band is narrower.
        gap_days: after so many days without a value it is not known how it stands.

    Raises:
        TransplantError: if a day is no date.
    """
    today, findings = review_day((followed,), review_date)
    person = Person(followed, "recipient", today, lambda _: gap_days)
    start = _start(person, transplant_date)
    coverage, least = coverage_percent / 100, measurement_percent / 100
    rows, numbers, courses = [], [], []
    for number, key in enumerate(FOLLOWED):
        progress(number / len(FOLLOWED), said(key))
        row, made, course = _row(key, person, start, coverage, least)
        rows.append(row)
        numbers += made
        courses.append(course)
    for row, course in _antibodies(person, start, coverage, least):
        rows.append(row)
        courses.append(course)
    ordered = in_order(rows)
    findings += [_finding(row) for row in ordered if row.verdict in ("warn", "unknown")]
    findings += list(followed.findings)
    drawn = tuple(course for course in courses if course is not None)
    day = today.isoformat()
    return Sheet(ordered, FOLLOW_UP, day, tuple(numbers), tuple(findings), drawn)


def _start(person: Person, given: str) -> date | None:
    text = given or person.chosen("transplant_date").text
    when = moment(text) if text else None
    if given and when is None:
        raise TransplantError(f"the day {given[:40]!r} is none; write it as 2026-03-01")
    return when.date() if when is not None else None


def _row(
    key: str, person: Person, start: date | None, coverage: float, least: float
) -> tuple[Row, list[Number], Course | None]:
    known = person.chosen(key)
    earlier = _earlier(person, key, known, start)
    value = known.value
    reason = _doubt(key, known, earlier, start)
    source = person.source(value)
    day = value.date[:10] if value is not None else ""
    unit = value.unit if value is not None and value.unit != "1" else ""
    rule = FALLING_RULE if key in FALLING else STEADY_RULE
    name = f"follow.{key}"
    shown = [v for v in person.lists(key) if start is not None and v.when.date() >= start]
    if reason or value is None or value.value is None or start is None:
        change = f"{SETTLE}{reason}"
        row = Row(name, "unknown", known.number, unit, source, day, rule, reason, change)
        return row, [], _course(row, shown, start, None, earlier)
    model = _model(key, earlier, start, coverage, least)
    found = model(_days(value, start))
    said_band = f"expected {found.value:.3g} ({found.low:.3g} to {found.high:.3g}) {unit}".strip()
    verdict, where = _verdict(value.value, found)
    row = Row(
        name, verdict, value.value, unit, source, day, found.rule,
        f"{where} the band: {said_band}.", expires=known.expires,
    )  # fmt: skip
    band = Number(f"{name}.expected", found.value, unit, found.rule, found.low, found.high)
    numbers = [Number(name, value.value, unit, source), band]
    return row, numbers, _course(row, shown, start, model, earlier)


def _course(
    row: Row,
    shown: Sequence[ClinicalValue],
    start: date | None,
    model: Model | None,
    earlier: Sequence[ClinicalValue],
) -> Course | None:
    """Return what is drawn of a row, None where no dated value is known."""
    known = [v for v in shown if v.value is not None and v.date]
    if start is None or not known:
        return None
    days = tuple(round(_days(v, start), 4) for v in known)
    course = Course(
        row.name, row.unit, start.isoformat(), days, tuple(v.value or 0.0 for v in known),
        verdict=row.verdict,
    )  # fmt: skip
    if model is None:
        return course
    drawn = np.linspace(_days(earlier[0], start), days[-1], BAND_POINTS)
    band = [model(float(day)) for day in drawn]
    return replace(
        course,
        band_days=tuple(round(float(day), 4) for day in drawn),
        expected=tuple(found.value for found in band),
        low=tuple(found.low for found in band),
        high=tuple(found.high for found in band),
        rule=row.rule,
    )


def _days(value: ClinicalValue, start: date) -> float:
    zero = moment(start.isoformat())
    assert zero is not None
    return (value.when - zero).total_seconds() / DAY_S


def _verdict(value: float, found: Expected) -> tuple[Verdict, str]:
    if value > found.high:
        return "warn", "Above"
    return ("warn", "Below") if value < found.low else ("pass", "Within")


def _doubt(key: str, known: Known, earlier: Sequence[ClinicalValue], start: date | None) -> str:
    """Return why the newest value cannot be judged, "" if it can."""
    if known.doubt or known.value is None:
        return known.doubt
    if known.old:
        return f"the newest {said(key)} is too old or has no date; a missing value is not a normal"
    if start is None:
        return "the day of the transplant is not known"
    if known.value.when.date() < start:
        return f"there is no {said(key)} since the transplant"
    if len(earlier) < LEAST_STEADY:
        return f"{_count(earlier)} since the transplant; {LEAST_STEADY} are needed"
    return ""


def _count(values: Sequence[ClinicalValue]) -> str:
    return counted(len(values), "earlier value")


def _earlier(person: Person, key: str, known: Known, start: date | None) -> list[ClinicalValue]:
    if known.value is None or start is None:
        return []
    return [
        v
        for v in person.record.series(key)
        if v.value and v.date and start <= v.when.date() and v.when < known.value.when
    ]


def _model(
    key: str, earlier: Sequence[ClinicalValue], start: date, coverage: float, least: float
) -> Model:
    values = [v.value for v in earlier if v.value]
    if key not in FALLING or len(values) < LEAST_FALLING:
        return _steady(values, coverage, least)
    return falling_course([_days(v, start) for v in earlier], values, coverage, least)


def _steady(values: Sequence[float], coverage: float, least: float) -> Model:
    found = steady_course(values, coverage, least)
    return lambda day: found


def _antibodies(
    person: Person, start: date | None, coverage: float, least: float
) -> list[tuple[Row, Course | None]]:
    """Return a row per antibody: a new one warns, one that was there is held to its course."""
    found = []
    listed = [v for v in person.lists("antibody") if v.value is not None]
    for name in dict.fromkeys(v.text for v in listed):
        series = [v for v in listed if v.text == name]
        earlier = [v for v in series[:-1] if v.value and v.date]
        row, model = _antibody(name, series[-1], earlier, person, start, coverage, least)
        found.append((row, _course(row, series, start, model, earlier)))
    return found


def _antibody(
    name: str,
    last: ClinicalValue,
    earlier: Sequence[ClinicalValue],
    person: Person,
    start: date | None,
    coverage: float,
    least: float,
) -> tuple[Row, Model | None]:
    def made(verdict: Verdict, rule: str, reason: str) -> Row:
        about = (last.value, "MFI", person.source(last), last.date[:10], rule, reason)
        return Row(f"follow.antibody.{name}", verdict, *about)

    if person.aged("antibody", last).old:
        reason = "The newest test is too old or has no date."
        return made("unknown", STEADY_RULE, reason), None
    if start is not None and not earlier and last.when.date() >= start:
        return made("warn", "an antibody that was not there before", "New."), None
    if len(earlier) < LEAST_STEADY:
        reason = f"{_count(earlier)}; {LEAST_STEADY} are needed."
        return made("unknown", STEADY_RULE, reason), None
    model = _steady([v.value for v in earlier if v.value], coverage, least)
    found = model(0.0)
    verdict, where = _verdict(last.value or 0.0, found)
    reason = f"{where} the band: {found.low:.4g} to {found.high:.4g}."
    return made(verdict, found.rule, reason), model


def _finding(row: Row) -> Finding:
    severity = Severity.WARNING if row.verdict == "warn" else Severity.INFO
    code = "off_course" if row.verdict == "warn" else "course_unknown"
    return Finding(severity, code, f"{row.name}: {sentence(row.reason)} Rule: {row.rule}")
