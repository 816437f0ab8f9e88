"""Fractional flow reserve of a narrowing: from its measures (0D) and from a computed flow (3D).

The reserve is the mean pressure behind the narrowing by that in the aorta, both at the largest
flow (hyperaemia). Pijls 1996 (doi:10.1056/NEJM199606273342604).

Against computed 3D flows in cosine narrowings of a 3 mm tube (to 1.5 and 2 mm over 8 mm, Reynolds
numbers of 250 to 470 in the throat, 8 to 11 cells across it) the loss taken here came out 8 to 21
percent high, the formula of Young and Tsai for the whole narrowing 54 to 93 percent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le
from scipy.integrate import cumulative_trapezoid

from hemodynamics.boundary import PA_PER_MMHG
from hemodynamics.flow_result import FlowResult
from hemodynamics.lumped import Course, Network, PressureSource, Resistor
from hemodynamics.narrowing_drawn import drawn
from hemodynamics.network_solution import steady
from hemodynamics.vessel_flow import DENSITY_KG_M3
from meshing.centerline import Centerline, own_sections
from meshing.curves import arc_length_mm
from meshing.vessel_findings import stenosis
from segmentation.contract import Finding, Measurements, Number, Progress, Severity, silent
from segmentation.measured import Measured

Floats = npt.NDArray[np.float64]

THRESHOLD = 0.80
"""At or below it a narrowing counts as limiting flow: Tonino 2009 (doi:10.1056/NEJMoa0807611)."""

EXPANSION = 1.52
"""Loss where a jet widens again, K_t of Young and Tsai."""

WHOLE = 2.0
"""Length of a narrowing shaped like a cosine by that at half of it."""

TURBULENT, THINNEST_MM = 2000.0, 0.1
YOUNG_TSAI = (
    "Young and Tsai 1973, doi:10.1016/0021-9290(73)90099-7; Seeley and Young 1976, "
    "doi:10.1016/0021-9290(76)90086-5"
)
MODEL = (
    "Poiseuille's law along the measured diameters and the loss of the widening jet, K_t = 1.52 "
    f"({YOUNG_TSAI}), before a constant resistance of the bed"
)
Law = Literal["measured", "young_tsai"]
RESERVE, RATIO = "fractional_flow_reserve", "resting_pressure_ratio"
"""What the pressure behind by that before is called at hyperaemia, and at rest."""

NOT_VALIDATED = (
    "The pressures come from a model of one narrowing before a bed of constant resistance; it was "
    "compared with computed flows, never with measured pressures"
)


@dataclass(frozen=True, eq=False)
class Narrowing:
    """What decides how much pressure a narrowed vessel costs.

    Attributes:
        along_mm, diameter_mm: the vessel's diameters along its centerline.
        least_mm, normal_mm: diameters of the narrowest place and of the vessel without it.
        length_mm: of the whole narrowing.
        flow_ml_s: what the vessel would carry at hyperaemia without it.
    """

    along_mm: Floats
    diameter_mm: Floats
    least_mm: float
    normal_mm: float
    length_mm: float
    flow_ml_s: float

    def losses(self, viscosity_pa_s: float, law: Law = "measured") -> tuple[float, float]:
        """Return the linear and quadratic resistance in mmHg s/mL and mmHg s2/mL2.

        The linear one is 128 mu / pi times the integral of 1 / D^4, or in the narrowing that of
        Young and Tsai: K_v mu / (D A) with K_v = 32 (L_a / D) (A / A_s)^2 and L_a = 0.83 L +
        1.64 D_s. The quadratic one is K_t rho / 2 (1 / A_s - 1 / A)^2.
        """
        whole_mm3 = float(np.trapezoid(self.diameter_mm**-4, self.along_mm))
        if law == "young_tsai":
            acting_mm = 0.83 * self.length_mm + 1.64 * self.least_mm
            rest_mm = max(float(self.along_mm[-1] - self.along_mm[0]) - self.length_mm, 0.0)
            whole_mm3 = acting_mm / self.least_mm**4 + rest_mm / self.normal_mm**4
        linear = 128e9 / np.pi * viscosity_pa_s * whole_mm3
        least_m2, normal_m2 = (0.25e-6 * np.pi * d**2 for d in (self.least_mm, self.normal_mm))
        square = 0.5 * EXPANSION * DENSITY_KG_M3 * (1 / least_m2 - 1 / normal_m2) ** 2
        return 1e-6 * linear / PA_PER_MMHG, 1e-12 * square / PA_PER_MMHG

    def wider(self, by_mm: float) -> Narrowing:
        """Return the narrowing with all diameters wider by a length, the normal one aside."""
        return replace(
            self,
            diameter_mm=np.maximum(self.diameter_mm + by_mm, THINNEST_MM),
            least_mm=min(max(self.least_mm + by_mm, THINNEST_MM), self.normal_mm),
        )

    def lost_mmhg(self, flow_ml_s: float, viscosity_pa_s: float) -> Floats:
        """Return the total pressure lost up to each place along the vessel.

        Friction is that of the measured diameters; the jet's loss is spread evenly from the
        narrowest place to the end of the narrowing.
        """
        linear, quadratic = self.losses(viscosity_pa_s)
        friction = cumulative_trapezoid(self.diameter_mm**-4, self.along_mm, initial=0.0)
        throat = self.along_mm[int(np.argmin(self.diameter_mm))]
        widened = np.clip((self.along_mm - throat) / max(self.length_mm / 2, 1e-6), 0.0, 1.0)
        rubbed = linear * flow_ml_s * friction / friction[-1]
        return np.asarray(rubbed + quadratic * flow_ml_s**2 * widened)

    def throat_reynolds(self, flow_ml_s: float, viscosity_pa_s: float) -> float:
        """Return the Reynolds number of a flow in the narrowest place."""
        return float(4e-3 * DENSITY_KG_M3 * flow_ml_s / (np.pi * self.least_mm * viscosity_pa_s))


def fractional_flow_reserve(
    centerline: Centerline,
    *,
    aortic_pressure_mmhg: Annotated[float, Gt(0), Le(250)] | None = None,
    flow_ml_s: Annotated[float, Gt(0), Le(100)] | None = None,
    flow_state: Literal["hyperaemia", "rest"] = "hyperaemia",
    flow_source: str = "",
    venous_pressure_mmhg: Annotated[float, Ge(0), Le(40)] = 5.0,
    branch: Annotated[int, Ge(0)] = 0,
    reference: Literal["distal", "proximal", "both", "best_fit"] = "distal",
    reference_diameter_mm: Annotated[float, Gt(0), Le(50)] | None = None,
    viscosity_pa_s: Annotated[float, Gt(0), Le(0.1)] = 0.0035,
    diameter_doubt_mm: Annotated[float, Ge(0), Le(2)] = 0.15,
    flow_doubt_percent: Annotated[float, Ge(0), Le(90)] = 25.0,
    progress: Progress = silent,
) -> Measured:
    """Estimate the fractional flow reserve of the worst narrowing of a vessel.

    The narrowing is measured as by stenosis. The bed behind it has the resistance that lets the
    given flow through without the narrowing; with it, less flows. Pressure is lost to friction
    along the branch and where the jet widens. The band holds every combination of diameter and
    flow within their doubts, and the formula of Young and Tsai instead. Samples hold diameter
    and pressure along the branch.

    Args:
        aortic_pressure_mmhg: Mean aortic pressure at that flow; without it there is no value.
        flow_ml_s: Flow that the vessel would carry without the narrowing; without it there is
            no value.
        flow_state: Whether that is the flow at hyperaemia or at rest; at rest the ratio of the
            pressures is no flow reserve.
        flow_source: Where the flow comes from, such as "measured by Doppler" or "assumed".
        venous_pressure_mmhg: Pressure behind the bed.
        branch: Number of the branch; 0 looks at all and takes the worst.
        reference: Where the normal vessel is measured: beyond (distal) or before (proximal) the
            narrowing, the mean of both, or the line that fits the wide sections of the branch.
        reference_diameter_mm: Diameter of the normal vessel; empty measures it.
        viscosity_pa_s: Dynamic viscosity of the blood.
        diameter_doubt_mm: How far the narrowest diameter may be off.
        flow_doubt_percent: How far the flow may be off.

    Raises:
        ValueError: if no branch is long enough, or the aortic pressure does not exceed the
            venous one.
    """
    progress(0.1, "measuring the narrowing")
    measured = stenosis(
        centerline, branch=branch, reference=reference, reference_diameter_mm=reference_diameter_mm
    )
    sized = tuple(_doubted(measured.numbers, diameter_doubt_mm))
    size = {number.quantity: number.value for number in sized}
    missing = [
        words
        for words, value in (
            ("mean aortic pressure", aortic_pressure_mmhg),
            ("flow without the narrowing", flow_ml_s),
        )
        if value is None
    ]
    if aortic_pressure_mmhg is None or flow_ml_s is None:
        return drawn(centerline, size, {}, sized, (*measured.findings, _needs(missing)))
    if aortic_pressure_mmhg <= venous_pressure_mmhg:
        raise ValueError(
            f"the aortic pressure of {aortic_pressure_mmhg:g} mmHg does not exceed the venous one "
            f"of {venous_pressure_mmhg:g} mmHg; check the values of the patient"
        )
    if size["minimum_diameter"] >= size["reference_diameter"]:
        none = Finding(Severity.INFO, "no_narrowing", "No narrowing was found, so none costs flow")
        return drawn(centerline, size, {}, sized, (*measured.findings, none))
    found = narrowing_of(centerline, size, flow_ml_s)
    pressures = (aortic_pressure_mmhg, venous_pressure_mmhg)
    value, flow = solved(found, *pressures, viscosity_pa_s)
    progress(0.5, "the band")
    low, high = reserve_band(
        found, pressures, viscosity_pa_s, diameter_doubt_mm, flow_doubt_percent
    )
    low, high = min(value, low), max(value, high)
    reynolds = found.throat_reynolds(flow, viscosity_pa_s)
    rest = flow_state == "rest"
    told = f"{'at rest' if rest else 'at hyperaemia'}, {flow_source.strip() or 'source not given'}"
    band = (
        f"{MODEL}; flow {told}; band: diameters ± {diameter_doubt_mm:g} mm, flow ± "
        f"{flow_doubt_percent:g} %, and the viscous loss of Young and Tsai"
    )
    numbers = (
        Number(RATIO if rest else RESERVE, value, "", band, low, high, plain=True),
        Number("pressure_drop", (1 - value) * aortic_pressure_mmhg, "mmHg", MODEL,
               (1 - high) * aortic_pressure_mmhg, (1 - low) * aortic_pressure_mmhg),
        Number("flow", flow, "mL/s", f"with the narrowing; without it {flow_ml_s:g} mL/s"),
        Number("throat_reynolds", reynolds, "", "of the flow in the narrowest place"),
        Number("aortic_pressure", aortic_pressure_mmhg, "mmHg", "as entered"),
        Number("venous_pressure", venous_pressure_mmhg, "mmHg", "as entered, or 5 mmHg assumed"),
        Number("flow_without", flow_ml_s, "mL/s", f"as entered; {told}"),
    )  # fmt: skip
    notes = [*measured.findings, *([] if rest else _verdict(value, low, high))]
    notes += _flow_notes(rest, flow_source, reynolds)
    pressure_mmhg = aortic_pressure_mmhg - found.lost_mmhg(flow, viscosity_pa_s)
    progress(1.0)
    columns = {"pressure_mmhg": pressure_mmhg}
    return drawn(centerline, size, columns, (*numbers, *sized), tuple(notes))


def flow_reserve(
    flow: FlowResult,
    *,
    aortic_pressure_mmhg: Annotated[float, Gt(0), Le(250)] | None = None,
    progress: Progress = silent,
) -> Measurements:
    """Fractional flow reserve at each outlet of a computed flow.

    The inlet has the aortic pressure; the mean drop to an outlet is taken from it. It is a
    reserve only if the flow was that of hyperaemia.

    Args:
        aortic_pressure_mmhg: Mean aortic pressure at hyperaemia; without it there is no value.

    Raises:
        ValueError: if the flow loses more pressure than there is.
    """
    progress(1.0)
    if aortic_pressure_mmhg is None:
        return Measurements(findings=(_needs(["mean aortic pressure"]),))
    means = {name: float(course.mean()) for name, course in flow.flows_ml_s.items()}
    inlet = max(means, key=lambda name: means[name])
    entry = float(flow.opening_pressures_pa[inlet].mean())
    source = f"3D flow of {means[inlet]:.3g} mL/s into {inlet}, which has the aortic pressure"
    found = {}
    for name in means:
        if name != inlet:
            drop = (entry - float(flow.opening_pressures_pa[name].mean())) / PA_PER_MMHG
            if drop >= aortic_pressure_mmhg:
                raise ValueError(
                    f"the flow loses {drop:.3g} mmHg to {name}, more than the aortic pressure of "
                    f"{aortic_pressure_mmhg:g} mmHg; check pressure and flow"
                )
            found[name] = 1.0 - drop / aortic_pressure_mmhg
    worst = min(found.values())
    numbers = [Number("fractional_flow_reserve", worst, "", f"{source}; least outlet", plain=True)]
    numbers += [Number(f"{name}.reserve", value, "", source) for name, value in found.items()]
    text = "This is a reserve only if the computed flow is that of hyperaemia"
    hint = Finding(Severity.INFO, "hyperaemia", f"{text}: {means[inlet]:.3g} mL/s at {inlet}")
    return Measurements(tuple(numbers), (hint, *_verdict(worst, None, None)))


def _doubted(numbers: Iterable[Number], doubt_mm: float) -> Iterator[Number]:
    """Return the numbers of a stenosis with the band of its narrowest diameter's doubt."""
    size = {number.quantity: number.value for number in numbers}
    least, normal = size["minimum_diameter"], size["reference_diameter"]
    thin, wide = max(least - doubt_mm, 0.0), least + doubt_mm
    shares = [min(one / normal, 1.0) for one in (thin, wide)]
    bands = {
        "minimum_diameter": (thin, wide),
        "minimum_area": (np.pi * thin**2 / 4, np.pi * wide**2 / 4),
        "diameter_stenosis": (100 * (1 - shares[1]), 100 * (1 - shares[0])),
        "area_stenosis": (100 * (1 - shares[1] ** 2), 100 * (1 - shares[0] ** 2)),
    }
    for number in numbers:
        if number.quantity not in bands:
            yield number
            continue
        low, high = (float(end) for end in bands[number.quantity])
        source = f"{number.source}; band: narrowest diameter ± {doubt_mm:g} mm"
        low, high = min(low, number.value), max(high, number.value)
        yield replace(number, source=source, low=low, high=high)


