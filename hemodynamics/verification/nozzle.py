"""The nozzle of the FDA's benchmark at a throat Reynolds number of 500, beside five measurements.

Hariharan 2011 (doi:10.1115/1.4003440): a pipe of 12 mm narrows over 22.685 mm to a throat of 4 mm,
which after 40 mm opens at once into a pipe of 12 mm. Velocities were measured by particle images
and wall pressures by taps. Places are along the axis in mm, 0 at the sudden expansion.

The laboratories' band is kept as it is although the exact flow lies outside of it at some places;
whether the flow is solved rightly is told by its distance from that exact flow.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemodynamics.boundary import Windkessel, steady
from hemodynamics.domain import divide
from hemodynamics.flow_run import Run, Scales
from hemodynamics.gpu import card
from hemodynamics.verification.nozzle_reference import Profile, channel, solve
from hemodynamics.verification.rows import CannotRun, Means, Row
from hemodynamics.verification.sac_cases import data_file
from hemodynamics.verification.shapes import revolved
from meshing.mesh import SurfaceMesh
from segmentation.contract import Progress, silent

Floats = npt.NDArray[np.float64]

ARCHIVE = "fda_nozzle/SE_exp_0500.zip"
SOURCE = "Hariharan 2011, doi:10.1115/1.4003440, FDA's data set of the sudden expansion at 500"

FLOW_ML_S, DENSITY_KG_M3, VISCOSITY_PA_S = 5.20624, 1056.0, 0.0035
THROAT_MM, PIPE_MM = 2.0, 6.0
INLET_MM, NARROWS_MM, THROAT_BEGINS_MM, OUTLET_MM = -75.0, -62.685, -40.0, 95.0
OUTLINE = (
    (INLET_MM, PIPE_MM), (NARROWS_MM, PIPE_MM), (THROAT_BEGINS_MM, THROAT_MM), (0.0, THROAT_MM),
    (0.0, PIPE_MM), (OUTLET_MM, PIPE_MM),
)  # fmt: skip
"""Pairs of place and radius. The developed inflow lies two radii before the cone; the last plane
that was measured is at 80 mm."""

PEAK_MM_S, LATTICE_SPEED = 830.0, 0.12
"""The fastest that the throat could become, and how many cells per step that is."""

CELL_MM, FINE_CELL_MM = 0.25, 0.2
"""The edge of a cell on a processor, in some fifteen minutes, and on a graphics card."""

RAMP_S, WINDOW_S, MOST_S, SETTLED = 0.35, 0.1, 1.6, 0.005
"""The flow begins slowly, since the pipe before the throat would swing; it has settled when the
velocity on the axis, averaged over a window, changes by less than a share of the largest."""

VELOCITY, PRESSURE = "plot-z-distribution-axial-velocity", "plot-wall-distribution-pressure"
WIDTH, DIFFER = 2.0, 0.1
"""Half of the laboratories' band: standard deviations between their measurements; and by what
share of a velocity they differ "at most of the locations", as the paper says."""

ZEROS_MM = (0.0, 32.0)
"""Places whose pressure is taken off all others: the expansion, whose taps differ most between
the laboratories, and the last tap."""

EXACT_CELLS = 8
"""Cells of the exact flow's mesh across the throat's radius: some ten seconds on a core."""

EXACT = (
    "exact axisymmetric flow: Taylor-Hood finite elements, hemodynamics/verification/"
    "nozzle_reference.py; known to 0.1 % of a velocity and 0.2 Pa, 1 Pa at the throat's edge"
)
SPEED_LIMIT, PRESSURE_LIMIT = 1.5, 3.0
"""How far from it velocities may lie, in percent of each, and pressures, of the largest."""

LEAST_SETS = 3
"""Measurements that a place must have to be compared."""

Curve = dict[float, float]
"""Place in mm to velocity in m/s, or pressure in Pa."""


@dataclass(frozen=True)
class Band:
    """What laboratories found.

    Attributes:
        places_mm: where.
        mean: of their values.
        half: half the width of the band.
        least, most: of their values; with few of them that is narrower than the band.
    """

    places_mm: Floats
    mean: Floats
    half: Floats
    least: Floats
    most: Floats

    def outside(self, values: Floats) -> int:
        """Return how many values, one for each place, lie outside."""
        return int(np.count_nonzero(self._misses(values)))

    def told(self, values: Floats) -> str:
        """Return how many of the values lie outside, and where."""
        there = ", ".join(f"{place:g}" for place in self.places_mm[self._misses(values)])
        return f"{self.outside(values)} of {len(values)}" + (f" ({there} mm)" if there else "")

    def _misses(self, values: Floats) -> npt.NDArray[np.bool_]:
        return ~(np.abs(values - self.mean) <= self.half)

    def beyond(self, values: Floats) -> int:
        """Return how many values lie beyond the least or the largest measurement."""
        return int(np.count_nonzero(~((self.least <= values) & (values <= self.most))))

    def apart(self, values: Floats) -> int:
        """Return how many values lie further from the mean than laboratories differ."""
        return int(np.count_nonzero(~(np.abs(values / self.mean - 1.0) <= DIFFER)))


def read_sets(archive: Path) -> list[dict[str, Curve]]:
    """Return the curves of every measurement by the name of its plot.

    Plots that the laboratory withdrew are left out.

    Raises:
        CannotRun: if the archive holds no measurement.
    """
    found = []
    with zipfile.ZipFile(archive) as packed:
        for name in sorted(packed.namelist()):
            if name.endswith(".txt"):
                found.append(read_set(packed.read(name).decode("latin-1")))
    if not found:
        raise CannotRun(f"{archive} holds no measurement of the nozzle")
    return found


def read_set(text: str) -> dict[str, Curve]:
    """Return the curves of one measurement: places (m) become mm, values keep their unit."""
    lines = iter(text.splitlines())
    curves: dict[str, Curve] = {}
    for line in lines:
        if line.startswith(("plot-z-", "plot-wall-")):
            pairs = [next(lines).split() for _ in range(int(next(lines)))]
            curves[line.strip()] = {round(1e3 * float(z), 3): float(v) for z, v, *_ in pairs}
    return curves


def band(curves: list[Curve], least_mm: float, most_mm: float) -> Band:
    """Return the band of several curves at the places that enough of them share."""
    places = sorted({place for curve in curves for place in curve if least_mm <= place <= most_mm})
    kept = [p for p in places if sum(p in curve for curve in curves) >= LEAST_SETS]
    values = [[curve[p] for curve in curves if p in curve] for p in kept]
    mean = np.array([np.mean(row) for row in values])
    spread = np.array([np.std(row, ddof=1) for row in values])
    least, most = np.array([min(row) for row in values]), np.array([max(row) for row in values])
    return Band(np.array(kept), mean, WIDTH * spread, least, most)


def lumen() -> SurfaceMesh:
    """Return the nozzle, its axis along z."""
    return revolved(OUTLINE, 0.8, name="nozzle")


@dataclass(frozen=True)
class Jet:
    """Velocity (n, 3) in m/s and pressure (n,) in Pa at cells (n, 3), averaged over a window."""

    cells_mm: Floats
    spacing_mm: float
    velocity_m_s: Floats
    pressure_pa: Floats
    seconds: float
    change: float

    def on_axis(self, places_mm: Floats) -> Floats:
        """Return the axial velocity on the axis: a parabola through the cells around it."""
        away = np.linalg.norm(self.cells_mm[:, :2], axis=1)
        near = np.flatnonzero(away < 1.6 * self.spacing_mm)
        return np.array([self._at_axis(near, away, place) for place in places_mm])

    def _at_axis(self, near: npt.NDArray[np.int64], away: Floats, place: float) -> float:
        here = near[np.abs(self.cells_mm[near, 2] - place) < 0.75 * self.spacing_mm]
        return float(np.polyfit(away[here] ** 2, self.velocity_m_s[here, 2], 1)[1])

    def at_wall(self, places_mm: Floats) -> Floats:
        """Return the mean pressure of the outermost cells."""
        away = np.linalg.norm(self.cells_mm[:, :2], axis=1)
        along, radii = np.array(OUTLINE).T
        found = []
        for place in places_mm:
            here = np.abs(self.cells_mm[:, 2] - place) < self.spacing_mm
            # At a step the taps lie in the corner behind it.
            edge = np.interp(place, along, radii) if place < 0 else PIPE_MM
            outer = here & (away > edge - 1.5 * self.spacing_mm)
            found.append(self.pressure_pa[outer].mean())
        return np.array(found)


def flow(spacing_mm: float, progress: Progress = silent) -> Jet:
    """Return the flow that has settled, in cells of that edge."""
    mesh = lumen()
    domain = divide(mesh, spacing_mm)
    scales = Scales(
        spacing_mm, LATTICE_SPEED * spacing_mm / PEAK_MM_S, DENSITY_KG_M3, VISCOSITY_PA_S
    )
    run = Run(
        mesh, domain, scales, steady(FLOW_ML_S), {"inlet": 1.0}, {"outlet_1": 1.0}, [Windkessel()],
        RAMP_S, device="auto",
    )  # fmt: skip
    axis = np.linalg.norm(domain.cells_mm[:, :2], axis=1) < spacing_mm
    between = max(round(WINDOW_S / 10 / scales.step_s), 1)
    before = np.zeros(np.count_nonzero(axis))
    change = 1.0
    while run.time_s < MOST_S and (run.time_s < RAMP_S + 2 * WINDOW_S or change > SETTLED):
        velocity = np.zeros((len(axis), 3))
        pressure = np.zeros(len(axis))
        for _ in range(10):
            for _ in range(between):
                run.fill()
                run.step()
            progress(run.time_s / MOST_S, f"nozzle: {run.time_s:.2f} s of flow")
            run.fill()
            fields = run.state()
            velocity += 0.1 * fields[0]
            pressure += 0.1 * fields[1]
        now = velocity[axis, 2]
        change = float(np.abs(now - before).max() / np.abs(now).max())
        before = now
    return Jet(domain.cells_mm, spacing_mm, velocity, pressure, run.time_s, change)


def exact(progress: Progress = silent) -> Profile:
    """Return the exact flow, were it axisymmetric and steady."""
    mesh = channel(OUTLINE, EXACT_CELLS)
    return solve(mesh, FLOW_ML_S, DENSITY_KG_M3, VISCOSITY_PA_S, progress)


def compare(jet: Jet, sets: list[Mapping[str, Curve]], truth: Profile) -> Iterator[Row]:
    """Yield how much of the jet lies outside of the laboratories' bands, and off the exact flow."""
    case = f"nozzle, throat Reynolds number 500, throat radius {THROAT_MM / jet.spacing_mm:g} cells"
    speeds = [dict(found[VELOCITY]) for found in sets if VELOCITY in found]
    yield from _speeds(case, jet, band(speeds, INLET_MM + 2.0, OUTLET_MM - PIPE_MM), truth)
    for zero_mm in ZEROS_MM:
        curves = [found.get(PRESSURE, {}) for found in sets]
        taps = [relative(curve, zero_mm) for curve in curves if zero_mm in curve]
        there = band(taps, INLET_MM + 2.0, OUTLET_MM - PIPE_MM)
        yield from _pressures(case, jet, there, truth, zero_mm, len(taps))


