"""From the wishes for a flow to what drives it: openings, waveform, split, units, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import psutil

from hemodynamics.boundary import (
    MEAN_SPEED_M_S,
    PA_PER_MMHG,
    Waveform,
    Windkessel,
    pulse,
    read_waveform,
    split_fractions,
    steady,
)
from hemodynamics.domain import WALL_NAME, Domain, Opening, UnusableLumen
from hemodynamics.flow_run import Device, Scales
from hemodynamics.resolution import spacing_for
from hemodynamics.rheology import CarreauYasuda, Newtonian, Rheology
from hemodynamics.vessel_flow import DENSITY_KG_M3
from meshing.integrals import area_of
from meshing.mesh import SurfaceMesh, enclosed_mm3
from meshing.vessel_preparation import require_size

Floats = npt.NDArray[np.float64]
Outlets = Literal["split", "resistance", "windkessel"]

Accuracy = Literal["preview", "standard", "fine"]

Blood = Literal["newtonian", "carreau"]

CELLS: Mapping[Accuracy, int] = MappingProxyType(
    {"preview": 30_000, "standard": 250_000, "fine": 1_500_000}
)
"""About how many cells a lumen is divided into."""

MOST_ACROSS, LEAST_ACROSS = 40.0, 4.0
"""Cells across the narrowest opening, whatever the number of cells is then."""

COARSER, LEAST_COARSER = 2.0, 1.25
FEW_CELLS = 6000
"""How much coarser the cells are that a flow is settled on first, and how few need none."""

LATTICE_SPEED = 0.1
"""Cells per step at the highest speed that is expected."""

MOST_LATTICE_SPEED, LEAST_TAU = 0.2, 0.5015
"""A fast flow on coarse cells takes longer steps than that, up to this speed, while the relaxation
time is shorter: below it curved walls become unstable (real aneurysms, 4 cells across)."""

LARGEST_TAU = 0.8
"""A slow flow takes shorter steps than its speed asks for, so that viscosity stays exact."""

BYTES_PER_CELL = 900
MEMORY_SHARE = 0.7
"""Memory of a cell with its share of the links, and what part of the free memory may be used."""

PROXIMAL_SHARE = 0.1
"""Of a Windkessel's resistance, what lies before its compliance."""


MOST_SPEED_M_S = 6.0
"""Mean over a section: the jet of a critical aortic stenosis."""


class ImplausibleFlow(ValueError):
    """No blood flows as was asked for; the text says why."""


class TooCostly(ValueError):
    """A flow would take more memory or time than there is."""


@dataclass(frozen=True)
class Wishes:
    """What a person asked for; see `hemodynamics.flow.simulate_flow`."""

    pulsatile: bool
    mean_flow_ml_s: float | None
    spacing_mm: float | None
    target_error_percent: float | None
    accuracy: Accuracy
    inlets: str
    outlets: Outlets
    exponent: float
    waveform: str
    period_s: float
    cycles: int
    frames: int
    mean_pressure_mmhg: float
    decay_s: float
    blood: Blood
    viscosity_pa_s: float
    settled_percent: float
    most_exchanges: float
    most_hours: float
    device: Device


@dataclass(frozen=True)
class Drive:
    """What drives a flow: the waveform, and each opening's share by name."""

    waveform: Waveform
    shares_in: Mapping[str, float]
    shares_out: Mapping[str, float]

    @property
    def peak_ml_s(self) -> float:
        """The largest inflow in size."""
        times = self.waveform.period_s * np.arange(256) / 256
        return float(np.abs(self.waveform.flow_ml_s(times)).max())


def spacings_of(lumen: SurfaceMesh, wishes: Wishes) -> list[float]:
    """Return the edge of a cell in mm, and before it those of coarser cells to begin with.

    Raises:
        UnusableLumen: if the lumen has no named end, or is inside out.
        UnusableVessel: if its widest end has a size that no vessel has.
    """
    diameters = _diameters_mm(lumen)
    require_size(max(diameters.values()), lumen.name)
    narrowest = min(diameters.values())
    volume_mm3 = enclosed_mm3(lumen)
    if volume_mm3 <= 0.0:
        raise UnusableLumen(
            f"the lumen {lumen.name or 'without a name'!r} is inside out: its triangles face "
            "inward; repair its surface first"
        )
    spacing = wishes.spacing_mm
    if spacing is None and wishes.target_error_percent is not None:
        inlet = diameters.get(wishes.inlets.split(",")[0].strip(), narrowest)
        spacing = spacing_for(0.5 * inlet, wishes.target_error_percent)
        spacing = min(spacing, narrowest / LEAST_ACROSS)
    elif spacing is None:
        spacing = (volume_mm3 / CELLS[wishes.accuracy]) ** (1 / 3)
        spacing = float(np.clip(spacing, narrowest / MOST_ACROSS, narrowest / LEAST_ACROSS))
    spacings = [spacing]
    while volume_mm3 / spacings[0] ** 3 > FEW_CELLS:
        coarser = min(COARSER * spacings[0], narrowest / LEAST_ACROSS)
        if coarser < LEAST_COARSER * spacings[0]:
            break
        spacings.insert(0, coarser)
    return spacings


