"""Worked examples of clinical scores and indices: what the product must give, to the last digit.

The reference values were computed from the published formulas, or are those of the publisher
where the source says so. A row passes within half of the last digit that the reference has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from hemodynamics.boundary import MEAN_SPEED_M_S
from hemodynamics.indices import osi, pressure_loss_coefficient, rrt_1_pa, tawss_pa
from hemodynamics.verification.rows import Means, Row
from hemodynamics.verification.shapes import revolved
from meshing.aneurysm_neck import Neck
from meshing.aneurysm_shape import shape_of
from segmentation.metrics import dice, surface_distances_mm
from segmentation.volume import ImageGeometry, Label, LabelMap
from workstation import scores

LABS = "creatinine_mg_dl=1.5 bilirubin_mg_dl=3 inr=1.8"
PRESSURES = (
    "portal_pressure_4r map_mmhg=85 pvp_mmhg=9 sinusoidal_mmhg=6 cvp_mmhg=4 portal_flow_l_min=1 "
    "arterial_flow_l_min=0.3"
)
PHASES = (
    "phases population=japanese hypertension=true age_years=72 size_mm=8 "
    "earlier_sah=false site=acom"
)
UCAS = "ucas age_years=72 female=true hypertension=true size_mm=8 site=acom daughter_sac=true"
ELAPSS = "elapss earlier_sah=false site=mca age_years=58 population=other size_mm=6 irregular=true"
DONOR = (
    "kdri year=2024 age_years=52 height_cm=183 weight_kg=81 hypertension=yes diabetes=no "
    "stroke_death=1 creatinine_mg_dl=1.7 dcd=true"
)
LKDPI = (
    "lkdpi age_years=55 egfr=90 bmi=26 black=0 smoker=0 sbp_mmhg=125 male_to_male=0 "
    "abo_incompatible=0 related=1 b_mismatches=1 dr_mismatches=1 weight_ratio=0.85"
)
OPTN = "the Organ Procurement and Transplantation Network's own example"

SCORES: tuple[tuple[str, str, str, str], ...] = (
    # line, quantity ("value" or a further result), reference as printed, unit
    ("poiseuille_wss flow_ml_s=4 radius_mm=2 viscosity_pa_s=0.0035", "value", "2.2282", "Pa"),
    ("poiseuille_wss flow_ml_s=4 radius_mm=2 viscosity_pa_s=0.0035", "reynolds", "385.6", ""),
    ("outflow_split diameters_mm=2.0,1.5 exponent=3", "fractions", "0.7033", ""),
    ("outflow_split diameters_mm=2.0,1.5 exponent=2", "fractions", "0.6400", ""),
    (PHASES, "points", "12", "points"),
    (PHASES, "value", "17.8", "%"),
    (UCAS, "value", "9", "points"),
    (UCAS, "risk_3_years_low_percent", "17", "%"),
    (ELAPSS, "value", "18", "points"),
    (ELAPSS, "growth_3_years_percent", "17.5", "%"),
    (ELAPSS, "growth_5_years_percent", "28.1", "%"),
    ("standard_liver_volume height_cm=175 weight_kg=75", "value", "1625.3", "mL"),
    ("flr remnant_ml=400 height_cm=175 weight_kg=75", "value", "24.6", "%"),
    (f"meld_3 {LABS} sodium_mmol_l=130 albumin_g_dl=2.8 female=true", "value", "26.87", "points"),
    (f"meld_3 {LABS} sodium_mmol_l=130 albumin_g_dl=2.8 female=false", "value", "25.54", "points"),
    (f"meld {LABS}", "value", "21.05", "points"),
    (f"meld_na {LABS} sodium_mmol_l=130", "value", "25.42", "points"),
    ("albi bilirubin_umol_l=20 albumin_g_l=40", "value", "-2.541", ""),
    (DONOR, "x_beta", "0.53787", ""),
    (DONOR, "value", "1.71236", ""),
    (DONOR, "scaled_2023", "1.30813", ""),
    (DONOR, "scaled_2024", "1.21931", ""),
    (
        "epts_raw age_years=23.5838467 diabetes=0 prior_transplant=1 dialysis_years=5.0814511",
        "value", "0.9666517", "",
    ),
    (
        "epts_raw age_years=52.8788501 diabetes=0 prior_transplant=0 dialysis_years=0",
        "value", "1.440306", "",
    ),
    (
        "epts_raw age_years=22.5242984 diabetes=1 prior_transplant=1 dialysis_years=6.8747433",
        "value", "1.868751", "",
    ),
    (
        "predicted_heart_mass female=true age_years=40 height_m=1.65 weight_kg=65",
        "value", "135.44", "g",
    ),
    (
        "predicted_heart_mass female=false age_years=55 height_m=1.78 weight_kg=85",
        "value", "193.62", "g",
    ),
    ("predicted_tlc female=true height_m=1.65", "value", "5.10", "L"),
    ("predicted_tlc female=false height_m=1.75", "value", "6.9025", "L"),
    (
        "hla_mismatch donor=A1,A2,B5,B7,DR1,DR4 recipient=A1,A2,B3,B15,DR4,DR7",
        "value", "3", "antigens",
    ),
    ("cpra haplotype_frequency_sum=0.30", "value", "0.51", ""),
    (LKDPI, "value", "22.67", ""),
)  # fmt: skip

TRIANGLES = 5e-4
"""How far the index of a ball of some ten thousand triangles may lie off the ball's."""

