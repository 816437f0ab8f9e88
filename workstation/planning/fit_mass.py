"""Where an implant's centre of mass lies, and what it weighs in each material."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from meshing.surface import SurfaceMesh, require_watertight
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent
from segmentation.volume import Floats

MATERIALS = {
    "PEEK": (1.30, 1.30, 1.32, "unfilled PEEK as sold, 1.30 to 1.32 g/cm3 (Victrex 450G: 1.32)"),
    "PMMA": (1.18, 1.19, 1.20, "cast PMMA, 1.19 +- 0.01 (UFGS 4.159, by ASTM D792)"),
    "Ti-6Al-4V ELI": (4.42, 4.43, 4.43, "ASTM F136 bar (Fort Wayne Metals: 4.43; others 4.42)"),
}
"""Density in g/cm3: low, usual and high, and who states it."""


def implant_mass(
    implant: SurfaceMesh,
    *,
    material: str = "",
    density_g_cm3: Annotated[float, Gt(0), Le(25)] | None = None,
    progress: Progress = silent,
) -> Measurements:
    """Weigh an implant in PEEK, PMMA, titanium and a material of your own.

    Args:
        implant: the closed surface of the implant.
        material: name of another material, such as UHMWPE or CoCr.
        density_g_cm3: of that material, as its maker states it; none is assumed.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the implant is not closed.
        ValueError: if only one of material and density is given, or the name is already taken.
    """
    require_watertight(implant)
    if bool(material.strip()) != (density_g_cm3 is not None):
        raise ValueError("a material of your own needs both material and density_g_cm3")
    if material.strip() in MATERIALS:
        raise ValueError(f"{material.strip()} is listed already; give yours another name")
    volume_ml, centre = mass_centre(implant)
    progress(0.9, "weighing")
    numbers = [
        *(
            Number(f"centre.{axis}", float(value), "mm", "centre of mass of an even solid, LPS")
            for axis, value in zip("xyz", centre)
        ),
        *(
            Number(name, volume_ml * usual, "g", f"volume x density: {source}",
                   volume_ml * low, volume_ml * high)
            for name, (low, usual, high, source) in MATERIALS.items()
        ),
    ]  # fmt: skip
    findings: tuple[Finding, ...] = ()
    if density_g_cm3 is not None:
        said = f"volume x {density_g_cm3:g} g/cm3 as given"
        numbers.append(Number(material.strip(), volume_ml * density_g_cm3, "g", said))
        text = f"the density of {material.strip()} is {density_g_cm3:g} g/cm³ because it was given"
        findings = (Finding(Severity.INFO, "density_given", text),)
    return Measurements(tuple(numbers), findings)


def mass_centre(solid: SurfaceMesh) -> tuple[float, Floats]:
    """Return the volume of a closed surface in mL and its centre of mass, LPS mm.

    Tetrahedra from one point to all triangles (divergence theorem).
    """
    start = solid.points_mm.mean(axis=0)
    corners = solid.points_mm[solid.triangles] - start
    six = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    centre = start + (corners.sum(axis=1) / 4 * six[:, None]).sum(axis=0) / six.sum()
    return float(six.sum()) / 6000.0, np.asarray(centre)
