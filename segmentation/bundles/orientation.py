"""Turns an image by permuting and flipping its axes, as a MONAI transform.

MONAI's own needs one more package for it, and keeps a history that is not needed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from segmentation.volume import Floats

LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
"""Where an axis may lead: axis of RAS space, and sign along it."""


class Orient:
    """Brings images closest to the axes that ``axcodes`` name, such as "RAS".

    Raises:
        ValueError: if ``axcodes`` does not name each direction once.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        axcodes: str | None = "RAS",
        as_closest_canonical: bool = False,
        **unused: Any,
    ) -> None:
        self.keys = [keys] if isinstance(keys, str) else list(keys)
        self.codes = "RAS" if as_closest_canonical or not axcodes else "".join(axcodes).upper()
        if sorted(LETTERS[c][0] for c in self.codes if c in LETTERS) != [0, 1, 2]:
            raise ValueError(f"axcodes must name each direction once, not {axcodes!r}")

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``data`` with the images under ``keys`` turned."""
        return {**data, **{key: self._turned(data[key]) for key in self.keys}}

    def _turned(self, image: Any) -> Any:
        affine = np.asarray(image.affine, np.float64)
        order, flips = turning(affine, self.codes)
        array = image.as_tensor().permute(0, *(axis + 1 for axis in order))
        array = array.flip([n + 1 for n, flip in enumerate(flips) if flip]).contiguous()
        matrix = np.eye(4)[:, [*order, 3]]
        for n, flip in enumerate(flips):
            if flip:
                mirror = np.eye(4)
                mirror[n, n], mirror[n, 3] = -1, array.shape[n + 1] - 1
                matrix = matrix @ mirror
        made = type(image)(array, meta=dict(image.meta))
        made.affine = image.affine.new_tensor(affine @ matrix)
        return made


def turning(affine: Floats, codes: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return the image axis that becomes each new axis, and whether it is flipped.

    ``affine`` maps an index to RAS mm.
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    _, closest = linear_sum_assignment(-np.abs(axes))  # image axis of each axis of RAS space
    order, flips = [], []
    for code in codes:
        world, sign = LETTERS[code]
        own = int(closest[world])
        order.append(own)
        flips.append(bool(axes[world, own] * sign < 0))
    return tuple(order), tuple(flips)
