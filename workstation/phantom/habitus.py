"""How one synthetic patient differs from the shipped one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segmentation.volume import Vector
from workstation.phantom.rendering import Solid, cones
from workstation.phantom.shapes import Path, Points, Shape, chain


@dataclass(frozen=True)
class Layer:
    """One material: painted over the earlier ones, labelled if it has a name."""

    name: str
    hu: float
    solid: Solid


class Habitus:
    """The variation of one patient: scales of the body and of single organs."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.varied = 0.0 if seed == 1 else 1.0
        self.scale = self.drawn(0.05, 3) + 1
        self.phase = self.rng.uniform(0, 2 * np.pi, 3)
        self.enhancement = 1 + float(self.drawn(0.05, 1)[0])

    def drawn(self, spread: float, count: int) -> Points:
        """Return ``count`` numbers within plus or minus ``spread``; zero for the shipped one."""
        return np.asarray(self.varied * self.rng.uniform(-spread, spread, count))

    def at(self, x: float, y: float, z: float) -> Vector:
        """Return a place (LPS mm) in this patient from that in the shipped one."""
        a, b, c = self.scale * (x, y, z)
        return float(a), float(b), float(c)

    def chain(
        self, points: Sequence[Vector], radii: Sequence[float], blend_mm: float = 0.0
    ) -> Shape:
        """Return round cones through places of the shipped patient (LPS mm)."""
        return chain([self.at(*p) for p in points], radii, blend_mm)

    def cones(self, points: Sequence[Vector], radius_mm: float) -> tuple[Shape, ...]:
        """Return a thin tube through places of the shipped patient (LPS mm)."""
        line = np.asarray([self.at(*p) for p in points])
        return cones((Path(line, np.full(len(line), radius_mm)),))

    def warp(self, points: Points) -> Points:
        """Return vessel points (LPS mm) moved by the scale and a smooth sway of 2 mm."""
        sway = np.sin(points.sum(axis=1, keepdims=True) * (2 * np.pi / 240) + self.phase)
        return np.asarray(points * self.scale + 2.0 * self.varied * sway)
