"""Pulsatile flow through every real vessel of the test data: three cycles, and does it repeat?"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hemodynamics.flow import simulate_flow
from hemodynamics.flow_setup import Outlets
from meshing.mesh import enclosed_mm3
from meshing.reading import read_surface
from meshing.surface import SurfaceMesh
from meshing.vessel_preparation import prepare_lumen

ANEURYSMS = ("AN153", "AN163-1", "AN171", "AN175", "AN186-1", "AN190")
IDEALISED = "aneurysm_idealised_pair.zip"
LAWS: tuple[Outlets, ...] = ("windkessel", "split")

ACROSS, CELLS = 4.2, 10_000
"""Cells across the narrowest end, and in all, at the least: coarse, but the hardest for stability.
A preview takes three times as many in all."""

NARROWEST = 35.0
"""Percent of the inlet's width: ends narrower than this stay closed."""

MOST_CHANGE, MOST_IMBALANCE = 1.0, 1.0
"""Percent, from cycle to cycle, and of the mean inflow."""


@dataclass(frozen=True)
class Verdict:
    """What became of three cycles in one vessel."""

    name: str
    outlets: str
    spacing_mm: float
    cells: float
    cycles: int
    change_percent: float
    average_percent: float
    patch_percent: float
    imbalance_percent: float
    fastest_m_s: float
    cpu_s: float

    @property
    def faults(self) -> list[str]:
        """What misses its bar."""
        found = {"change": self.change_percent <= MOST_CHANGE}
        found["mass"] = self.imbalance_percent <= MOST_IMBALANCE
        found["speed"] = 0.0 < self.fastest_m_s < 10.0
        return [name for name, good in found.items() if not good]


def vessels(data: Path) -> Iterator[tuple[str, Callable[[], SurfaceMesh]]]:
    """Yield the name of each vessel of the test data, and what reads its surface."""
    for case in ANEURYSMS:
        yield case, lambda c=case: read_surface(data / "aneurysm_intra" / f"{c}_full.obj")
    yield "artery", lambda: read_surface(data / "parent_artery_C0015" / "artery.vtp")
    with zipfile.ZipFile(data / IDEALISED) as pair:
        for name in sorted(n for n in pair.namelist() if n.endswith(".stl")):
            yield Path(name).stem, lambda n=name: _unpacked(data / IDEALISED, n)


def _unpacked(path: Path, name: str) -> SurfaceMesh:
    with TemporaryDirectory() as folder, zipfile.ZipFile(path) as pair:
        return read_surface(pair.extract(name, folder))


def judge(name: str, surface: SurfaceMesh, outlets: Outlets) -> Verdict:
    """Return what becomes of three cycles in a vessel."""
    lumen = prepare_lumen(surface, narrowest_percent=NARROWEST)
    areas = [n.value for n in lumen.numbers if n.quantity.endswith(".area")]
    across = 2 * np.sqrt(min(areas) / np.pi) / ACROSS
    spacing = float(min(across, (enclosed_mm3(lumen) / CELLS) ** (1 / 3)))
    start = time.process_time()
    flow = simulate_flow(lumen, kind="pulsatile", outlets=outlets, spacing_mm=spacing, frames=10)
    numbers = {number.quantity: number.value for number in flow.numbers}
    return Verdict(
        name,
        outlets,
        spacing,
        numbers["cells"],
        len(flow.residuals) + 1,
        100 * float(flow.residuals[-1]),
        numbers["wss.cycle_change"],
        numbers["wss.patch_cycle_change"],
        numbers["imbalance"],
        numbers["speed.maximum"],
        time.process_time() - start,
    )