RESISTORS: tuple[tuple[float, str, str, str, str], ...] = (
    # resected fraction, portal pressure, gradient (mmHg), portal and arterial flow (L/min)
    (0.0, "9.00", "5.00", "1.000", "0.300"),
    (0.3, "10.79", "6.79", "0.976", "0.208"),
    (0.5, "13.05", "9.05", "0.947", "0.147"),
    (0.6, "14.91", "10.91", "0.922", "0.117"),
    (0.7, "17.82", "13.82", "0.884", "0.087"),
)


def worked_examples(means: Means) -> Iterator[Row]:
    """Yield the worked examples of scores, shear indices and overlap."""
    for line, key, printed, unit in SCORES:
        name, inputs, record = _score(line)
        value = record["value"] if key == "value" else record["inputs"][key]
        value = value[0] if key == "fractions" else value
        quantity = name if key == "value" else key
        source = OPTN if name in ("epts_raw", "hla_mismatch") else record["source"]
        yield _row("examples", f"{name}: {inputs}", quantity, value, printed, unit, source)
    for case, quantity, compute, printed, unit, source in _INDICES:
        yield _row("examples", case, quantity, compute(), printed, unit, source)
    for case, angle, index in (("ball", 1e-3, 0.2063), ("half a ball", np.pi / 2, 0.0)):
        yield Row("examples", case, "nonsphericity index", ball(angle), index, "", TRIANGLES,
                  RAGHAVAN)  # fmt: skip


def four_resistors(means: Means) -> Iterator[Row]:
    """Yield portal pressure, gradient and flows behind resections of growing size."""
    for fraction, *printed in RESISTORS:
        _, _, record = _score(f"{PRESSURES} resected_fraction={fraction}")
        after = record["inputs"]
        values = (
            ("portal pressure after", record["value"], "mmHg"),
            ("portocaval gradient after", after["gradient_after_mmhg"], "mmHg"),
            ("portal flow after", after["portal_flow_after_l_min"], "L/min"),
            ("arterial flow after", after["arterial_flow_after_l_min"], "L/min"),
        )
        for (quantity, value, unit), digits in zip(values, printed):
            case = f"liver, {fraction:.0%} resected"
            source = "four-resistor network solved by hand"
            yield _row("liver-resistors", case, quantity, value, digits, unit, source)


def _score(line: str) -> tuple[str, str, dict[str, Any]]:
    name, *pairs = line.split()
    inputs = dict(pair.split("=", 1) for pair in pairs)
    return name, ", ".join(pairs), scores.compute(name, inputs)


