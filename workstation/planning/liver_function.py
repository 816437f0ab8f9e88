"""Published formulas of liver volume, liver function and portal pressure."""

from __future__ import annotations

from math import log, log10, sqrt
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from hemodynamics.liver import LiverCirculation
from hemodynamics.score import Published, Score, band
from segmentation.contract import Finding, Severity

Height = Annotated[float, Gt(30), Le(260)]
Weight = Annotated[float, Gt(1), Le(400)]
Creatinine = Annotated[float, Gt(0), Le(40)]
Bilirubin = Annotated[float, Gt(0), Le(100)]
Inr = Annotated[float, Gt(0), Le(20)]
Sodium = Annotated[float, Ge(90), Le(200)]
Pressure = Annotated[float, Gt(0), Le(250)]
Flow = Annotated[float, Gt(0), Le(10)]


def body_surface_m2(height_cm: float, weight_kg: float) -> float:
    """Return the body surface area in m2 (Mosteller 1987, doi:10.1056/NEJM198710223171717)."""
    return sqrt(height_cm * weight_kg / 3600.0)


def standard_liver_volume(
    *, height_cm: Height, weight_kg: Weight, formula: Literal["vauthey", "urata"] = "vauthey"
) -> Score:
    """Liver volume that a body of this size is expected to have.

    Args:
        height_cm: body height.
        weight_kg: body weight.
        formula: vauthey (Western adults) or urata (Japanese).
    """
    surface = body_surface_m2(height_cm, weight_kg)
    ml = -794.41 + 1267.28 * surface if formula == "vauthey" else 706.2 * surface + 2.4
    if ml <= 0:
        raise ValueError(f"the formula {formula} does not hold for a body of {surface:.2f} m2")
    return Score(ml, details={"body_surface_m2": surface})


def flr(
    *, remnant_ml: Annotated[float, Ge(0), Le(10000)], height_cm: Height, weight_kg: Weight
) -> Score:
    """Future liver remnant as a share of the standard liver volume.

    Args:
        remnant_ml: volume of the liver that stays.
        height_cm: body height.
        weight_kg: body weight.
    """
    standard = standard_liver_volume(height_cm=height_cm, weight_kg=weight_kg)
    assert standard.value is not None
    percent = 100.0 * remnant_ml / standard.value
    words = band(
        percent,
        (20.0, 30.0, 40.0),
        (
            "below the limit for a normal liver (20 %)",
            "enough for a normal liver; below the limit after chemotherapy (30 %)",
            "enough after chemotherapy; below the limit in fibrosis or cirrhosis (40 %)",
            "above all published limits (20, 30 and 40 %)",
        ),
    )
    # 1 mL of liver is taken as 1 g.
    details = {
        "standard_liver_ml": standard.value,
        "body_surface_m2": standard.details["body_surface_m2"],
        "remnant_to_body_weight_percent": remnant_ml / weight_kg / 10.0,
    }
    return Score(percent, words, details=details)


def _meld(creatinine_mg_dl: float, bilirubin_mg_dl: float, inr: float) -> float:
    creatinine = min(max(creatinine_mg_dl, 1.0), 4.0)
    bilirubin, ratio = max(bilirubin_mg_dl, 1.0), max(inr, 1.0)
    return 9.57 * log(creatinine) + 3.78 * log(bilirubin) + 11.2 * log(ratio) + 6.43


def meld(*, creatinine_mg_dl: Creatinine, bilirubin_mg_dl: Bilirubin, inr: Inr) -> Score:
    """Model for end-stage liver disease, unrounded.

    Args:
        creatinine_mg_dl: serum creatinine; limited to 1 to 4.
        bilirubin_mg_dl: total bilirubin; at least 1.
        inr: international normalised ratio; at least 1.
    """
    return Score(_meld(creatinine_mg_dl, bilirubin_mg_dl, inr))