def _diameters_mm(lumen: SurfaceMesh) -> dict[str, float]:
    """Return name to diameter of a circle as large as each end."""
    found = {}
    for name, part in lumen.boundaries.items():
        if name != WALL_NAME and len(part):
            area = area_of(lumen.points_mm, lumen.triangles[part])
            found[name] = float(2.0 * np.sqrt(area / np.pi))
    if not found:
        raise UnusableLumen(
            f"the lumen {lumen.name or 'without a name'!r} has no open ends by name; flow needs an "
            "inlet and an outlet: cut and cap its ends first"
        )
    return found


def require_memory(lumen: SurfaceMesh, spacing_mm: float, wishes: Wishes) -> None:
    """Raise unless the free memory suffices.

    Raises:
        TooCostly: saying how much is needed, and what spacing would do.
    """
    frames = wishes.frames if wishes.pulsatile else 1
    cells = enclosed_mm3(lumen) / spacing_mm**3
    points = len(lumen.points_mm)
    needed = cells * (BYTES_PER_CELL + 16 * frames) + points * (4000 + 24 * frames)
    free = MEMORY_SHARE * psutil.virtual_memory().available
    if needed > free:
        coarser = spacing_mm * (needed / free) ** (1 / 3)
        raise TooCostly(
            f"{cells:,.0f} cells of {spacing_mm:.3g} mm need about {needed / 2**30:.1f} GiB of "
            f"memory and {free / 2**30:.1f} GiB are to be had; take cells of {coarser:.2g} mm"
        )


def openings_of(domain: Domain, inlets: str) -> tuple[list[Opening], list[Opening]]:
    """Return the inlets and the outlets.

    Raises:
        UnusableLumen: if an inlet has no such name, or no end is left as an outlet.
    """
    named = {opening.name: opening for opening in domain.openings}
    wanted = [name.strip() for name in inlets.split(",") if name.strip()]
    missing = [name for name in wanted if name not in named]
    if missing or not wanted:
        raise UnusableLumen(
            f"there is no end {', '.join(missing) or 'given'} where blood could enter; the ends "
            f"are: {', '.join(named)}"
        )
    exits = [opening for name, opening in named.items() if name not in wanted]
    if not exits:
        raise UnusableLumen("every end is an inlet; leave one where blood can flow out")
    return [named[name] for name in wanted], exits


def drive(domain: Domain, wishes: Wishes) -> Drive:
    """Return what drives the flow.

    Raises:
        UnusableLumen: if the ends do not fit the wishes.
        UnusableWaveform: if the waveform cannot be read.
    """
    entries, exits = openings_of(domain, wishes.inlets)
    area = sum(opening.area_mm2 for opening in entries)
    given = read_waveform(wishes.waveform, wishes.period_s) if wishes.waveform.strip() else None
    mean = wishes.mean_flow_ml_s or (given.mean_ml_s if given else MEAN_SPEED_M_S * area)
    if not wishes.pulsatile:
        waveform = steady(mean)
    else:
        waveform = given.scaled(mean) if given else pulse(mean, wishes.period_s)
    fractions = split_fractions([opening.diameter_mm for opening in exits], wishes.exponent)
    return Drive(
        waveform,
        {opening.name: opening.area_mm2 / area for opening in entries},
        {opening.name: float(share) for opening, share in zip(exits, fractions)},
    )


def fluid_of(wishes: Wishes) -> Rheology:
    """Return the law of the blood's viscosity."""
    return CarreauYasuda() if wishes.blood == "carreau" else Newtonian(wishes.viscosity_pa_s)


def require_plausible(domain: Domain, driven: Drive, wishes: Wishes) -> None:
    """Raise unless the flow is one that blood could have.

    Raises:
        ImplausibleFlow: saying where it is too fast, and what flow would do.
    """
    shares = {**driven.shares_in, **driven.shares_out}
    for opening in domain.openings:
        fastest = 1e-3 * mean_speed_mm_s(driven, shares[opening.name], opening)
        if fastest > MOST_SPEED_M_S:
            mean = driven.waveform.mean_ml_s * MOST_SPEED_M_S / fastest
            raise ImplausibleFlow(
                f"a mean flow of {driven.waveform.mean_ml_s:.3g} mL/s would run through "
                f"{opening.name}, {opening.diameter_mm:.2g} mm wide, at {fastest:.3g} m/s; no "
                f"vessel has more than {MOST_SPEED_M_S:g} m/s: give {mean:.2g} mL/s or less, or "
                "check the unit of the surface"
            )


