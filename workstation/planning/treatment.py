"""What if: coils in a dome, or a flow diverter over its neck, as regions that resist the flow.

Both are threads that blood seeps between. Their permeability follows from how much of the space
the threads fill and how thick they are, by Kozeny's and Carman's law k = e^3 / (5 S^2) with the
open share e and the threads' surface S per volume (Carman, Trans Inst Chem Eng 15 (1937) 150); the
inertial coefficient is Ergun's (Chem Eng Prog 48 (1952) 89) for grains of the same surface. The
law for random fibres of Jackson and James (Can J Chem Eng 64 (1986) 364) bounds the band. Coils
and diverters were computed as such regions before (doi:10.1007/s13239-018-00383-1,
doi:10.1016/j.jbiomech.2018.08.026); neither law was calibrated on a device here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le
from scipy.spatial import cKDTree

from hemodynamics.dome_flow import dome_flow
from hemodynamics.flow_result import FlowResult
from hemodynamics.porous import PorousRegion
from meshing.aneurysm import without_sac
from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline
from meshing.offsets import thicken_sheet
from meshing.soup import compact
from meshing.surface import SurfaceMesh, require_watertight
from segmentation.contract import (
    Finding,
    Measurements,
    Number,
    Progress,
    Severity,
    share,
    silent,
)

Floats = npt.NDArray[np.float64]

KOZENY = 5.0
"""Kozeny's constant of packed beds."""

CROSSINGS = 2.0
"""A braid is as thick as two of its threads, which cross."""

LARGEST_FILL = 0.38
"""Random fibres that fill more of the space lie outside the law that bounds the band."""

COIL_COLOUR, DIVERTER_COLOUR = (0xA9, 0xC0, 0xD0), (0x6F, 0xD0, 0xC0)
NOT_CALIBRATED = "the resistance follows from general laws of porous beds, not from this device"


@dataclass(frozen=True)
class Seepage:
    """How threads resist a flow.

    Attributes:
        permeability_mm2: by Kozeny's and Carman's law.
        fibres_mm2: by the law for random fibres.
        inertial_1_mm: by Ergun's law.
    """

    permeability_mm2: float
    fibres_mm2: float
    inertial_1_mm: float


def seepage(fill: float, thread_mm: float) -> Seepage:
    """Return how threads of a diameter resist a flow that fill a share of the space.

    Raises:
        ValueError: if they fill nothing, or more than the laws hold for.
    """
    if not 0.0 < fill <= LARGEST_FILL:
        raise ValueError(
            f"threads that fill {100 * fill:.3g} percent of the space are none that the law of "
            f"resistance holds for; give more than 0 and at most {100 * LARGEST_FILL:g} percent"
        )
    free = 1.0 - fill
    surface = 4.0 * fill / thread_mm
    grain = 1.5 * thread_mm  # six times volume over surface
    radius = thread_mm / 2.0
    return Seepage(
        free**3 / (KOZENY * surface**2),
        0.15 * radius**2 / fill * (-np.log(fill) - 0.931),
        3.5 * fill / (free**3 * grain),
    )


def coil(
    dome: SurfaceMesh,
    *,
    packing_percent: Annotated[float, Gt(0), Le(38)] = 25.0,
    thread_mm: Annotated[float, Ge(0.05), Le(2)] = 0.254,
    progress: Progress = silent,
) -> PorousRegion:
    """Fill the dome of an aneurysm with coils, as a region that resists the flow.

    The coils fill the dome evenly up to its neck, which real coils do not.

    Args:
        dome: the dome, closed at its neck.
        packing_percent: share of the dome's volume that the coils fill.
        thread_mm: outer diameter of the coil's thread; 0.254 mm is 0.010 inch.
        progress: told how far the work is.

    Raises:
        OpenSurface: if the dome is open.
    """
    require_watertight(dome)
    found = seepage(packing_percent / 100.0, thread_mm)
    progress(1.0)
    said = f"{packing_percent:g} percent of the dome filled by a thread of {thread_mm:g} mm"
    numbers = (Number("packing", packing_percent, "%", "as entered"),)
    bare = replace(dome, name="coil", colour=COIL_COLOUR, boundaries={}, numbers=(), findings=())
    return _region(bare, found, 1.0, said, numbers)