def meld_na(
    *,
    creatinine_mg_dl: Creatinine,
    bilirubin_mg_dl: Bilirubin,
    inr: Inr,
    sodium_mmol_l: Sodium,
) -> Score:
    """Model for end-stage liver disease with sodium, unrounded.

    Args:
        creatinine_mg_dl: serum creatinine; limited to 1 to 4.
        bilirubin_mg_dl: total bilirubin; at least 1.
        inr: international normalised ratio; at least 1.
        sodium_mmol_l: serum sodium; limited to 125 to 137.
    """
    points = _meld(creatinine_mg_dl, bilirubin_mg_dl, inr)
    lack = 137.0 - min(max(sodium_mmol_l, 125.0), 137.0)
    added = 1.32 * lack - 0.033 * points * lack if points > 11.0 else 0.0
    return Score(points + added, details={"meld": points})


def meld_3(
    *,
    creatinine_mg_dl: Creatinine,
    bilirubin_mg_dl: Bilirubin,
    inr: Inr,
    sodium_mmol_l: Sodium,
    albumin_g_dl: Annotated[float, Gt(0), Le(10)],
    female: bool,
) -> Score:
    """Model for end-stage liver disease 3.0, unrounded.

    Args:
        creatinine_mg_dl: serum creatinine; limited to 1 to 3.
        bilirubin_mg_dl: total bilirubin; at least 1.
        inr: international normalised ratio; at least 1.
        sodium_mmol_l: serum sodium; limited to 125 to 137.
        albumin_g_dl: serum albumin; limited to 1.5 to 3.5.
        female: whether the patient is a woman.
    """
    creatinine = log(min(max(creatinine_mg_dl, 1.0), 3.0))
    bilirubin, ratio = log(max(bilirubin_mg_dl, 1.0)), log(max(inr, 1.0))
    lack = 137.0 - min(max(sodium_mmol_l, 125.0), 137.0)
    thin = 3.5 - min(max(albumin_g_dl, 1.5), 3.5)
    return Score(
        1.33 * female
        + 4.56 * bilirubin
        + 0.82 * lack
        - 0.24 * lack * bilirubin
        + 9.09 * ratio
        + 11.14 * creatinine
        + 1.85 * thin
        - 1.83 * thin * creatinine
        + 6.0
    )


def albi(
    *,
    bilirubin_umol_l: Annotated[float, Gt(0), Le(2000)],
    albumin_g_l: Annotated[float, Gt(0), Le(100)],
) -> Score:
    """Albumin-bilirubin grade of liver function.

    Args:
        bilirubin_umol_l: total bilirubin.
        albumin_g_l: serum albumin.
    """
    score = 0.66 * log10(bilirubin_umol_l) - 0.085 * albumin_g_l
    grade = 1 if score <= -2.60 else 2 if score <= -1.39 else 3
    return Score(score, f"grade {grade}", details={"grade": grade})


def child_pugh(
    *,
    bilirubin_mg_dl: Bilirubin,
    albumin_g_dl: Annotated[float, Gt(0), Le(10)],
    inr: Inr,
    ascites: Literal["none", "mild", "moderate", "severe", "moderate-severe"],
    encephalopathy_grade: Annotated[int, Ge(0), Le(4)],
) -> Score:
    """Child-Pugh class of cirrhosis.

    Args:
        bilirubin_mg_dl: total bilirubin.
        albumin_g_dl: serum albumin.
        inr: international normalised ratio.
        ascites: amount of ascites.
        encephalopathy_grade: West Haven grade, 0 to 4.
    """
    parts = (
        1 if bilirubin_mg_dl < 2 else 2 if bilirubin_mg_dl <= 3 else 3,
        1 if albumin_g_dl > 3.5 else 2 if albumin_g_dl >= 2.8 else 3,
        1 if inr < 1.7 else 2 if inr <= 2.3 else 3,
        {"none": 1, "mild": 2}.get(ascites, 3),
        band(encephalopathy_grade, (1, 3), (1, 2, 3)),
    )
    points = sum(parts)
    return Score(float(points), f"class {band(points, (7, 10), 'ABC')}")


