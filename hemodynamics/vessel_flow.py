"""Closed-form laws of flow in straight vessels and at bifurcations."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le, MinLen

from hemodynamics.score import Published, Score

DENSITY_KG_M3 = 1060.0
"""Of blood."""


def poiseuille_wss(
    *,
    flow_ml_s: Annotated[float, Gt(0), Le(1000)],
    radius_mm: Annotated[float, Gt(0), Le(50)],
    viscosity_pa_s: Annotated[float, Gt(0), Le(0.1)] = 0.0035,
) -> Score:
    """Wall shear stress of steady laminar flow in a straight round tube, 4 mu Q / (pi R^3).

    Args:
        flow_ml_s: mean flow.
        radius_mm: radius of the tube.
        viscosity_pa_s: dynamic viscosity; blood in large arteries has about 0.0035.
    """
    flow_m3_s, radius_m = flow_ml_s * 1e-6, radius_mm * 1e-3
    reynolds = 2 * DENSITY_KG_M3 * flow_m3_s / (np.pi * radius_m * viscosity_pa_s)
    return Score(
        float(4 * viscosity_pa_s * flow_m3_s / (np.pi * radius_m**3)),
        details={"reynolds": float(reynolds), "density_kg_m3": DENSITY_KG_M3},
    )


def outflow_split(
    *,
    diameters_mm: Annotated[tuple[Annotated[float, Gt(0), Le(100)], ...], MinLen(1)],
    exponent: Annotated[float, Gt(0), Le(6)] = 3.0,
) -> Score:
    """How flow divides between branches in proportion to a power of their diameters.

    Args:
        diameters_mm: diameter of each branch.
        exponent: 3 is Murray's law; 2 fits large conduit arteries better.
    """
    powers = np.array(diameters_mm) ** exponent
    fractions = (powers / powers.sum()).tolist()
    words = " : ".join(f"{fraction:.4g}" for fraction in fractions)
    return Score(None, words, details={"fractions": fractions})


MODELS = (
    Published(
        "poiseuille_wss",
        poiseuille_wss,
        "Pa",
        "steady laminar flow of a Newtonian fluid in a rigid round tube",
        "Hagen-Poiseuille law; blood density 1060 kg/m3",
    ),
    Published(
        "outflow_split",
        outflow_split,
        "",
        "arterial bifurcations; the exponent is an assumption",
        "Murray 1926, doi:10.1073/pnas.12.3.207; exponent 2: "
        "Valen-Sendstad 2015, doi:10.1007/s10439-015-1288-5",
    ),
)
