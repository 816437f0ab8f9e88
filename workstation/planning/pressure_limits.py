"""Published limits beside a portal pressure and gradient after a resection."""

from __future__ import annotations

from collections.abc import Iterator

from hemodynamics.liver_forecast import Outcome
from segmentation.contract import Finding, Severity

ALLARD = "Allard 2013, Ann Surg 258:822, 277 patients without cirrhosis"
SAFE_MMHG, FAILURE_MMHG = 10.0, 21.0
"""At most 10 mmHg no liver failure; from 21 mmHg 90-day mortality (22 for failure) rises."""

GRAFT_MMHG = 15.0
"""Target of living-donor transplantation, Ogura 2010 (doi:10.1002/lt.22059)."""

SIGNIFICANT_MMHG, BLEEDING_MMHG = 10.0, 12.0
"""Hepatic venous pressure gradients, Baveno VII (doi:10.1016/j.jhep.2021.12.022)."""


def limits(outcome: Outcome) -> Iterator[Finding]:
    """Yield what the limits say about a value and its band."""
    portal, (low, high) = outcome.after.portal_mmhg, outcome.bands["portal_mmhg"]
    shown = f"the portal pressure after the resection, {portal:.1f} mmHg ({low:.1f} to {high:.1f})"
    if low >= FAILURE_MMHG or portal >= FAILURE_MMHG:
        yield _warning(
            "failure", f"{shown}, lies above {FAILURE_MMHG:g} mmHg, where liver failure and death "
            f"within 90 days became more frequent ({ALLARD})",
        )  # fmt: skip
    elif high >= FAILURE_MMHG:
        yield _warning(
            "failure", f"the band of {shown}, reaches {FAILURE_MMHG:g} mmHg, where liver failure "
            f"and death within 90 days became more frequent ({ALLARD})",
        )  # fmt: skip
    elif high <= SAFE_MMHG:
        yield _told(
            "safe", f"{shown}, lies below {SAFE_MMHG:g} mmHg, where the probability of liver "
            f"failure was nil ({ALLARD})",
        )  # fmt: skip
    if portal >= GRAFT_MMHG:
        yield _told(
            "graft", f"{shown}, is not below {GRAFT_MMHG:g} mmHg, the target for grafts of living "
            "donors (Ogura 2010)",
        )  # fmt: skip
    gradient = outcome.after.gradient_mmhg
    reached = BLEEDING_MMHG if gradient >= BLEEDING_MMHG else SIGNIFICANT_MMHG
    if gradient >= SIGNIFICANT_MMHG:
        meaning = "risk of variceal bleeding" if reached == BLEEDING_MMHG else "portal hypertension"
        yield _warning(
            "gradient", f"the portocaval gradient after the resection, {gradient:.1f} mmHg, is at "
            f"least {reached:g} mmHg; a hepatic venous gradient so high means {meaning} in chronic "
            "liver disease (Baveno VII); whether that holds after a resection is not known",
        )  # fmt: skip


def _warning(code: str, sentence: str) -> Finding:
    return Finding(Severity.WARNING, f"portal_pressure_{code}", sentence)


def _told(code: str, sentence: str) -> Finding:
    return Finding(Severity.INFO, f"portal_pressure_{code}", sentence)