def flow_diverter(
    lumen: SurfaceMesh,
    neck: Neck,
    *,
    porosity_percent: Annotated[float, Ge(30), Le(95)] = 70.0,
    thread_mm: Annotated[float, Ge(0.01), Le(0.5)] = 0.03,
    thickness_mm: Annotated[float, Ge(0.05), Le(2)] = 0.5,
    progress: Progress = silent,
) -> PorousRegion:
    """Lay a flow diverter over the neck of an aneurysm, as a sheet that resists the flow.

    It lies where the wall of the vessel would be without the sac. Along the vessel it lies on the
    wall and changes nothing; branches that it would cover are left free.

    Args:
        lumen: the vessel with the aneurysm.
        neck: the neck of the aneurysm.
        porosity_percent: open share of the braid's area.
        thread_mm: diameter of the braid's threads.
        thickness_mm: of the sheet in the computation, which takes it as two cells at the least;
            its resistance is that of the braid whatever it is.
        progress: told how far the work is.

    Raises:
        NoNeck: if the neck does not divide this surface.
        FrameMismatch: if both live in different frames.
    """
    bare = without_sac(lumen, neck, progress=share(progress, 0, 3))
    progress(0.4, "laying the sheet over the neck")
    sheet = _over_neck(bare, lumen, neck, thickness_mm)
    plate = thicken_sheet(sheet, thickness_mm=thickness_mm, progress=share(progress, 2, 3))
    coverage = 1.0 - porosity_percent / 100.0
    braid_mm = CROSSINGS * thread_mm
    found = seepage(coverage * np.pi / 4.0 * thread_mm / braid_mm, thread_mm)
    said = (
        f"braid of threads of {thread_mm:g} mm, {porosity_percent:g} percent open and "
        f"{braid_mm:g} mm thick"
    )
    numbers = (
        Number("porosity", porosity_percent, "%", "as entered"),
        Number("thickness", thickness_mm, "mm", "of the sheet in the computation"),
    )
    shown = replace(plate, name=DIVERTER, colour=DIVERTER_COLOUR, numbers=(), findings=())
    return _region(shown, found, thickness_mm / braid_mm, said, numbers)


def _over_neck(
    bare: SurfaceMesh, lumen: SurfaceMesh, neck: Neck, thickness_mm: float
) -> SurfaceMesh:
    """Return the part of the vessel without its sac that is new, with a seam around it."""
    known = cKDTree(np.concatenate([lumen.points_mm, neck.points_mm]))
    fresh = known.query(bare.points_mm)[0] > 1e-6
    new = bare.points_mm[fresh] if fresh.any() else neck.points_mm
    middles = bare.points_mm[bare.triangles].mean(axis=1)
    edges = bare.points_mm[bare.triangles[:, 1]] - bare.points_mm[bare.triangles[:, 0]]
    seam_mm = thickness_mm + float(np.linalg.norm(edges, axis=1).mean())
    kept = cKDTree(new).query(middles)[0] <= seam_mm
    points, cells = compact(bare.points_mm, bare.triangles[kept])
    return SurfaceMesh(points, cells, bare.frame_uid, "flow_diverter")


def _region(
    surface: SurfaceMesh,
    found: Seepage,
    thicker: float,
    said: str,
    numbers: tuple[Number, ...],
) -> PorousRegion:
    """Return the region, whose resistance is spread over a depth ``thicker`` times as large."""
    k, fibres = (1e-6 * thicker * k for k in (found.permeability_mm2, found.fibres_mm2))
    inertial = 1e3 * found.inertial_1_mm / thicker
    source = f"Kozeny-Carman, {said}; band: the law for random fibres"
    note = Finding(Severity.INFO, "not_calibrated", NOT_CALIBRATED)
    return PorousRegion(
        surface,
        k,
        inertial,
        said,
        surface.name,
        (note,),
        (
            *numbers,
            Number(
                "permeability",
                1e12 * k,
                "um2",
                source,
                1e12 * min(k, fibres),
                1e12 * max(k, fibres),
            ),
            Number("inertial", inertial, "1/m", f"Ergun, {said}"),
        ),
    )