def _speeds(case: str, jet: Jet, there: Band, truth: Profile) -> Iterator[Row]:
    """Yield the rows of the velocity on the axis."""
    values, exactly = jet.on_axis(there.places_mm), truth.on_axis(there.places_mm)
    words = f"{len(there.places_mm)} places on the axis"
    yield Row(
        "fda-nozzle", case, f"axial velocity: of {words}, outside of the laboratories' band",
        there.outside(values), 0.0, "", 0.0, SOURCE,
        note=f"ours lies outside at {there.told(values)}, the exact axisymmetric flow itself at "
        f"{there.told(exactly)}; the band is {WIDTH:g} standard deviations to either side; "
        f"{there.beyond(values)} lie beyond the least or the largest measurement, "
        f"{there.apart(values)} further than {100 * DIFFER:.0f} % from the mean; after "
        f"{jet.seconds:.2f} s of flow; still changing by {100 * jet.change:.2g} %",
    )  # fmt: skip
    off, of_exact = (100 * np.mean(np.abs(found / there.mean - 1.0)) for found in (values, exactly))
    yield Row(
        "fda-nozzle", case, f"axial velocity off the laboratories' mean, mean of {words}",
        float(off), 0.0, "%", 100 * DIFFER, SOURCE,
        note=f"the laboratories differ by about {100 * DIFFER:.0f} % from each other; the exact "
        f"axisymmetric flow is off by {of_exact:.1f} %",
    )  # fmt: skip
    apart = 100 * np.abs(values / exactly - 1.0)
    for which, value in (
        ("largest", apart.max()),
        ("root mean square", np.sqrt(np.mean(apart**2))),
    ):
        yield Row(
            "fda-nozzle", case, f"axial velocity off the exact flow, {which} of {words}",
            float(value), 0.0, "%", SPEED_LIMIT, EXACT,
            note=f"the largest at {there.places_mm[apart.argmax()]:g} mm",
        )  # fmt: skip


