"""What a result tells of the elastic tubes in a network: their waves, and what was neglected."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hemodynamics.boundary import PA_PER_MMHG
from hemodynamics.lumped import GROUND, Course, FlowSource, Network, PressureSource, Tube
from hemodynamics.network_solution import NetworkResult
from hemodynamics.network_tubes import artery_of, highest_hz, segments_of, tubes_of
from hemodynamics.vessel_flow import DENSITY_KG_M3
from segmentation.contract import Finding, Number, Severity

Floats = npt.NDArray[np.float64]

SLOWED = 0.01
"""Share by which waves may be slowed before it is told."""

LARGE = 0.1
"""Terms that are neglected are small below this share of those that are kept."""


def tube_numbers(
    network: Network, found: NetworkResult, step_s: float | None = None
) -> Iterator[Number]:
    """Yield what the tubes are, and how much they throw back where steps follow their waves."""
    for tube in tubes_of(network):
        if " " in tube.name:
            continue
        artery, law = artery_of(tube), _law(tube)
        speed = artery.wave_speed_m_s
        yield Number(f"{tube.name}.wave_speed", speed, "m/s", law)
        text = f"density x wave speed / section; {law}"
        yield Number(f"{tube.name}.impedance", artery.impedance, "mmHg s/mL", text)
        yield Number(f"{tube.name}.travel_time", tube.length_mm / speed, "ms", f"length; {law}")
        if step_s is None:
            continue
        text = f"{segments_of(tube, step_s)} segments: waves up to it are slowed by 1 % at most"
        highest = highest_hz(tube, step_s, SLOWED)
        yield Number(f"{tube.name}.highest_frequency", highest, "Hz", text)
        forward, backward = waves(tube, found)
        if np.ptp(forward) > 0:
            text = "pulse of the backward by that of the forward wave at its start"
            value = float(np.ptp(backward) / np.ptp(forward))
            yield Number(f"{tube.name}.reflection", value, "", text)


def waves(tube: Tube, found: NetworkResult) -> tuple[Floats, Floats]:
    """Return the pressures (mmHg) of the waves forward and backward at the start of a tube.

    Westerhof 1972 (doi:10.1093/cvr/6.6.648), with the impedance of the tube without friction.
    """
    pressure = _pressure(found, tube.start)
    driven = artery_of(tube).impedance * found.flows_ml_s[f"{tube.name}.start"]
    return 0.5 * (pressure + driven), 0.5 * (pressure - driven)


def tube_findings(
    network: Network, found: NetworkResult, step_s: float | None = None
) -> Iterator[Finding]:
    """Yield what linear waves in tubes neglect, and which waves the steps do not follow."""
    tubes = tubes_of(network)
    if not tubes or step_s is None:
        return  # at rest there are no waves
    speed, faster = max((_speed(tube, found), tube.name) for tube in tubes)
    pulse, wider = max((_widening(tube, found), tube.name) for tube in tubes)
    profiles = sorted({tube.profile for tube in tubes if tube.viscosity_pa_s > 0})
    friction = ", ".join(f"{profile:g}" for profile in profiles)
    friction = f"the friction of steady flow (profile of power {friction})" if friction else ""
    yield Finding(
        Severity.WARNING if max(speed, pulse) > LARGE else Severity.INFO,
        "linear_waves",
        "waves in tubes are linear and one-dimensional: constant section, elastic wall, "
        f"{friction or 'no friction'}. Neglected terms: blood moves at up to "
        f"{100 * speed:.2g} % of the wave speed ({faster}), sections widen by up to "
        f"{100 * pulse:.2g} % of their own ({wider})",
    )
    yield from _fineness(network, tubes, step_s)


def _fineness(network: Network, tubes: list[Tube], step_s: float) -> Iterator[Finding]:
    highest, slowest = min((highest_hz(tube, step_s, SLOWED), tube.name) for tube in tubes)
    sent, sender = max(_sent(network), default=(0.0, ""))
    if sent > highest:
        yield Finding(
            Severity.WARNING,
            "waves_slowed",
            f"the source {sender} sends waves of up to {sent:.3g} Hz, but those above "
            f"{highest:.3g} Hz are slowed by more than {100 * SLOWED:g} % in {slowest}",
            remedy="take more steps",
        )


def _sent(network: Network) -> Iterator[tuple[float, str]]:
    """Yield the highest frequency (Hz) of each source, and its name."""
    for element in network.elements:
        course: Course
        if isinstance(element, PressureSource):
            course = element.pressure
        elif isinstance(element, FlowSource):
            course = element.flow
        else:
            continue
        orders = [
            order
            for parts in (course.cosines, course.sines)
            for order, part in enumerate(parts, 1)
            if part != 0
        ]
        if orders and course.period_s is not None:
            yield max(orders) / course.period_s, element.name


def _law(tube: Tube) -> str:
    if tube.wave_speed_m_s is not None:
        return "wave speed as entered"
    if tube.distensibility_per_mmhg is not None:
        return f"Bramwell and Hill, blood of {DENSITY_KG_M3:g} kg/m3"
    return f"Moens and Korteweg, Poisson's ratio {tube.poisson:g}"


def _pressure(found: NetworkResult, node: str) -> Floats:
    return np.zeros(len(found.times_s)) if node == GROUND else found.pressures_mmhg[node]


def _speed(tube: Tube, found: NetworkResult) -> float:
    """Return the largest mean speed of blood in a section, as a share of the wave speed."""
    artery = artery_of(tube)
    most = max(np.abs(found.flows_ml_s[f"{tube.name}.{end}"]).max() for end in ("start", "end"))
    return float(1e-6 * most / artery.area_m2 / artery.wave_speed_m_s)


def _widening(tube: Tube, found: NetworkResult) -> float:
    """Return how much a section widens over time at most, as a share of itself."""
    softness = PA_PER_MMHG / (DENSITY_KG_M3 * artery_of(tube).wave_speed_m_s ** 2)
    courses = (
        _pressure(found, tube.start),
        _pressure(found, tube.end),
        found.pressures_mmhg[f"{tube.name}.middle"],
    )
    return float(softness * max(np.ptp(course) for course in courses))
