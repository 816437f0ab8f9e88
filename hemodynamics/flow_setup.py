"""From the wishes for a flow to what drives it: openings, waveform, split, units, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

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
from hemodynamics.domain import WALL_NAME, UnusableLumen
from hemodynamics.flow_run import Device, Scales
from hemodynamics.resolution import spacing_for
from hemodynamics.rheology import CarreauYasuda, Newtonian, Rheology
from hemodynamics.vessel_flow import DENSITY_KG_M3
from meshing.integrals import area_of
from meshing.mesh import SurfaceMesh, enclosed_mm3
from meshing.vessel_preparation import require_size
from segmentation.contract import Number

Floats = npt.NDArray[np.float64]
Outlets = Literal["split", "resistance", "windkessel"]

Accuracy = Literal["preview", "standard", "fine"]

Blood = Literal["newtonian", "carreau"]

CELLS: Mapping[Accuracy, int] = MappingProxyType(
    {"preview": 30_000, "standard": 250_000, "fine": 1_500_000}
)
"""About how many cells a lumen is divided into; see also `_preview_mm`."""

TWICE, PREVIEW_ACROSS, CALM = 2.0, 6.0, 30.0
MOST_UPDATES = 4.5e9
"""The preview of a steady flow takes more cells than that: twice as many, which about halves the
bands of its numbers, so many across the narrowest opening, and as many as hold the Reynolds number
of a cell, at the fastest opening, at that value. But it takes no more than would need so many
updates of a cell if it never settled (80 s on two cores, by what stands below).

