"""A lumped network as a step of a plan: its description in, its courses and numbers out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from hemodynamics.lumped import Chamber, FlowSource, Network, PressureSource, UnusableNetwork
from hemodynamics.network_solution import NetworkResult, periodic, steady, transient
from hemodynamics.tube_report import tube_findings, tube_numbers
from segmentation.contract import Measurements, Number, Progress, silent

Floats = npt.NDArray[np.float64]

METHOD = "lumped network, second backward difference"
TIME = "time_s"
QUANTITIES = {
    "pressure_mmhg": ("Pressure", "mmHg"),
    "flow_ml_s": ("Flow", "mL/s"),
    "volume_ml": ("Volume", "mL"),
}
"""What columns hold: the ending of their names to its title and unit."""


@dataclass(frozen=True, eq=False)
class Courses(Measurements):
    """Values over time: ``columns`` have one length and hold the unit in their names."""

    columns: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = {name: np.array(values, np.float64) for name, values in self.columns.items()}
        for column in columns.values():
            column.setflags(write=False)
        object.__setattr__(self, "columns", MappingProxyType(columns))

    @property
    def times_s(self) -> Floats:
        """The times of all columns, in s."""
        return self.columns[TIME]

    def of(self, quantity: str) -> dict[str, Floats]:
        """Return the courses of one of `QUANTITIES` by the name of the node or element."""
        ending = f".{quantity}"
        return {
            name.removesuffix(ending): values
            for name, values in self.columns.items()
            if name.endswith(ending)
        }

    def write_csv(self, path: Path) -> None:
        """Write all courses as a table with one row for each time, units in the head."""
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(self.columns)
            table.writerows(zip(*(values.tolist() for values in self.columns.values())))


def circulation(
    *,
    network: str | dict[str, Any],
    kind: Literal["periodic", "steady", "transient"] = "periodic",
    period_s: Annotated[float, Gt(0), Le(100)] | None = None,
    duration_s: Annotated[float, Gt(0), Le(3600)] = 10.0,
    steps: Annotated[int, Ge(20), Le(20000)] = 400,
    progress: Progress = silent,
) -> Courses:
    """Compute pressures, flows and volumes of a circulation that is described as a network.

    The network is JSON: {"elements": [{"kind": "resistor", "name": "body", "start": "aorta",
    "end": "vein", "resistance": 1.0}, ...]} in mmHg, mL and s; a vessel in which waves travel is
    {"kind": "tube", "name": ..., "start": ..., "end": ..., "length_mm": 400, "radius_mm": 4,
    "wave_speed_m_s": 8}. Nodes and elements whose names hold a blank are inner ones: they have
    courses but no numbers.

    Args:
        network: The network as JSON.
        kind: Whether it repeats itself, rests, or begins with its initial volumes.
        period_s: Time after which it repeats itself; empty takes that of its heart or sources.
        duration_s: How long a transient one is followed.
        steps: Steps in a period, or in the duration.

    Raises:
        UnusableNetwork: if the network cannot be read or has no such solution.
        NotSolved: if the solution is not found.
    """
    described = _read(network)
    step_s = None
    if kind == "steady":
        found = steady(described)
    elif kind == "transient":
        step_s = duration_s / steps
        found = transient(described, duration_s, step_s, progress=progress)
    else:
        period_s = period_s or _period(described)
        step_s = period_s / steps
        found = periodic(described, period_s, steps, progress=progress)
    progress(1.0)
    columns = {TIME: found.times_s}
    columns |= {f"{name}.pressure_mmhg": course for name, course in found.pressures_mmhg.items()}
    columns |= {f"{name}.flow_ml_s": course for name, course in found.flows_ml_s.items()}
    columns |= {f"{name}.volume_ml": course for name, course in found.volumes_ml.items()}
    numbers = (*_numbers(found, kind), *tube_numbers(described, found, step_s))
    return Courses(numbers, tuple(tube_findings(described, found, step_s)), columns)


def _read(network: str | Mapping[str, Any]) -> Network:
    if isinstance(network, str):
        try:
            network = json.loads(network)
        except ValueError as error:
            raise UnusableNetwork(f"the network is no JSON: {error}") from error
    if not isinstance(network, Mapping):
        raise UnusableNetwork("the network must be one JSON object with its elements")
    return Network.from_json(network)


def _period(network: Network) -> float:
    """Return the longest period of what beats."""
    found = []
    for element in network.elements:
        if isinstance(element, Chamber):
            found.append(element.period_s)
        elif isinstance(element, PressureSource):
            found.append(element.pressure.period_s or 0.0)
        elif isinstance(element, FlowSource):
            found.append(element.flow.period_s or 0.0)
    longest = max(found, default=0.0)
    if longest <= 0:
        raise UnusableNetwork("nothing in the network beats; ask for its steady state")
    return longest


def _numbers(found: NetworkResult, kind: str) -> Iterator[Number]:
    when = {"steady": "at rest", "transient": "at the end"}.get(kind, "mean over a period")
    source = f"{METHOD}, {when}"
    groups = (
        ("pressure", "mmHg", found.pressures_mmhg),
        ("flow", "mL/s", found.flows_ml_s),
        ("volume", "mL", found.volumes_ml),
    )
    for what, unit, courses in groups:
        for name, course in courses.items():
            if " " in name:
                continue
            value = float(course.mean() if kind == "periodic" else course[-1])
            yield Number(f"{name}.{what}", value, unit, source)
            if kind == "periodic":
                for end, extreme in (("minimum", course.min()), ("maximum", course.max())):
                    text = f"{METHOD}, over a period"
                    yield Number(f"{name}.{what}_{end}", float(extreme), unit, text)
    if kind == "periodic":
        text = f"what further periods may change, after {found.cycles}"
        yield Number("change", 100 * found.change, "%", text)
