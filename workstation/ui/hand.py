"""The tool in hand: what a left drag or click in a view does, and to which label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segmentation.paint import PaintMask
from segmentation.volume import LabelMap, Volume
from workstation.ui.slice_paint import Tool

Where = Literal["inside", "outside"]
Depth = Literal["all", "slice", "limited"]


@dataclass
class Hand:
    """The tool, its settings and the label that it works on.

    ``value`` is the one of several labels in the target that is painted or erased; the first
    where it is none of them.
    ``depth`` says how deep scissors cut: all through, in the slice only, or ``depth_mm`` far.
    ``lower`` and ``upper`` limit the intensity that a tool may change, in the image's unit;
    ``limit`` names a label and ``where`` says on which side of it a tool stays.
    """

    tool: Tool = "navigate"
    radius_mm: float = 6.0
    target: str = ""
    value: int = 0
    ball: bool = False
    adaptive: bool = False
    lower: float | None = None
    upper: float | None = None
    limit: str = ""
    where: Where = "inside"
    cut: Where = "inside"
    depth: Depth = "all"
    depth_mm: float = 10.0
    pieces: Literal["keep", "remove"] = "remove"

    def value_in(self, labels: LabelMap) -> int:
        """Return the label value that is painted or erased in ``labels``."""
        return self.value if self.value in labels.labels else next(iter(labels.labels), 1)

    def mask(
        self, labels: LabelMap, image: Volume | None, value: Callable[[str], object]
    ) -> PaintMask:
        """Return where the tool may change ``labels``; ``value`` looks up a label by name.

        Raises:
            ValueError: if what limits the tool lies on another grid than the label.
        """
        ranged = self.lower is not None or self.upper is not None
        other = value(self.limit) if self.limit else None
        if (ranged or self.adaptive) and not _shares_grid(image, labels):
            raise ValueError(
                "the image that is shown has another grid than the label; the tool "
                "cannot follow it: switch off the range and the adaptive brush"
            )
        if self.limit and not (isinstance(other, LabelMap) and _shares_grid(other, labels)):
            raise ValueError(
                f"{self.limit!r} cannot limit the tool: it is not computed, or has "
                "another grid than the label"
            )
        return PaintMask(
            image if ranged else None,
            -np.inf if self.lower is None else self.lower,
            np.inf if self.upper is None else self.upper,
            other if isinstance(other, LabelMap) else None,
            self.where,
        )


def _shares_grid(value: Volume | LabelMap | None, labels: LabelMap) -> bool:
    return value is not None and value.geometry.same_grid(labels.geometry)