def mean_speed_mm_s(driven: Drive, share: float, opening: Opening) -> float:
    """Return the largest speed over the cycle, mean over the opening's section."""
    return 1000.0 * driven.peak_ml_s * share / opening.area_mm2


def laws_of(driven: Drive, wishes: Wishes) -> Sequence[Windkessel | None]:
    """Return the law of each outlet, fresh; None prescribes its share of the flow.

    A split is prescribed everywhere but at the outlet with the largest share, which is left with
    the rest. Resistances are such that the mean flow makes the mean pressure, and compliances
    such that it decays in the time asked for; they are charged as in a cycle that repeats itself.
    """
    shares = list(driven.shares_out.values())
    if wishes.outlets == "split":
        largest = int(np.argmax(shares))
        return [Windkessel() if n == largest else None for n in range(len(shares))]
    mean_pa = wishes.mean_pressure_mmhg * PA_PER_MMHG
    whole = [mean_pa / (share * driven.waveform.mean_ml_s) for share in shares]
    if wishes.outlets == "resistance":
        return [Windkessel(distal=resistance) for resistance in whole]
    rest = 1.0 - PROXIMAL_SHARE
    laws = [Windkessel(PROXIMAL_SHARE * r, rest * r, wishes.decay_s / (rest * r)) for r in whole]
    for law, share in zip(laws, shares):
        law.stored_pa = law.settled(driven.waveform, share)
    return laws


def scales_of(
    domain: Domain, driven: Drive, wishes: Wishes, slower: float, hasty: bool = False
) -> Scales:
    """Return the units, with steps shorter by the factor ``slower`` than they need be.

    Where flow pulsates, a whole number of steps lies between two frames. A ``hasty`` flow goes as
    fast as the lattice bears, where its blood is compressed by some percent.
    """
    shares = {**driven.shares_in, **driven.shares_out}
    peak_mm_s = max(
        2.0 * mean_speed_mm_s(driven, shares[opening.name], opening) for opening in domain.openings
    )
    thick, thin = fluid_of(wishes).viscosity_at([0.0, np.inf])
    calm, fast = (
        speed * domain.spacing_mm / peak_mm_s
        for speed in (MOST_LATTICE_SPEED if hasty else LATTICE_SPEED, MOST_LATTICE_SPEED)
    )
    steps_per_tau = domain.spacing_mm**2 * DENSITY_KG_M3 / 3e6
    at_least = (LEAST_TAU - 0.5) * steps_per_tau / thin
    at_most = (LARGEST_TAU - 0.5) * steps_per_tau / thick
    step = min(max(calm, min(fast, at_least)), at_most) / slower
    if wishes.pulsatile:
        between = driven.waveform.period_s / wishes.frames
        step = between / np.ceil(between / step)
    return Scales(domain.spacing_mm, float(step), DENSITY_KG_M3, float(thin))


def conditions_of(driven: Drive, wishes: Wishes) -> dict[str, Any]:
    """Return what drives the flow as plain JSON."""
    shape = "given" if wishes.waveform.strip() else "analytic pulse, measured in nobody"
    found: dict[str, Any] = {
        "kind": "pulsatile" if wishes.pulsatile else "steady",
        "mean_flow_ml_s": driven.waveform.mean_ml_s,
        "mean_flow": "given" if wishes.mean_flow_ml_s or wishes.waveform.strip() else "by area",
        "inflow_shares": dict(driven.shares_in),
        "inflow_profile": "developed",
        "outlets": wishes.outlets,
        "outflow_shares": dict(driven.shares_out),
        "exponent": wishes.exponent,
        "density_kg_m3": DENSITY_KG_M3,
        "blood": wishes.blood,
        "viscosity_pa_s": float(fluid_of(wishes).viscosity_at([np.inf])[0]),
        "wall": "rigid",
    }
    if not wishes.pulsatile:
        found |= {"settled_percent": wishes.settled_percent}
    if wishes.pulsatile:
        found |= {"waveform": shape, "period_s": wishes.period_s, "cycles": wishes.cycles}
    if wishes.outlets in ("resistance", "windkessel"):
        found |= {"mean_pressure_mmhg": wishes.mean_pressure_mmhg}
    if wishes.outlets == "windkessel":
        found |= {"decay_s": wishes.decay_s, "proximal_share": PROXIMAL_SHARE}
    return found