def portal_pressure_4r(
    *,
    map_mmhg: Pressure,
    pvp_mmhg: Pressure,
    sinusoidal_mmhg: Pressure,
    cvp_mmhg: Pressure,
    portal_flow_l_min: Flow,
    arterial_flow_l_min: Flow,
    resected_fraction: Annotated[float, Ge(0), Lt(1)],
) -> Score:
    """Portal vein pressure after a resection by the steady four-resistor model.

    Args:
        map_mmhg: mean arterial pressure.
        pvp_mmhg: portal vein pressure before.
        sinusoidal_mmhg: pressure in the hepatic sinusoids before.
        cvp_mmhg: central venous pressure.
        portal_flow_l_min: portal vein flow before.
        arterial_flow_l_min: hepatic artery flow before.
        resected_fraction: share of the liver volume that is removed.
    """
    before = LiverCirculation(
        map_mmhg, pvp_mmhg, sinusoidal_mmhg, cvp_mmhg, portal_flow_l_min, arterial_flow_l_min
    )
    after = before.after_resection(resected_fraction)
    details = {
        "gradient_after_mmhg": after.gradient_mmhg,
        "portal_flow_after_l_min": after.portal_flow_l_min,
        "arterial_flow_after_l_min": after.arterial_flow_l_min,
    }
    text = "a steady model that has not been validated against patients"
    note = Finding(Severity.INFO, "not_validated", text)
    return Score(
        after.portal_mmhg, _pressure_words(after.portal_mmhg), None, None, details, (note,)
    )


def _pressure_words(portal_mmhg: float) -> str:
    """Place a pressure beside the cut-off for post-hepatectomy liver failure of Allard 2013."""
    side = "at or above" if portal_mmhg >= 22.0 else "below"
    return f"{side} 22 mmHg, the cut-off for liver failure of Allard 2013"


MODELS = (
    Published(
        "standard_liver_volume",
        standard_liver_volume,
        "mL",
        "vauthey: 292 Western adults; urata: 96 Japanese patients",
        "Vauthey 2002, doi:10.1053/jlts.2002.31654; Urata 1995, doi:10.1002/hep.1840210515",
    ),
    Published(
        "flr",
        flr,
        "%",
        "adults before major hepatectomy",
        "Vauthey 2002, doi:10.1053/jlts.2002.31654; limits: table in doi:10.1002/jso.25430",
    ),
    Published(
        "meld",
        meld,
        "points",
        "adults with end-stage liver disease",
        "Kamath 2001, doi:10.1053/jhep.2001.22172, as OPTN used it until 2016",
    ),
    Published(
        "meld_na",
        meld_na,
        "points",
        "adults waiting for a liver in the United States",
        "Kim 2008, doi:10.1056/NEJMoa0801209, as OPTN used it from 2016 to 2023",
    ),
    Published(
        "meld_3",
        meld_3,
        "points",
        "adults waiting for a liver in the United States, 2016 to 2018",
        "Kim 2021, doi:10.1053/j.gastro.2021.08.050",
    ),
    Published(
        "albi",
        albi,
        "",
        "patients with hepatocellular carcinoma",
        "Johnson 2015, doi:10.1200/JCO.2014.57.9151",
    ),
    Published(
        "child_pugh",
        child_pugh,
        "points",
        "patients with cirrhosis",
        "Pugh 1973, doi:10.1002/bjs.1800600817, with INR for prothrombin time",
    ),
    Published(
        "portal_pressure_4r",
        portal_pressure_4r,
        "mmHg",
        "no patients: a model of this project, not validated",
        "four resistors scaled with 1 / (1 - f), after Audebert 2017, "
        "doi:10.1016/j.jbiomech.2016.11.037",
    ),
)
