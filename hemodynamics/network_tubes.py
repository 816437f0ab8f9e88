"""Elastic tubes of a network as chains of segments, and what comes out put together again.

Each tube becomes an `Artery` between two inner nodes, which hold the pressures of the tube's ends
and through which its flows are read. Slow waves need few segments; the shortest that the steps in
time can follow travel about one segment in a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, pi, sqrt

import numpy as np
import numpy.typing as npt

from hemodynamics.boundary import PA_PER_MMHG
from hemodynamics.lumped import (
    GROUND,
    Compliance,
    Course,
    Element,
    Network,
    PressureSource,
    Tube,
    UnusableNetwork,
    ends_of,
)
from hemodynamics.network_vessels import Artery, wave_speed
from hemodynamics.vessel_flow import DENSITY_KG_M3

Floats = npt.NDArray[np.float64]
Courses = Mapping[str, Floats]

MOST_SEGMENTS = 400
"""Segments of a tube unless more are asked for."""

AT_REST = 2
"""Segments where nothing moves: pressure falls along a tube in a straight line."""


def artery_of(tube: Tube) -> Artery:
    """Return the artery whose waves travel as the wall of the tube tells."""
    if tube.wave_speed_m_s is not None:
        speed = tube.wave_speed_m_s
    elif tube.distensibility_per_mmhg is not None:
        speed = sqrt(PA_PER_MMHG / (DENSITY_KG_M3 * tube.distensibility_per_mmhg))
    else:
        wall_mm, young_kpa = tube.wall_mm or 0.0, tube.young_kpa or 0.0  # a tube has both
        speed = wave_speed(tube.radius_mm, wall_mm, young_kpa, tube.poisson)
    return Artery(tube.length_mm, tube.radius_mm, speed, tube.viscosity_pa_s, tube.profile)


def segments_of(tube: Tube, step_s: float | None) -> int:
    """Return into how many segments a tube is divided, an even number; at rest for None."""
    if tube.segments is not None:
        return tube.segments
    if step_s is None:
        return AT_REST
    travel_m = artery_of(tube).wave_speed_m_s * step_s
    wanted = 2 * ceil(1e-3 * tube.length_mm / travel_m / 2)
    return int(min(max(wanted, AT_REST), MOST_SEGMENTS))


def slowing(tube: Tube, step_s: float, frequency_hz: float) -> float:
    """Return by which share segments and steps slow a wave down, in leading order.

    With w = 2 pi f the second backward difference of a step dt slows it by (w dt)^2 / 3, and
    segments of a length h by (w h / c)^2 / 24.
    """
    speed = artery_of(tube).wave_speed_m_s
    segment_s = 1e-3 * tube.length_mm / segments_of(tube, step_s) / speed
    turn = 2 * pi * frequency_hz
    return turn**2 * (step_s**2 / 3 + segment_s**2 / 24)


def highest_hz(tube: Tube, step_s: float, share: float) -> float:
    """Return the frequency (Hz) of the waves that are slowed by a share."""
    return sqrt(share / slowing(tube, step_s, 1.0))


@dataclass(frozen=True)
class Laid:
    """A network whose tubes are laid out as ``network``, and their elements by name."""

    network: Network
    tubes: Mapping[str, Sequence[Element]]

    def together(
        self, pressures: Courses, flows: Courses, volumes: Courses
    ) -> tuple[Courses, Courses, Courses]:
        """Return the courses without a tube's inner ones, but with what it does as a whole.

        That is its flow at ``.start`` and ``.end``, its pressure in the ``.middle``, its volume.
        """
        inner: set[str] = set()
        middles, wholes = {}, {}
        for name, parts in self.tubes.items():
            walls = [e for e in parts if isinstance(e, Compliance)]
            middles[f"{name}.middle"] = pressures[walls[len(walls) // 2].node]
            wholes[name] = np.sum([volumes[wall.name] for wall in walls], axis=0)
            inner |= _inner(parts) - {f"{name}.start", f"{name}.end"}
        kept = [
            {name: course for name, course in courses.items() if name not in inner}
            for courses in (pressures, flows, volumes)
        ]
        return kept[0] | middles, kept[1], kept[2] | wholes


def laid_out(network: Network, step_s: float | None) -> Laid:
    """Return the network with its tubes divided for steps of ``step_s``; at rest for None.

    Raises:
        UnusableNetwork: if a part of a tube is called as something else.
    """
    tubes = {tube.name: _parts(tube, segments_of(tube, step_s)) for tube in tubes_of(network)}
    taken = {*network.nodes, *(element.name for element in network.elements)}
    for name, parts in tubes.items():
        for clash in sorted(taken & (_inner(parts) | {f"{name}.middle"})):
            raise UnusableNetwork(f"{clash!r} is a part of the tube {name!r}; rename it")
    elements = [
        part for element in network.elements for part in tubes.get(element.name, (element,))
    ]
    return Laid(replace(network, elements=tuple(elements)), tubes)


def tubes_of(network: Network) -> list[Tube]:
    """Return the tubes of a network."""
    return [element for element in network.elements if isinstance(element, Tube)]


def _parts(tube: Tube, segments: int) -> Sequence[Element]:
    first, last = f"{tube.name} first", f"{tube.name} last"
    artery, at_mmhg = artery_of(tube), tube.measured_mmhg
    if artery.compliance * at_mmhg > artery.volume_ml:
        raise UnusableNetwork(
            f"{tube.name!r} is so soft that it holds nothing well below {at_mmhg:g} mmHg, where it "
            "was measured; give the slope of its wall there with a lower measured_mmhg"
        )
    chain = artery.elements(tube.name, first, last, segments, tube.initial_mmhg, at_mmhg)
    same = Course(0.0)
    return (
        PressureSource(f"{tube.name}.start", first, same, tube.start),
        *chain,
        PressureSource(f"{tube.name}.end", tube.end, same, last),
    )


def _inner(parts: Sequence[Element]) -> set[str]:
    """Return the names of a tube's parts and of the nodes between them."""
    _, *chain, _ = parts
    nodes = {node for element in chain for node in ends_of(element)} - {GROUND}
    return nodes | {element.name for element in parts}
