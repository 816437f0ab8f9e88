"""What a flow simulation gives: velocity and pressure in the lumen, shear on its wall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from meshing.mesh import SurfaceMesh
from segmentation.contract import Finding, Number

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FlowResult:
    """Flow in a lumen at some times: one for steady flow, one period where it pulsates.

    Attributes:
        wall: the wall of the lumen with the point data tawss_pa, osi and rrt_1_pa, and wss_pa,
            the mean over the period; vectors in LPS along the flow.
        cells_mm: (n, 3) centres of the cubic cells of the lumen, LPS mm.
        spacing_mm: their edge.
        times_s: (times,) since the period began.
        velocity_m_s: (times, n, 3) LPS.
        pressure_pa: (times, n); zero is the mean over the outlets, or the vein's pressure
            where outlets have resistances.
        wss_pa: (times, points of the wall, 3).
        flows_ml_s: name of an opening to (times,) flow through it, into the lumen positive.
        opening_pressures_pa: name of an opening to (times,) mean pressure beside it.
        residuals: the change from one judgement of convergence to the next, oldest first.
        conditions: what the flow was driven by, plain JSON.
        frame_uid: the DICOM frame of reference.
        coarser: the same flow in the same wall on coarser cells, by which errors are told.
    """

    wall: SurfaceMesh
    cells_mm: Floats
    spacing_mm: float
    times_s: Floats
    velocity_m_s: Singles
    pressure_pa: Singles
    wss_pa: Singles
    flows_ml_s: Mapping[str, Floats]
    opening_pressures_pa: Mapping[str, Floats]
    residuals: Floats
    conditions: Mapping[str, Any]
    frame_uid: str
    name: str = ""
    findings: tuple[Finding, ...] = field(default=())
    numbers: tuple[Number, ...] = field(default=())
    coarser: FlowResult | None = None

    def __post_init__(self) -> None:
        times, cells, points = len(self.times_s), len(self.cells_mm), len(self.wall.points_mm)
        shapes = {
            "velocity_m_s": (times, cells, 3),
            "pressure_pa": (times, cells),
            "wss_pa": (times, points, 3),
        }
        for what, shape in shapes.items():
            if getattr(self, what).shape != shape:
                raise ValueError(f"{what} has the shape {getattr(self, what).shape}, not {shape}")
        if set(self.flows_ml_s) != set(self.opening_pressures_pa):
            raise ValueError("flows and pressures must be those of the same openings")
        for what in ("flows_ml_s", "opening_pressures_pa"):
            object.__setattr__(self, what, MappingProxyType(dict(getattr(self, what))))
        object.__setattr__(self, "conditions", MappingProxyType(dict(self.conditions)))
        for array in to_arrays(self).values():
            array.setflags(write=False)

    def levels(self) -> Iterator[FlowResult]:
        """Yield this flow, and it on ever coarser cells."""
        yield self
        if self.coarser is not None:
            yield from self.coarser.levels()


_FIELDS = ("cells_mm", "times_s", "velocity_m_s", "pressure_pa", "wss_pa", "residuals")
_TABLES = ("flows_ml_s", "opening_pressures_pa")


def to_arrays(flow: FlowResult) -> dict[str, npt.NDArray[Any]]:
    """Return all arrays of a result by name, without those of its wall."""
    arrays = {name: getattr(flow, name) for name in _FIELDS}
    for table in _TABLES:
        named = getattr(flow, table)
        arrays |= {f"{table}:{name}": named[name] for name in sorted(named)}
    return arrays


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], **fields: Any) -> FlowResult:
    """Return the result whose arrays `to_arrays` gave; ``fields`` are its other fields."""
    tables: dict[str, Any] = {table: {} for table in _TABLES}
    given = {**fields, **tables, **{name: arrays[name] for name in _FIELDS}}
    for key, array in arrays.items():
        table, _, name = key.partition(":")
        if table in tables:
            tables[table][name] = array
    return FlowResult(**given)