def _flow_notes(rest: bool, source: str, reynolds: float) -> Iterator[Finding]:
    """Return what a reader of the reserve must know of its flow and its model."""
    if rest:
        text = "The flow is that at rest, so the ratio of the pressures is no flow reserve"
        yield Finding(Severity.INFO, "flow_at_rest", text)
    if not source.strip():
        text = "Where the flow without the narrowing comes from was not given"
        remedy = "Say whether it was measured or assumed (flow_source)"
        yield Finding(Severity.WARNING, "flow_source", text, remedy=remedy)
    if reynolds > TURBULENT:
        text = f"the Reynolds number of {reynolds:.0f} in the narrowing is beyond laminar flow"
        yield Finding(Severity.WARNING, "turbulent_throat", text)
    yield Finding(Severity.INFO, "reserve_model", NOT_VALIDATED)


def narrowing_of(centerline: Centerline, size: Mapping[str, float], flow_ml_s: float) -> Narrowing:
    """Return the narrowing of the branch on which ``size``, the numbers of stenosis, found it."""
    points = centerline.branch(int(size["branch"])).points
    area_mm2 = centerline.point_data["area_mm2"][points]
    own = np.isfinite(area_mm2) & own_sections(centerline)[points]
    return Narrowing(
        arc_length_mm(centerline.points_mm[points])[own],
        2 * np.sqrt(area_mm2[own] / np.pi),
        size["minimum_diameter"],
        size["reference_diameter"],
        WHOLE * size["length"],
        flow_ml_s,
    )


