"""The printers that a person has: what each can build and how fine, kept between starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from workstation.store import write_json


@dataclass(frozen=True)
class Printer:
    """A printer: its build volume, least wall and gap, and how far a face may lean unsupported.

    Raises:
        ValueError: if it has no name or a measure makes no sense.
    """

    name: str
    width_mm: float
    depth_mm: float
    height_mm: float
    wall_mm: float
    gap_mm: float
    overhang_degrees: float

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a printer needs a name")
        for side in (self.width_mm, self.depth_mm, self.height_mm, self.wall_mm):
            if not (isfinite(side) and 0 < side <= 5000):
                raise ValueError(f"{self.name}: a side of {side} mm makes no sense; correct it")
        if not (0 <= self.gap_mm <= 20 and 0 <= self.overhang_degrees <= 90):
            raise ValueError(f"{self.name}: the gap or overhang makes no sense; correct it")

    @property
    def build_mm(self) -> tuple[float, float, float]:
        """Width, depth and height that it can build."""
        return self.width_mm, self.depth_mm, self.height_mm

    def params(self) -> dict[str, Any]:
        """Return the parameters of `meshing.printability.printability` for this printer."""
        return {
            "wall_mm": self.wall_mm,
            "gap_mm": self.gap_mm,
            "overhang_degrees": self.overhang_degrees,
            "build_mm": self.build_mm,
        }


USUAL = (
    Printer("Filament", 250.0, 210.0, 220.0, 0.8, 0.4, 45.0),
    Printer("Filament, large", 350.0, 350.0, 350.0, 0.8, 0.4, 45.0),
    Printer("Resin", 145.0, 145.0, 185.0, 0.5, 0.3, 30.0),
    Printer("Powder", 165.0, 165.0, 300.0, 0.7, 0.5, 90.0),
)
"""What printers of each kind usually build; a person changes it to what is there."""


def read_printers(file: Path) -> tuple[Printer, ...]:
    """Return the printers that are kept in ``file``, or else the usual ones."""
    try:
        kept = json.loads(file.read_text("utf-8"))
        return tuple(Printer(**record) for record in kept["printers"]) or USUAL
    except (OSError, ValueError, TypeError, KeyError):
        return USUAL


def keep_printers(file: Path, printers: Sequence[Printer]) -> None:
    """Keep ``printers``; a file that cannot be written is no reason to stop."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"printers": [asdict(printer) for printer in printers]})
