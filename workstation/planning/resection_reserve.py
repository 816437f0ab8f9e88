"""What a resection leaves: the future liver remnant beside its limits, and liver function.

Limits of the remnant's share of the standard liver volume: table in doi:10.1002/jso.25430; of its
share of the body weight: Truant et al. 2007, doi:10.1016/j.jamcollsurg.2006.09.007.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, log
from typing import Any, Literal

import numpy as np

from hemodynamics.score import Score
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent
from segmentation.volume import LabelMap, bounding_block, require_same_grid
from workstation.planning.liver_function import (
    MODELS,
    albi,
    child_pugh,
    meld,
    meld_3,
    meld_na,
    standard_liver_volume,
)

Background = Literal["unknown", "normal", "chemotherapy", "cirrhosis"]

LIMITS_PERCENT = {
    "normal": (20.0, "a normal liver"),
    "chemotherapy": (30.0, "a liver after chemotherapy"),
    "cirrhosis": (40.0, "a liver with fibrosis or cirrhosis"),
}
LIMITS = "published limits: 20 % normal, 30 % after chemotherapy, 40 % fibrosis or cirrhosis"
BODY_LIMIT_PERCENT = 0.5
ICG_LIMIT = 0.05  # 1/min, of the remnant
UMOL_PER_MG_DL = 17.1  # bilirubin
FORMULAS: tuple[tuple[Literal["vauthey", "urata"], str], ...] = (
    ("vauthey", "Vauthey 2002, doi:10.1053/jlts.2002.31654"),
    ("urata", "Urata 1995, doi:10.1002/hep.1840210515"),
)
REMEDY = "Move the cut, or consider making the remnant grow before the resection."


def future_remnant(
    remnant: LabelMap,
    liver: LabelMap,
    patient: Measurements | None = None,
    tumor: LabelMap | None = None,
    *,
    background: Background = "unknown",
    progress: Progress = silent,
) -> Measurements:
    """Compare the future liver remnant with its published limits.

    Args:
        remnant: the part of the liver that stays.
        liver: the whole liver.
        patient: body weight and height, for the shares of standard volume and body weight.
        tumor: tumour, which does not count as liver.
        background: the state of the liver, which chooses the limit that applies.
        progress: told how far the work is.

    Raises:
        FrameMismatch: if the labels lie on different grids.
        ValueError: if no liver is left beside the tumour.
    """
    require_same_grid(liver, remnant)
    block = _around(liver, remnant)
    stays, whole = remnant.array[block] != 0, liver.array[block] != 0
    if tumor is not None:
        require_same_grid(liver, tumor)
        healthy = tumor.array[block] == 0
        stays, whole = stays & healthy, whole & healthy
    if not whole.any():
        raise ValueError("no liver is left beside the tumour; check both labels")
    progress(0.5, "comparing the remnant")
    left_ml = float(np.count_nonzero(stays)) * liver.geometry.voxel_ml
    total = 100.0 * float(np.count_nonzero(stays) / np.count_nonzero(whole))
    less = "" if tumor is None else ", tumour left out"
    numbers = [
        Number("volume", left_ml, "mL", f"voxel count x voxel volume{less}"),
        Number("flr.total", total, "%", f"remnant / liver, both measured{less}", plain=True),
    ]
    findings = _below("measured liver volume", total, background)
    known = _known(patient)
    more, said = _by_body(left_ml, known, background)
    return Measurements((*numbers, *more), (*findings, *said))


def _around(*labels: LabelMap) -> tuple[slice, ...]:
    """Return the tightest block [k, j, i] around all voxels of labels on one grid."""
    found = (bounding_block(one.array) for one in labels)
    blocks = [block for block in found if block is not None]
    return tuple(
        slice(
            min((b[a].start for b in blocks), default=0),
            max((b[a].stop for b in blocks), default=0),
        )
        for a in range(3)
    )


def _by_body(
    left_ml: float, known: Mapping[str, float], background: Background
) -> tuple[list[Number], list[Finding]]:
    """Return the shares of the standard liver volume and of the body weight."""
    weight, height = known.get("body_weight_kg"), known.get("height_cm")
    if weight is None or height is None:
        words = [
            name for name, value in (("body weight", weight), ("height", height)) if value is None
        ]
        text = f"Shares of the standard liver volume need the patient's {' and '.join(words)}."
        remedy = "Enter it with the patient's values."
        missing = [Finding(Severity.INFO, "flr_inputs", text, remedy=remedy)]
    else:
        missing = []
    numbers, findings = [], missing
    if weight is not None and height is not None:
        for formula, source in FORMULAS:
            standard = standard_liver_volume(height_cm=height, weight_kg=weight, formula=formula)
            assert standard.value is not None
            share = 100.0 * left_ml / standard.value
            said = (
                f"remnant / standard liver volume of {standard.value:.0f} mL ({source}); {LIMITS}"
            )
            numbers.append(Number(f"flr.standard_{formula}", share, "%", said, plain=True))
            if formula == "vauthey":
                findings += _below("standard liver volume (Vauthey)", share, background)
    if weight is not None:
        share = left_ml / weight / 10.0  # 1 mL of liver is taken as 1 g
        source = "remnant / body weight, 1 mL as 1 g; limit 0.5 % (Truant 2007)"
        numbers.append(Number("flr.body_weight", share, "%", source, plain=True))
        if share < BODY_LIMIT_PERCENT:
            text = f"The remnant is {share:.2f} % of the body weight, below the limit of 0.5 %."
            findings.append(Finding(Severity.WARNING, "flr_body_weight", text, remedy=REMEDY))
    return numbers, findings


def _below(of: str, share: float, background: Background) -> list[Finding]:
    """Return a warning where a share lies below the limit that applies, or below any."""
    asked = LIMITS_PERCENT if background == "unknown" else {background: LIMITS_PERCENT[background]}
    under = [(limit, words) for limit, words in asked.values() if share < limit]
    if not under:
        return []
    limits = "; ".join(f"{limit:g} % for {words}" for limit, words in under)
    text = f"The remnant is {share:.1f} % of the {of}, below the limit of {limits}."
    sure = background != "unknown" or len(under) == len(LIMITS_PERCENT)
    severity = Severity.WARNING if sure else Severity.INFO
    return [Finding(severity, "flr_below_limit", text, remedy=REMEDY)]


def liver_reserve(
    patient: Measurements,
    remnant_shares: Measurements | None = None,
    *,
    progress: Progress = silent,
) -> Measurements:
    """Score the function of the liver from the patient's values.

    ICG clearance, ALBI, MELD, MELD-Na, MELD 3.0 and Child-Pugh; what cannot be computed says which
    values are missing. With the shares of the remnant, its ICG clearance too.

    Args:
        patient: the patient's values.
        remnant_shares: result of the comparison of the future remnant.
        progress: told how far the work is.
    """
    known = _known(patient)
    numbers, findings = _icg(known, _known(remnant_shares))
    for name, unit, model, needed in SCORES:
        missing = [words for key, words in needed.items() if key not in known]
        if missing:
            text = f"{TITLES[name]} is not computed; not entered: {', '.join(missing)}."
            remedy = "Enter the patient's values to get it."
            findings.append(Finding(Severity.INFO, f"{name}_inputs", text, remedy=remedy))
            continue
        score = model(known)
        assert score.value is not None
        source = f"from the patient's values; {SOURCES[name]}"
        numbers.append(Number(name, score.value, unit, source))
        if score.label:
            text = f"{TITLES[name]} is {score.value:.4g}: {score.label}."
            findings.append(Finding(Severity.INFO, name, text))
    progress(1.0)
    return Measurements(tuple(numbers), tuple(findings))


def _icg(
    known: Mapping[str, float], shares: Mapping[str, float]
) -> tuple[list[Number], list[Finding]]:
    """Return the clearance of indocyanine green, and that of the remnant."""
    rate, kept = known.get("icg_k_per_min"), known.get("icg_r15_percent")
    if rate is None and kept is None:
        text = "ICG clearance is not computed; not entered: ICG-K or ICG-R15."
        return [], [Finding(Severity.INFO, "icg_inputs", text)]
    given = rate is not None
    if rate is None:
        assert kept is not None
        rate = -log(kept / 100.0) / 15.0
    source = "entered by hand" if given else "-ln(R15) / 15 min, one exponential decay"
    numbers = [Number("icg_k", rate, "1/min", source)]
    if kept is None:
        r15 = 100.0 * exp(-15.0 * rate)
        numbers.append(Number("icg_r15", r15, "%", "exp(-15 min x K), one exponential decay"))
    share = shares.get("flr.total")
    if share is None:
        return numbers, []
    left = rate * share / 100.0
    source = "ICG-K x remnant / liver, function taken as even; limit 0.05 per min"
    numbers.append(Number("icg_k_remnant", left, "1/min", source))
    if left >= ICG_LIMIT:
        return numbers, []
    text = f"The ICG clearance of the remnant is {left:.3f} per min, below the limit of 0.05."
    return numbers, [Finding(Severity.WARNING, "icg_below_limit", text, remedy=REMEDY)]


def _known(values: Measurements | None) -> dict[str, float]:
    return {} if values is None else {n.quantity: n.value for n in values.numbers}


def _taken(model: Callable[..., Score], *names: str) -> Callable[[Mapping[str, float]], Score]:
    def run(known: Mapping[str, float]) -> Score:
        given: dict[str, Any] = {name: known[name] for name in names}
        if "female" in given:
            given["female"] = bool(given["female"])
        return model(**given)

    return run


def _child_pugh(known: Mapping[str, float]) -> Score:
    amounts: tuple[Literal["none"], Literal["mild"], Literal["moderate-severe"]]
    amounts = ("none", "mild", "moderate-severe")
    return child_pugh(
        bilirubin_mg_dl=known["bilirubin_mg_dl"],
        albumin_g_dl=known["albumin_g_dl"],
        inr=known["inr"],
        ascites=amounts[int(known["ascites_grade"])],
        encephalopathy_grade=int(known["encephalopathy_grade"]),
    )


def _albi(known: Mapping[str, float]) -> Score:
    return albi(
        bilirubin_umol_l=UMOL_PER_MG_DL * known["bilirubin_mg_dl"],
        albumin_g_l=10.0 * known["albumin_g_dl"],
    )


BILIRUBIN = {"bilirubin_mg_dl": "bilirubin"}
ALBUMIN = {"albumin_g_dl": "albumin"}
MELD = {"creatinine_mg_dl": "creatinine"} | BILIRUBIN | {"inr": "INR"}
SODIUM = MELD | {"sodium_mmol_l": "sodium"}
MELD_3 = SODIUM | ALBUMIN | {"female": "sex"}
CHILD = BILIRUBIN | ALBUMIN | {"inr": "INR", "ascites_grade": "ascites"}
CHILD |= {"encephalopathy_grade": "encephalopathy"}

TITLES = {
    "albi": "ALBI",
    "meld": "MELD",
    "meld_na": "MELD-Na",
    "meld_3": "MELD 3.0",
    "child_pugh": "Child-Pugh",
}

SOURCES = {published.name: published.source for published in MODELS}

SCORES: tuple[tuple[str, str, Callable[[Mapping[str, float]], Score], Mapping[str, str]], ...] = (
    ("albi", "", _albi, BILIRUBIN | ALBUMIN),
    ("meld", "points", _taken(meld, *MELD), MELD),
    ("meld_na", "points", _taken(meld_na, *SODIUM), SODIUM),
    ("meld_3", "points", _taken(meld_3, *MELD_3), MELD_3),
    ("child_pugh", "points", _child_pugh, CHILD),
)