Of six real aneurysms three came to rest with 30,000 cells (17 to 26) and one with 80,000 (30) only.
Two have no rest to come to: the jet into the sac swings in the same places and as strongly in finer
cells, AN153 in 49,000 (60) and 120,000 (45), AN175 in 31,000 (33), 74,000 (25) and 162,000 (19),
there at some 7 Hz, and in 74,000 also with steps half as long. In 31,000 such steps held it still:
a flow that rests in coarse cells may sway in fine ones.
"""

UPDATES_PER_S = 4e7
"""Updates of a cell per second and core that this solver does at the least on usual processors."""

BEFORE = 1.4
"""What coarser cells and a hasty part add to the time, about."""

MOST_ACROSS, LEAST_ACROSS = 40.0, 4.0
"""Cells across the narrowest opening, whatever the number of cells is then."""

COARSER, LEAST_COARSER = 1.5, 1.25
FEW_CELLS = 6000
"""How much coarser the cells are that a flow is settled on first, and how few need none but one:
by what changes from there to the cells asked for, errors are told."""

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

LEAST_SPEED_M_S = 1e-3
"""At the inlet: blood in capillaries is about as slow; slower is nearly always a wrong unit."""


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


class End(Protocol):
    """What flow through an end of a lumen depends on."""

    @property
    def name(self) -> str:
        """Such as inlet or outlet_1."""

    @property
    def area_mm2(self) -> float:
        """Of its cap."""

    @property
    def diameter_mm(self) -> float:
        """Of a circle of this area."""


@dataclass(frozen=True)
class Cap:
    """An end of a lumen that is not divided into cells yet; an `End`."""

    name: str
    area_mm2: float

    @property
    def diameter_mm(self) -> float:
        """The diameter of a circle of its area."""
        return float(2.0 * np.sqrt(self.area_mm2 / np.pi))


@dataclass(frozen=True)
class Cost:
    """What a flow takes, as known before it starts.

    Attributes:
        cells, steps: of the finest level; so many steps at the most.
        memory_gib: at the most.
        time_s: at the most, on two cores with `UPDATES_PER_S`.
    """

    cells: float
    steps: float
    memory_gib: float
    time_s: float

    @property
    def numbers(self) -> tuple[Number, Number]:
        """Memory and time as numbers of a result."""
        source = "at the most, as known before the start"
        pace = f"{source}: {UPDATES_PER_S / 1e6:.0f} million updates of a cell per core and second"
        return (
            Number("expected_memory", self.memory_gib, "GiB", source),
            Number("expected_time", self.time_s, "s", f"{pace}, two cores"),
        )

    def __str__(self) -> str:
        """Return it in words."""
        time = f"{self.time_s:.0f} s" if self.time_s < 100 else f"{self.time_s / 60:.0f} min"
        return (
            f"about {float(f'{self.cells:.2g}'):,.0f} cells, {self.memory_gib:.2g} GiB, at most "
            f"{time} on two cores"
        )


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
    ends = ends_of(lumen)
    diameters = {end.name: end.diameter_mm for end in ends}
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
        if wishes.accuracy == "preview" and not wishes.pulsatile:
            spacing = _preview_mm(ends, volume_mm3, spacing, wishes)
    spacings = [spacing]
    while len(spacings) == 1 or volume_mm3 / spacings[0] ** 3 > FEW_CELLS:
        coarser = min(COARSER * spacings[0], narrowest / LEAST_ACROSS)
        if coarser < LEAST_COARSER * spacings[0]:
            break
        spacings.insert(0, coarser)
    return spacings


def _preview_mm(ends: Sequence[End], volume_mm3: float, usual_mm: float, wishes: Wishes) -> float:
    """Return the edge of a cell with which a steady flow likely settles in minutes, in mm."""
    driven = drive(ends, wishes)
    thin = float(fluid_of(wishes).viscosity_at([np.inf])[0])
    calm = CALM * 1e6 * thin / DENSITY_KG_M3 / fastest_mm_s(ends, driven)
    narrowest = min(end.diameter_mm for end in ends)
    twice = max(usual_mm / TWICE ** (1 / 3), narrowest / MOST_ACROSS)
    finest = min(calm, narrowest / PREVIEW_ACROSS, twice)
    for spacing in np.geomspace(finest, usual_mm, 60).tolist():
        steps = _most_steps(ends, volume_mm3, spacing, driven, wishes)
        if steps * volume_mm3 / spacing**3 <= MOST_UPDATES:
            return float(spacing)
    return usual_mm


def _most_steps(
    ends: Sequence[End], volume_mm3: float, spacing_mm: float, driven: Drive, wishes: Wishes
) -> float:
    step_s = scales_of(ends, spacing_mm, driven, wishes, 1.0).step_s
    if wishes.pulsatile:
        return wishes.cycles * driven.waveform.period_s / step_s
    return wishes.most_exchanges * 1e-3 * volume_mm3 / abs(driven.waveform.mean_ml_s) / step_s


def cost_of(lumen: SurfaceMesh, spacing_mm: float, wishes: Wishes) -> Cost:
    """Return what a flow takes at the most.

    Raises:
        UnusableLumen: if the lumen has no named end, or they do not fit the wishes.
        UnusableWaveform: if the waveform cannot be read.
    """
    ends, volume_mm3 = ends_of(lumen), enclosed_mm3(lumen)
    cells = volume_mm3 / spacing_mm**3
    steps = _most_steps(ends, volume_mm3, spacing_mm, drive(ends, wishes), wishes)
    memory = _bytes(lumen, cells, wishes) / 2**30
    return Cost(cells, steps, memory, BEFORE * cells * steps / (2.0 * UPDATES_PER_S))


def ends_of(lumen: SurfaceMesh) -> list[Cap]:
    """Return the named ends of a lumen.

    Raises:
        UnusableLumen: if it has less than two.
    """
    found = [
        Cap(name, float(area_of(lumen.points_mm, lumen.triangles[part])))
        for name, part in lumen.boundaries.items()
        if name != WALL_NAME and len(part)
    ]
    if len(found) < 2:
        raise UnusableLumen(
            f"the lumen {lumen.name or 'without a name'!r} has {len(found) or 'no'} open ends by "
            "name; flow needs an inlet and an outlet: cut and cap its ends first"
        )
    return found


def require_memory(lumen: SurfaceMesh, spacing_mm: float, wishes: Wishes) -> None:
    """Raise unless the free memory suffices.

    Raises:
        TooCostly: saying how much is needed, and what spacing would do.
    """
    cells = enclosed_mm3(lumen) / spacing_mm**3
    needed = _bytes(lumen, cells, wishes)
    free = MEMORY_SHARE * psutil.virtual_memory().available
    if needed > free:
        coarser = spacing_mm * (needed / free) ** (1 / 3)
        raise TooCostly(
            f"{cells:,.0f} cells of {spacing_mm:.3g} mm need about {needed / 2**30:.1f} GiB of "
            f"memory and {free / 2**30:.1f} GiB are to be had; take cells of {coarser:.2g} mm"
        )


def _bytes(lumen: SurfaceMesh, cells: float, wishes: Wishes) -> float:
    frames = wishes.frames if wishes.pulsatile else 1
    points = len(lumen.points_mm)
    return cells * (BYTES_PER_CELL + 16 * frames) + points * (4000 + 24 * frames)


def openings_of(ends: Sequence[End], inlets: str) -> tuple[list[End], list[End]]:
    """Return the inlets and the outlets.

    Raises:
        UnusableLumen: if an inlet has no such name, or no end is left as an outlet.
    """
    named = {end.name: end for end in ends}
    wanted = [name.strip() for name in inlets.split(",") if name.strip()]
    missing = [name for name in wanted if name not in named]
    if missing or not wanted:
        raise UnusableLumen(
            f"there is no end {', '.join(missing) or 'given'} where blood could enter; the ends "
            f"are: {', '.join(named)}"
        )
    exits = [end for name, end in named.items() if name not in wanted]
    if not exits:
        raise UnusableLumen("every end is an inlet; leave one where blood can flow out")
    return [named[name] for name in wanted], exits


def drive(ends: Sequence[End], wishes: Wishes) -> Drive:
    """Return what drives the flow.

    Raises:
        UnusableLumen: if the ends do not fit the wishes.
        UnusableWaveform: if the waveform cannot be read.
    """
    entries, exits = openings_of(ends, wishes.inlets)
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


def require_plausible(ends: Sequence[End], driven: Drive) -> None:
    """Raise unless the flow is one that blood could have.

    Raises:
        ImplausibleFlow: saying where it is too fast or too slow, and what flow would do.
    """
    shares = {**driven.shares_in, **driven.shares_out}
    for opening in ends:
        fastest = 1e-3 * mean_speed_mm_s(driven, shares[opening.name], opening)
        if fastest > MOST_SPEED_M_S:
            mean = driven.waveform.mean_ml_s * MOST_SPEED_M_S / fastest
            raise ImplausibleFlow(
                f"a mean flow of {driven.waveform.mean_ml_s:.3g} mL/s would run through "
                f"{opening.name}, {opening.diameter_mm:.2g} mm wide, at {fastest:.3g} m/s; no "
                f"vessel has more than {MOST_SPEED_M_S:g} m/s: give {mean:.2g} mL/s or less, or "
                "check the unit of the surface"
            )
        if opening.name in driven.shares_in and fastest < LEAST_SPEED_M_S:
            mean = driven.waveform.mean_ml_s * LEAST_SPEED_M_S / fastest
            raise ImplausibleFlow(
                f"a mean flow of {driven.waveform.mean_ml_s:.3g} mL/s would creep through "
                f"{opening.name}, {opening.diameter_mm:.2g} mm wide, at {1000 * fastest:.2g} mm/s, "
                f"slower than in capillaries: give {mean:.2g} mL/s or more; is it in mL/s?"
            )


def mean_speed_mm_s(driven: Drive, share: float, opening: End) -> float:
    """Return the largest speed over the cycle, mean over the opening's section."""
    return 1000.0 * driven.peak_ml_s * share / opening.area_mm2