def half_digit(printed: str) -> float:
    """Return half of the last digit of a printed number, a little more for rounding."""
    decimals = len(printed.partition(".")[2])
    return 0.5001 * 10.0**-decimals if decimals else 1e-9


def _row(
    name: str, case: str, quantity: str, value: float, printed: str, unit: str, source: str
) -> Row:
    return Row(
        name, case, quantity, float(value), float(printed), unit, half_digit(printed), source
    )


def _swinging() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return shear of 1 + 2 cos(w t) Pa at one point, (times, 1, 3)."""
    times = 2 * np.pi * np.arange(100_000) / 100_000
    shear = np.zeros((len(times), 1, 3))
    shear[:, 0, 0] = 1 + 2 * np.cos(times)
    return shear


def _cubes() -> tuple[LabelMap, LabelMap]:
    """Return cubes of 10 mm, the second moved by 1 mm."""
    axes = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    grid = ImageGeometry((20, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), axes, "2.25.1")
    made = []
    for shift in (0, 1):
        array = np.zeros(grid.shape, np.uint8)
        array[4:14, 4:14, 4 + shift : 14 + shift] = 1
        made.append(LabelMap(array, grid, {1: Label("cube")}))
    return made[0], made[1]


def ball(from_angle: float) -> float:
    """Return the nonsphericity index of a ball from an angle off its lower pole, on a flat neck."""
    angles = np.linspace(from_angle, np.pi - 1e-3, 60)
    outline = [(-3.0 * np.cos(angle), 3.0 * np.sin(angle)) for angle in angles]
    pipe = revolved(outline, 3.0, sections=90)
    parts = pipe.boundaries
    wall = np.concatenate([parts["wall"], parts["outlet_1"]])
    dome = replace(pipe, boundaries={"wall": wall, "neck": parts["inlet"]})
    rim, height = pipe.points_mm[:90], outline[0][0]
    neck = Neck(
        rim, (0.0, 0.0, height), (0.0, 0.0, 1.0), (0.0, 0.0, 3.0), pipe.frame_uid,
        np.empty((0, 3)), np.empty(0),
    )  # fmt: skip
    return shape_of(dome, neck, None).values["nonsphericity_index"]


SHEAR = "shear 1 + 2 cos(w t) Pa"
RAGHAVAN = "Raghavan 2005, doi:10.3171/jns.2005.102.2.0355"
HE_KU = "He and Ku 1996, doi:10.1115/1.2795948"
_INDICES: tuple[tuple[str, str, Callable[[], float], str, str, str], ...] = (
    (
        "inlet of 4.6 mm without a measured flow", "mean flow",
        lambda: MEAN_SPEED_M_S * np.pi / 4 * 4.6**2, "4.487", "mL/s",
        "Valen-Sendstad 2015, doi:10.1007/s10439-015-1288-5",
    ),
    (SHEAR, "TAWSS", lambda: tawss_pa(_swinging())[0], "1.43599", "Pa", HE_KU),
    (SHEAR, "OSI", lambda: osi(_swinging())[0], "0.15181", "", HE_KU),
    (
        SHEAR, "RRT", lambda: rrt_1_pa(_swinging())[0], "1.000", "1/Pa",
        "Himburg 2004, doi:10.1152/ajpheart.00897.2003",
    ),
    (
        "300 Pa lost from 0.40 to 0.50 m/s", "pressure loss coefficient",
        lambda: pressure_loss_coefficient(300.0, 0.40, 0.0, 0.50), "2.9752", "",
        "energy balance, blood of 1060 kg/m3",
    ),
    (
        "cubes of 10 mm, 1 mm apart", "Dice coefficient", lambda: dice(*_cubes()), "0.900", "",
        "overlap by hand",
    ),
    (
        "cubes of 10 mm, 1 mm apart", "Hausdorff distance",
        lambda: surface_distances_mm(*_cubes()).maximum_mm, "1", "mm", "distance by hand",
    ),
)  # fmt: skip