def solved(
    narrowing: Narrowing,
    aortic_mmhg: float,
    venous_mmhg: float,
    viscosity_pa_s: float,
    law: Law = "measured",
    times: float = 1.0,
) -> tuple[float, float]:
    """Return the reserve and the flow (mL/s) of a narrowing before the resistance of its bed.

    ``times`` is by how much the narrowing loses more than the law says.
    """
    bed = (aortic_mmhg - venous_mmhg) / narrowing.flow_ml_s
    linear, quadratic = (times * loss for loss in narrowing.losses(viscosity_pa_s, law))
    state = steady(
        Network(
            (
                PressureSource("aorta", "aorta", Course(aortic_mmhg)),
                Resistor("narrowing", "aorta", "distal", linear, quadratic),
                Resistor("bed", "distal", "vein", bed),
                PressureSource("vein", "vein", Course(venous_mmhg)),
            )
        )
    )
    distal, flow = state.pressures_mmhg["distal"][0], state.flows_ml_s["bed"][0]
    return float(distal / aortic_mmhg), float(flow)


def reserve_band(
    found: Narrowing,
    pressures_mmhg: tuple[float, float],
    viscosity_pa_s: float,
    doubt_mm: float,
    flow_doubt_percent: float,
    times: float = 1.0,
) -> tuple[float, float]:
    """Return the least and largest reserve within the doubts, by either law of friction.

    ``pressures_mmhg`` are those of aorta and vein; ``times`` is by how much the narrowing loses
    more than the law says.
    """
    reserves = [
        solved(other, *pressures_mmhg, viscosity_pa_s, law, times)[0]
        for other in _within(found, doubt_mm, flow_doubt_percent / 100)
        for law in get_args(Law)
    ]
    return min(reserves), max(reserves)


