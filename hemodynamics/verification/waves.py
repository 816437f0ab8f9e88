"""Waves in elastic tubes of a network, beside the theory of lines: speed, reflection, impedance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log2, pi

import numpy as np
import numpy.typing as npt

from hemodynamics.lumped import (
    GROUND,
    Compliance,
    Course,
    Element,
    FlowSource,
    Network,
    PressureSource,
    Resistor,
    Tube,
)
from hemodynamics.network_solution import NetworkResult, periodic, transient
from hemodynamics.network_tubes import artery_of, slowing
from hemodynamics.network_vessels import windkessel
from hemodynamics.verification.rows import Means, Row

Complex = npt.NDArray[np.complex128]

PERIOD_S, STEPS, ORDERS = 0.8, 400, 10
TUBE = Tube("artery", "near", "far", 400.0, 4.0, young_kpa=400.0, wall_mm=0.6, viscosity_pa_s=0.0)
CHILD = Tube("child", "far", "end", 300.0, 3.0, wave_speed_m_s=9.0, viscosity_pa_s=0.0)
VISCOUS = replace(TUBE, viscosity_pa_s=0.0035)
KORTEWEG = "length / sqrt(E h / (2 rho r (1 - nu^2))), Moens and Korteweg"
LINE = "transmission line: (Z - Zc) / (Z + Zc), Zc = rho c / A"
TELEGRAPH = "transmission line with the friction of Poiseuille's profile, closed form"


def waves(means: Means) -> Iterator[Row]:
    """Yield how waves travel, are thrown back and lose, beside lines in closed form."""
    yield _travel()
    means.progress(0.2, "reflections")
    yield from _reflections()
    means.progress(0.5, "impedance")
    yield from _impedance()
    means.progress(0.9, "volume")
    yield _volume()


def _row(case: str, quantity: str, value: float, is_: float, unit: str, limit: float,
         source: str) -> Row:  # fmt: skip
    return Row("waves", case, quantity, value, is_, unit, limit, source)


def _travel() -> Row:
    """Return how long a short pulse takes to the far end, from peak to peak."""
    width_s, start_s, around_s = 0.01, 0.05, 1.0
    orders = np.arange(1, 61)
    size = 2 * np.exp(-0.5 * (2 * pi * orders / around_s * width_s) ** 2) / around_s
    turn = 2 * pi * orders / around_s * start_s
    flow = Course(1 / around_s, around_s, tuple(size * np.cos(turn)), tuple(size * np.sin(turn)))
    end = Resistor("end", "far", GROUND, artery_of(TUBE).impedance)
    found = transient(Network((FlowSource("heart", "near", flow), TUBE, end)), 0.2, 5e-4)
    peaks = [_peak(found, node) for node in ("near", "far")]
    exact = TUBE.length_mm / artery_of(TUBE).wave_speed_m_s
    case = "tube of 400 mm, steps of 0.5 ms"
    travel = 1e3 * (peaks[1] - peaks[0])
    return _row(case, "travel time of a pulse", travel, exact, "ms", 0.01 * exact, KORTEWEG)


def _peak(found: NetworkResult, node: str) -> float:
    """Return the time (s) of a node's highest pressure, from a parabola through three steps."""
    course, times = found.pressures_mmhg[node], found.times_s
    top = int(np.argmax(course))
    before, at, after = course[top - 1 : top + 2]
    share = 0.5 * (before - after) / (before - 2 * at + after)
    return float(times[top] + share * (times[1] - times[0]))


def _reflections() -> Iterator[Row]:
    """Yield the share of a wave that ends and junctions throw back, seen from the start."""
    own, child = artery_of(TUBE).impedance, artery_of(CHILD).impedance
    twin = replace(CHILD, name="twin", end="end 2")
    last = Resistor("last", "end", GROUND, child)
    other = Resistor("last 2", "end 2", GROUND, child)
    cases: tuple[tuple[str, Sequence[Element], float], ...] = (
        ("closed end", (), 1.0),
        ("end with the impedance of the tube", (Resistor("end", "far", GROUND, own),), 0.0),
        ("end with a third of it", (Resistor("end", "far", GROUND, own / 3),), -0.5),
        ("narrower tube behind it", (CHILD, last), (child - own) / (child + own)),
        ("two narrower tubes behind it", (CHILD, twin, last, other),
         (child / 2 - own) / (child / 2 + own)),
    )  # fmt: skip
    round_trip_s = 2e-3 * TUBE.length_mm / artery_of(TUBE).wave_speed_m_s
    for case, behind, exact in cases:
        heart = PressureSource("heart", "before", Course(0.0, PERIOD_S, (), (1.0,)))
        entry = Resistor("entry", "before", "near", own)  # what comes back leaves through it
        network = Network((heart, entry, TUBE, *behind))
        found = periodic(network, PERIOD_S, STEPS, tolerance=1e-6)
        pressure, flow = _harmonics(found, 1)
        seen = (pressure[0] - own * flow[0]) / (pressure[0] + own * flow[0])
        back = seen * np.exp(2j * pi / PERIOD_S * round_trip_s)
        yield _row(case, "reflection coefficient", float(back.real), exact, "", 0.01, LINE)


