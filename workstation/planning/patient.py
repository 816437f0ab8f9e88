"""Values of the patient that no image holds."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

from segmentation.contract import Measurements, Number, Progress, silent

UNITS = {
    "body_weight_kg": "kg",
    "height_cm": "cm",
    "map_mmhg": "mmHg",
    "portal_pressure_mmhg": "mmHg",
    "sinusoidal_pressure_mmhg": "mmHg",
    "cvp_mmhg": "mmHg",
    "cardiac_output_l_min": "L/min",
    "heart_rate_per_min": "1/min",
    "portal_flow_l_min": "L/min",
    "arterial_flow_l_min": "L/min",
    "bilirubin_mg_dl": "mg/dL",
    "albumin_g_dl": "g/dL",
    "inr": "",
    "creatinine_mg_dl": "mg/dL",
    "sodium_mmol_l": "mmol/L",
    "ascites_grade": "",
    "encephalopathy_grade": "",
    "icg_k_per_min": "1/min",
    "icg_r15_percent": "%",
    "female": "",
}


def patient(
    *,
    body_weight_kg: Annotated[float, Gt(0), Le(400)] | None = None,
    height_cm: Annotated[float, Gt(0), Le(260)] | None = None,
    map_mmhg: Annotated[float, Gt(0), Le(250)] | None = None,
    portal_pressure_mmhg: Annotated[float, Gt(0), Le(80)] | None = None,
    sinusoidal_pressure_mmhg: Annotated[float, Gt(0), Le(80)] | None = None,
    cvp_mmhg: Annotated[float, Gt(0), Le(60)] | None = None,
    cardiac_output_l_min: Annotated[float, Gt(0), Le(20)] | None = None,
    heart_rate_per_min: Annotated[float, Ge(10), Le(350)] | None = None,
    portal_flow_l_min: Annotated[float, Gt(0), Le(10)] | None = None,
    arterial_flow_l_min: Annotated[float, Gt(0), Le(10)] | None = None,
    bilirubin_mg_dl: Annotated[float, Gt(0), Le(100)] | None = None,
    albumin_g_dl: Annotated[float, Gt(0), Le(10)] | None = None,
    inr: Annotated[float, Gt(0), Le(20)] | None = None,
    creatinine_mg_dl: Annotated[float, Gt(0), Le(40)] | None = None,
    sodium_mmol_l: Annotated[float, Ge(90), Le(200)] | None = None,
    ascites_grade: Annotated[int, Ge(0), Le(2)] | None = None,
    encephalopathy_grade: Annotated[int, Ge(0), Le(4)] | None = None,
    icg_k_per_min: Annotated[float, Gt(0), Le(1)] | None = None,
    icg_r15_percent: Annotated[float, Gt(0), Le(100)] | None = None,
    female: bool | None = None,
    origins: tuple[tuple[str, float, str], ...] = (),
    progress: Progress = silent,
) -> Measurements:
    """Patient values, entered by hand or taken from the clinical record.

    Args:
        body_weight_kg: Body weight.
        height_cm: Body height.
        map_mmhg: Mean arterial pressure.
        portal_pressure_mmhg: Portal vein pressure, measured.
        sinusoidal_pressure_mmhg: Pressure in the hepatic sinusoids (wedged hepatic venous).
        cvp_mmhg: Central venous (caval) pressure.
        cardiac_output_l_min: Cardiac output, measured.
        heart_rate_per_min: Heart rate at rest.
        portal_flow_l_min: Portal vein flow, measured (Doppler, flow MRI or at surgery).
        arterial_flow_l_min: Hepatic artery flow, measured.
        bilirubin_mg_dl: Total bilirubin in the serum.
        albumin_g_dl: Albumin in the serum.
        inr: International normalised ratio of the prothrombin time.
        creatinine_mg_dl: Creatinine in the serum.
        sodium_mmol_l: Sodium in the serum.
        ascites_grade: Ascites: 0 none, 1 mild, 2 moderate or severe.
        encephalopathy_grade: Encephalopathy, West Haven grade 0 to 4.
        icg_k_per_min: Clearance rate of indocyanine green (ICG-K).
        icg_r15_percent: Indocyanine green left after 15 minutes (ICG-R15).
        female: Whether the patient is a woman.
        origins: Name, value and origin of what was not entered by hand; it holds for that value.
    """
    given = {
        "body_weight_kg": body_weight_kg,
        "height_cm": height_cm,
        "map_mmhg": map_mmhg,
        "portal_pressure_mmhg": portal_pressure_mmhg,
        "sinusoidal_pressure_mmhg": sinusoidal_pressure_mmhg,
        "cvp_mmhg": cvp_mmhg,
        "cardiac_output_l_min": cardiac_output_l_min,
        "heart_rate_per_min": heart_rate_per_min,
        "portal_flow_l_min": portal_flow_l_min,
        "arterial_flow_l_min": arterial_flow_l_min,
        "bilirubin_mg_dl": bilirubin_mg_dl,
        "albumin_g_dl": albumin_g_dl,
        "inr": inr,
        "creatinine_mg_dl": creatinine_mg_dl,
        "sodium_mmol_l": sodium_mmol_l,
        "ascites_grade": ascites_grade,
        "encephalopathy_grade": encephalopathy_grade,
        "icg_k_per_min": icg_k_per_min,
        "icg_r15_percent": icg_r15_percent,
        "female": female,
    }
    known = {(name, value): origin for name, value, origin in origins}
    progress(1.0)
    return Measurements(
        tuple(
            Number(name, float(value), UNITS[name], known.get((name, value), "entered by hand"))
            for name, value in given.items()
            if value is not None
        )
    )