def _within(found: Narrowing, doubt_mm: float, share: float) -> Iterator[Narrowing]:
    """Return the narrowing at every corner of its doubts."""
    for side, part in product((-1, 1), (-1, 1)):
        wider = found.wider(side * doubt_mm)
        yield replace(wider, flow_ml_s=found.flow_ml_s * (1 + part * share))


def _verdict(value: float, low: float | None, high: float | None) -> list[Finding]:
    if low is not None and high is not None and low <= THRESHOLD < high:
        text = (
            f"the threshold of {THRESHOLD:g} lies within the band of {low:.2f} to {high:.2f}: "
            "this estimate cannot tell whether the narrowing limits flow"
        )
        return [Finding(Severity.WARNING, "reserve_open", text, remedy="Measure the pressure")]
    beyond = "at or below" if value <= THRESHOLD else "above"
    text = (
        f"the reserve of {value:.2f} is {beyond} the threshold of {THRESHOLD:g} that was found in "
        "coronary arteries"
    )
    return [Finding(Severity.INFO, "reserve", text)]


def _needs(missing: list[str]) -> Finding:
    text = f"The flow reserve is not estimated; not given: {', '.join(missing)}"
    return Finding(Severity.INFO, "reserve_inputs", text, remedy="Enter the patient's values")