def _harmonics(found: NetworkResult, orders: int) -> tuple[Complex, Complex]:
    """Return the first harmonics of pressure and flow at the start of the tube."""
    turns = np.outer(np.arange(1, orders + 1), found.times_s) / PERIOD_S
    wave = np.exp(-2j * pi * turns) * 2 / len(found.times_s)
    return wave @ found.pressures_mmhg["near"], wave @ found.flows_ml_s["artery.start"]


def _impedance() -> Iterator[Row]:
    """Yield the input impedance with a Windkessel behind, its order, and the told slowing."""
    errors = [_impedance_error(steps, steps // 10) for steps in (STEPS // 2, STEPS)]
    case = f"tube with friction and a three-element Windkessel, {STEPS} steps, {STEPS // 10} parts"
    quantity = f"input impedance, largest error over {ORDERS} harmonics"
    yield _row(case, quantity, 100 * errors[1], 0.0, "%", 2.0, TELEGRAPH)
    order = log2(errors[0] / errors[1])
    yield _row(f"{case}, and half of either", "order of convergence", order, 2.0, "", 0.2,
               "second differences in time and along the tube")  # fmt: skip
    step_s = PERIOD_S / STEPS
    told = 100 * slowing(TUBE, step_s, ORDERS / PERIOD_S)
    yield _row(f"wave of {ORDERS / PERIOD_S:g} Hz, {STEPS} steps", "slowed as it is told",
               _slowed(), told, "%", 0.1 * told, "leading terms of both differences")  # fmt: skip


def _impedance_error(steps: int, segments: int) -> float:
    artery = artery_of(VISCOUS)
    proximal, compliance, distal = artery.impedance, 0.3, 8 * artery.impedance
    flow = Course(10.0, PERIOD_S, (1.0,) * ORDERS, ())
    behind = windkessel("body", "far", proximal, compliance, distal, 10 * distal)
    heart = FlowSource("heart", "near", flow)
    tube = replace(VISCOUS, initial_mmhg=10.0 * distal, segments=segments)
    found = periodic(Network((heart, tube, *behind)), PERIOD_S, steps, tolerance=1e-6)
    pressures, flows = _harmonics(found, ORDERS)
    turn = 2j * pi * np.arange(1, ORDERS + 1) / PERIOD_S
    load = proximal + distal / (1 + turn * distal * compliance)
    series, across = artery.resistance + turn * artery.inertance, turn * artery.compliance
    line, along = np.sqrt(series / across), np.tanh(np.sqrt(series * across))
    exact = line * (load + line * along) / (line + load * along)
    return float(np.abs(pressures / flows / exact - 1).max())


def _slowed() -> float:
    """Return by how many percent the fastest of the harmonics is late at a matched end."""
    hertz = ORDERS / PERIOD_S
    wave = Course(0.0, PERIOD_S, (), (0.0,) * (ORDERS - 1) + (1.0,))
    end = Resistor("end", "far", GROUND, artery_of(TUBE).impedance)
    network = Network((FlowSource("heart", "near", wave), TUBE, end))
    found = periodic(network, PERIOD_S, STEPS, tolerance=1e-6)
    turn = np.exp(-2j * pi * hertz * found.times_s)
    near, far = (np.sum(turn * found.pressures_mmhg[node]) for node in ("near", "far"))
    exact = 2 * pi * hertz * 1e-3 * TUBE.length_mm / artery_of(TUBE).wave_speed_m_s
    late = -np.angle(far / near * np.exp(1j * exact))
    return float(100 * late / exact)


def _volume() -> Row:
    """Return how much blood a closed tube between two stores loses or gains."""
    stores = (
        Compliance("first", "near", 0.5, 0.0, GROUND, 60.0),
        Compliance("second", "far", 0.3, 0.0, GROUND, 6.0),
    )
    found = transient(Network((*stores, replace(VISCOUS, initial_mmhg=40.0))), 1.0, 2e-3)
    whole = found.total_ml()
    change = 100 * float(np.ptp(whole) / whole[0])
    return _row("closed, waves to and fro", "change of the volume", change, 0.0, "%", 1e-6,
                "nothing flows off")  # fmt: skip