# What it changes -------------------------------------------------------------------------

COMPARED = (
    "speed.dome_mean",
    "neck.inflow",
    "wss.dome_mean",
    "wss.dome_normalised",
    "wss.low_area",
    "osi.dome_mean",
    "rrt.dome_mean",
    "kinetic_energy_ratio",
    "pressure_loss_coefficient",
)
"""Quantities of the flow in a dome that are put beside each other, where both flows have them."""

INFLOW, DIVERTER = "neck.inflow", "flow_diverter"
DRIVEN = ("kind", "mean_flow_ml_s", "outflow_shares", "waveform", "period_s", "viscosity_pa_s")
"""Conditions that must agree for two flows to differ by the treatment alone."""


def treatment_effect(
    flow: FlowResult,
    treated: FlowResult,
    dome: SurfaceMesh,
    neck: Neck,
    centerline: Centerline | None = None,
    region: PorousRegion | None = None,
    *,
    progress: Progress = silent,
) -> Measurements:
    """Compare the flow in a dome before and after a treatment, in numbers.

    Args:
        flow: in the lumen as it is.
        treated: in the same lumen with a region that resists the flow.
        dome: the dome with its parts wall and neck.
        neck: its neck.
        centerline: the branches of the vessel; it says where the parent artery runs.
        region: what resists the treated flow. With a sheet over the neck, the flow through the
            plane of the neck is left out: part of it passes before the sheet.
        progress: told how far the work is.

    Raises:
        ValueError: if the dome is no part of the wall of a flow.
        FrameMismatch: if the values live in different frames.
    """
    before = dome_flow(flow, dome, neck, centerline, progress=share(progress, 0, 2))
    after = dome_flow(treated, dome, neck, centerline, progress=share(progress, 1, 2))
    known = [{n.quantity: n for n in found.numbers} for found in (before, after)]
    numbers = [
        number
        for name in COMPARED
        if all(name in found for found in known)
        and not (name == INFLOW and region is not None and region.name == DIVERTER)
        for number in _beside(name, known[0][name], known[1][name])
    ]
    findings = dict.fromkeys((*before.findings, *after.findings, *_driven(flow, treated)))
    return Measurements(tuple(numbers), tuple(findings))


def _beside(name: str, before: Number, after: Number) -> list[Number]:
    """Return a quantity before and after, and its change in percent of what it was.

    That of a share, which is itself in percent, is told in percentage points.
    """
    found = [
        replace(
            one, quantity=f"{name}.{when}", source=f"{when} treatment: {one.source}", plain=False
        )
        for when, one in (("before", before), ("after", after))
    ]
    if before.unit == "%":
        points = after.value - before.value
        text = "share after the treatment less that before"
        found.append(Number(f"{name}.change", points, "percentage points", text))
    elif before.value:
        change = 100.0 * (after.value - before.value) / abs(before.value)
        found.append(Number(f"{name}.change", change, "%", "of the value before the treatment"))
    return found


def _driven(flow: FlowResult, treated: FlowResult) -> list[Finding]:
    """Return a warning if two flows differ in more than what they flow through."""
    one, other = flow.conditions, treated.conditions
    unlike = [name for name in DRIVEN if one.get(name) != other.get(name)]
    if not unlike:
        return []
    text = f"the flows before and after differ in more than the treatment: {', '.join(unlike)}"
    return [
        Finding(Severity.WARNING, "driven_otherwise", text, remedy="Give both the same parameters")
    ]
