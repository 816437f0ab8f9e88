"""Values of the patient that no image holds."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le

from segmentation.contract import Measurements, Number, Progress, silent

UNITS = {
    "body_weight_kg": "kg",
    "height_cm": "cm",
    "map_mmhg": "mmHg",
    "portal_pressure_mmhg": "mmHg",
    "sinusoidal_pressure_mmhg": "mmHg",
    "cvp_mmhg": "mmHg",
    "portal_flow_l_min": "L/min",
    "arterial_flow_l_min": "L/min",
}


def patient(
    *,
    body_weight_kg: Annotated[float, Gt(0), Le(400)] | None = None,
    height_cm: Annotated[float, Gt(0), Le(260)] | None = None,
    map_mmhg: Annotated[float, Gt(0), Le(250)] | None = None,
    portal_pressure_mmhg: Annotated[float, Gt(0), Le(80)] | None = None,
    sinusoidal_pressure_mmhg: Annotated[float, Gt(0), Le(80)] | None = None,
    cvp_mmhg: Annotated[float, Gt(0), Le(60)] | None = None,
    portal_flow_l_min: Annotated[float, Gt(0), Le(10)] | None = None,
    arterial_flow_l_min: Annotated[float, Gt(0), Le(10)] | None = None,
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
        portal_flow_l_min: Portal vein flow.
        arterial_flow_l_min: Hepatic artery flow.
        origins: Name, value and origin of what was not entered by hand; it holds for that value.
    """
    given = {
        "body_weight_kg": body_weight_kg,
        "height_cm": height_cm,
        "map_mmhg": map_mmhg,
        "portal_pressure_mmhg": portal_pressure_mmhg,
        "sinusoidal_pressure_mmhg": sinusoidal_pressure_mmhg,
        "cvp_mmhg": cvp_mmhg,
        "portal_flow_l_min": portal_flow_l_min,
        "arterial_flow_l_min": arterial_flow_l_min,
    }
    known = {(name, value): origin for name, value, origin in origins}
    progress(1.0)
    return Measurements(
        tuple(
            Number(name, value, UNITS[name], known.get((name, value), "entered by hand"))
            for name, value in given.items()
            if value is not None
        )
    )
