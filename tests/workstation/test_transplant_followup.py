from __future__ import annotations

import json
from math import exp
from typing import Any

import numpy as np
import pytest

from tests.workstation.transplant_people import record
from workstation.planning.followup import falling_course, steady_course, transplant_followup
from workstation.planning.transplant_rows import Sheet

START, DAY = "2026-01-01", "2026-01-21"


def course(last: float, days: int = 20, **more: Any) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    values = [
        {"value": float((1.2 + 5 * exp(-d / 3)) * (1 + 0.03 * rng.standard_normal())),
         "date": f"2026-01-{1 + d:02d}"}
        for d in range(1, 16)
    ]  # fmt: skip
    return {"creatinine": [*values, {"value": last, "date": f"2026-01-{1 + days:02d}"}]} | more


def follow(values: dict[str, Any], **settings: Any) -> Sheet:
    made = {"transplant_date": START, "review_date": DAY} | settings
    return transplant_followup(record(values), **made)


@pytest.mark.parametrize(
    ("last", "verdict"), [(1.21, "pass"), (1.9, "warn"), (0.7, "warn"), (1.3, "pass")]
)
def test_a_value_is_judged_by_the_course_of_the_persons_own(last: float, verdict: str) -> None:
    found = follow(course(last))
    row = found.row("follow.creatinine")
    assert row.verdict == verdict
    band = next(n for n in found.numbers if n.quantity == "follow.creatinine.expected")
    assert band.value == pytest.approx(1.2, rel=0.1)
    assert band.low is not None
    assert band.high is not None
    off = [f for f in found.findings if f.code == "off_course"]
    assert len(off) == (verdict == "warn")
    assert all("fitted" in f.sentence for f in off)


def test_what_is_missing_old_or_too_short_is_never_normal() -> None:
    assert follow({}).row("follow.bilirubin").verdict == "unknown"
    assert (
        follow(course(1.2), review_date="2026-03-01").row("follow.creatinine").verdict == "unknown"
    )
    assert follow(course(1.2), transplant_date="").row("follow.creatinine").verdict == "unknown"
    few = {"creatinine": course(1.2)["creatinine"][-3:]}
    assert follow(few).row("follow.creatinine").verdict == "unknown"
    before = follow(course(1.2), transplant_date="2026-01-21")
    assert before.row("follow.creatinine").verdict == "unknown"
    twice = course(1.2)
    twice["creatinine"].append({"value": 1.6, "date": "2026-01-21"})
    assert "given twice" in follow(twice).row("follow.creatinine").reason


def test_a_new_antibody_warns_and_an_old_one_is_held_to_its_course() -> None:
    old = [{"value": "DR4", "mfi": m, "date": f"2026-01-{d:02d}"}
           for d, m in ((2, 900), (6, 1000), (10, 950), (14, 980))]  # fmt: skip
    new = {"value": "DQ7", "mfi": 3000, "date": "2026-01-20"}
    found = follow({"antibody": [*old, new]})
    assert found.row("follow.antibody.DQ7").verdict == "warn"
    assert found.row("follow.antibody.DR4").verdict == "pass"
    risen = {"value": "DR4", "mfi": 4000, "date": "2026-01-20"}
    assert follow({"antibody": [*old, risen]}).row("follow.antibody.DR4").verdict == "warn"


def test_a_known_course_is_found_again() -> None:
    days = [0.5, 1, 2, 3, 5, 8, 12]
    values = [1.1 + 6 * exp(-d / 2.5) for d in days]
    found = falling_course(days, values, 0.99, 0.05)(20)
    assert found.value == pytest.approx(1.1, rel=0.02)
    assert found.low < 1.1 < found.high


def test_the_band_holds_as_many_values_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        *earlier, last = np.exp(rng.normal(1.0, 0.2, 8))
        found = steady_course(earlier, 0.9, 0.001)
        inside += found.low <= last <= found.high
    assert 0.85 < inside / 400 < 0.95


def test_a_chart_holds_every_value_and_the_band_of_the_earlier_ones_only() -> None:
    before = {"value": 8.0, "date": "2025-12-30"}
    later = {"value": 9.0, "date": "2026-02-01"}
    values = course(1.9)
    values["creatinine"] += [before, later]
    made = follow(values | {"tacrolimus": {"value": 8.1, "unit": "ng/mL", "date": "2026-01-05"}})
    charts = {c.row: c for c in made.courses}
    assert set(charts) == {"follow.creatinine", "follow.tacrolimus"}
    chart = charts["follow.creatinine"]
    assert chart.days == (*range(1, 16), 20)  # none before the transplant, none after the review
    assert chart.values[-1] == 1.9
    assert chart.verdict == "warn"
    row = made.row("follow.creatinine")
    band = next(n for n in made.numbers if n.quantity == "follow.creatinine.expected")
    assert (chart.band_days[-1], chart.low[-1], chart.high[-1]) == (20.0, band.low, band.high)
    assert chart.rule == row.rule
    assert chart.expected[0] > 2 * chart.expected[-1]  # it follows the fall
    assert charts["follow.tacrolimus"].band_days == ()  # too few values for a band
    again = Sheet.read(json.loads(json.dumps(made.to_json())))
    assert again == made
    other = follow(course(1.3))
    assert other.courses[0].high == chart.high  # the newest value has no part in its own band
