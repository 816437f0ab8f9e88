"""The numbers of a cut while a hand moves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segmentation.contract import FrameMismatch
from segmentation.volume import LabelMap
from workstation.planning.proposal import lesion_hulls_mm, sample_mm, tight

SAMPLES = 300_000


@dataclass(frozen=True)
class LiveNumbers:
    """What a cut means, close to the full computation and fast.

    Attributes:
        specimen_ml, remnant_ml: the parts' volumes; together exactly the organ's.
        remnant_percent: remnant, share of the whole organ label.
        functional_percent: the same with the tumour taken from both; None without a tumour.
        margin_mm: smallest signed distance from the tumour's surface to the plane, positive
            inside the specimen, lesions left behind aside; exact; None without a tumour.
    """

    specimen_ml: float
    remnant_ml: float
    remnant_percent: float
    functional_percent: float | None
    margin_mm: float | None


class LivePreview:
    """A liver and a tumour prepared once, so that any plane can be judged in milliseconds."""

    def __init__(self, liver: LabelMap, tumor: LabelMap | None = None) -> None:
        """Prepare the organ and, where there is one, the tumour.

        Raises:
            ValueError: if the organ is empty.
            FrameMismatch: if organ and tumour live in different frames.
        """
        if tumor is not None and tumor.geometry.frame_uid != liver.geometry.frame_uid:
            raise FrameMismatch("liver and tumour live in different frames; register one first")
        organ = tight(liver)
        if organ is None:
            raise ValueError("the organ to cut has no voxel; segment it first")
        self._whole_ml = organ.volume_ml()
        points = sample_mm(organ, SAMPLES)
        self._origin = points.mean(axis=0)
        # Rows of coordinates in single precision about the middle: less memory to walk.
        self._points = np.ascontiguousarray((points - self._origin).T, np.float32)
        lesion = None if tumor is None else tight(tumor)
        self._hulls = [] if lesion is None else lesion_hulls_mm(lesion)
        self._healthy = None if lesion is None else ~_inside(lesion, points)

    def at(self, point_mm: npt.ArrayLike, normal: npt.ArrayLike) -> LiveNumbers:
        """Return the numbers for the plane through a point (LPS mm) with a unit normal (LPS).

        The normal points to the specimen.
        """
        point, direction = np.asarray(point_mm, float), np.asarray(normal, float)
        offset = np.float32((point - self._origin) @ direction)
        # Spelt out: a threaded matrix product takes a hundred times longer on a busy machine.
        a, b, c = direction.astype(np.float32)
        x, y, z = self._points
        along = a * x
        along += b * y
        along += c * z
        stays = along < offset
        share = np.count_nonzero(stays) / len(stays)
        functional = margin = None
        if self._healthy is not None:
            reach = [(hull - point) @ direction for hull in self._hulls]
            removed = [distance for distance in reach if distance.max() >= 0] or reach
            margin = float(min(distance.min() for distance in removed))
            healthy = np.count_nonzero(self._healthy)
            if healthy:
                functional = 100.0 * np.count_nonzero(stays & self._healthy) / healthy
        remnant_ml = share * self._whole_ml
        return LiveNumbers(
            self._whole_ml - remnant_ml, remnant_ml, 100.0 * share, functional, margin
        )


def _inside(labels: LabelMap, points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell for each point (n, 3), LPS mm, whether its nearest voxel is labelled."""
    index = np.rint(labels.geometry.to_index(points_mm)).astype(np.int64)
    within = np.all((index >= 0) & (index < labels.geometry.size), axis=1)
    i, j, k = index[within].T
    within[within] = labels.array[k, j, i] != 0
    return np.asarray(within)