def _pressures(
    case: str, jet: Jet, there: Band, truth: Profile, zero_mm: float, count: int
) -> Iterator[Row]:
    """Yield the rows of the pressure on the wall less that at a place; ``count`` sets have it."""
    zero = np.array([zero_mm])
    values, exactly = (
        found.at_wall(there.places_mm) - found.at_wall(zero) for found in (jet, truth)
    )
    words = f"less that at {zero_mm:g} mm: of {len(there.places_mm)} places on the wall"
    yield Row(
        "fda-nozzle", case, f"pressure {words}, outside of the laboratories' band",
        there.outside(values), 0.0, "", 0.0, SOURCE,
        note=f"ours lies outside at {there.told(values)}, the exact axisymmetric flow itself at "
        f"{there.told(exactly)}; {count} measurements that differ by up to "
        f"{2 * there.half.max():.0f} Pa",
    )  # fmt: skip
    apart, most = np.abs(values - exactly), np.abs(exactly).max()
    yield Row(
        "fda-nozzle", case, f"pressure {words}, the farthest off the exact flow",
        float(100 * apart.max() / most), 0.0, "%", PRESSURE_LIMIT, EXACT,
        note=f"of the largest, {most:.0f} Pa; {apart.max():.1f} Pa at "
        f"{there.places_mm[apart.argmax()]:g} mm",
    )  # fmt: skip


def relative(curve: Curve, zero_mm: float) -> Curve:
    """Return a curve of pressure less that at a place, which is left out itself."""
    return {place: value - curve[zero_mm] for place, value in curve.items() if place != zero_mm}


def fda_nozzle(means: Means) -> Iterator[Row]:
    """Yield the rows of the nozzle, in finer cells where there is a graphics card.

    Raises:
        CannotRun: if the laboratories' data are not here.
    """
    sets = read_sets(data_file(means, ARCHIVE))
    spacing_mm = CELL_MM if card() is None else FINE_CELL_MM
    truth = exact(means.progress)
    yield from compare(flow(spacing_mm, means.progress), [*sets], truth)