def fastest_mm_s(ends: Sequence[End], driven: Drive) -> float:
    """Return the largest `mean_speed_mm_s` of any end."""
    shares = {**driven.shares_in, **driven.shares_out}
    return max(mean_speed_mm_s(driven, shares[end.name], end) for end in ends)


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
    ends: Sequence[End],
    spacing_mm: float,
    driven: Drive,
    wishes: Wishes,
    slower: float,
    hasty: bool = False,
) -> Scales:
    """Return the units, with steps shorter by the factor ``slower`` than they need be.

    Where flow pulsates, a whole number of steps lies between two frames. A ``hasty`` flow goes as
    fast as the lattice bears, where its blood is compressed by some percent.
    """
    peak_mm_s = 2.0 * fastest_mm_s(ends, driven)
    thick, thin = fluid_of(wishes).viscosity_at([0.0, np.inf])
    calm, fast = (
        speed * spacing_mm / peak_mm_s
        for speed in (MOST_LATTICE_SPEED if hasty else LATTICE_SPEED, MOST_LATTICE_SPEED)
    )
    steps_per_tau = spacing_mm**2 * DENSITY_KG_M3 / 3e6
    at_least = (LEAST_TAU - 0.5) * steps_per_tau / thin
    at_most = (LARGEST_TAU - 0.5) * steps_per_tau / thick
    step = min(max(calm, min(fast, at_least)), at_most) / slower
    if wishes.pulsatile:
        between = driven.waveform.period_s / wishes.frames
        step = between / np.ceil(between / step)
    return Scales(spacing_mm, float(step), DENSITY_KG_M3, float(thin))


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
