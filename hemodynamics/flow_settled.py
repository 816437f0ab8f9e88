"""Whether a flow has settled: how much outflow, and shear on patches of the wall, still change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

PATCHES = 24
"""Patches of the wall, about as large as a sac of its vessel."""

FLOOR = 0.02
"""Share of the wall's mean shear that a patch's change is measured by at the least."""

SLOWEST = 0.8
"""How much of a change is expected to come again at the next judgement, at the most."""


IMBALANCE = 1e-3
"""Share of the flow that may be missing."""

BATCHES, SURE = 4, 0.95
"""Parts of a time whose means tell how well its own is known, and with what confidence."""


@dataclass(frozen=True)
class Sway:
    """How a flow that does not come to rest moves about its mean over a time, as shares of it.

    Attributes:
        whole, patch: rms swing of the wall's mean shear, and of that on the least steady patch.
        whole_doubt, doubt: how far these means may lie off those of a much longer time: half of
            an interval of confidence from `BATCHES` parts of the time; the largest of any patch.
    """

    whole: float
    patch: float
    whole_doubt: float
    doubt: float


def sway(shear_pa: Floats, areas_mm2: Floats) -> Sway:
    """Return how mean shear (times, patches) moves, on patches of these areas; two times or more.

    The means of long parts of a time are nearly independent, which single times are not: Student's
    interval holds for them.
    """
    whole = np.average(shear_pa, axis=1, weights=areas_mm2)
    size = np.maximum(shear_pa.mean(axis=0) + FLOOR * whole.mean(), 1e-30)
    every = np.column_stack([whole / max(whole.mean(), 1e-30), shear_pa / size])
    swings = every.std(axis=0)
    means = np.stack([part.mean(axis=0) for part in np.array_split(every, BATCHES) if len(part)])
    far = stdtrit(len(means) - 1, 0.5 + 0.5 * SURE) / np.sqrt(len(means))
    doubts = far * means.std(axis=0, ddof=1)
    return Sway(*(float(x) for x in (swings[0], swings[1:].max(), doubts[0], doubts[1:].max())))


@dataclass
class Settling:
    """Follows a flow from judgement to judgement.

    The wall is divided into patches; a sac is one or several of them. What is judged is the
    largest change of any patch's mean shear, so that a slow sac counts as much as a fast artery.

    Attributes:
        owner: the patch of each point of the wall.
        areas_mm2: of each point.
        changes: from one judgement to the next.
        remaining: how much change is still to come, if it goes on to fall as it did.
    """

    owner: npt.NDArray[np.int64]
    areas_mm2: Floats
    changes: list[float] = field(default_factory=list)
    remaining: list[float] = field(default_factory=list)
    _shear: Floats | None = None
    _flows: Mapping[str, float] = field(default_factory=dict)

    def judge(self, wss_pa: Singles, flows_ml_s: Mapping[str, float]) -> float:
        """Take shear (points, 3) and mean flows; return what is still to come, as a share."""
        shear = self.means(wss_pa)
        if self._shear is not None:
            least = FLOOR * float(shear.mean())
            size = np.maximum(shear + least, 1e-30)
            change = float((np.abs(shear - self._shear) / size).max())
            change = max(change, outflow_change(self._flows, flows_ml_s))
            self.changes.append(change)
            again = self._again()
            self.remaining.append(max(change, change * again / (1.0 - again)))
        self._shear, self._flows = shear, dict(flows_ml_s)
        return self.remaining[-1] if self.remaining else np.inf

    @property
    def patches_mm2(self) -> Floats:
        """The area of each patch."""
        return np.asarray(np.bincount(self.owner, self.areas_mm2), np.float64)

    def swings(self) -> bool:
        """Whether what is still to come no longer falls: it did not halve since half-way."""
        return swings(self.remaining)

    def state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that a run needs to go on as if it had never stopped."""
        shear = np.zeros(0) if self._shear is None else self._shear
        return {
            "changes": np.array(self.changes),
            "remaining": np.array(self.remaining),
            "patch_shear": shear,
            "openings": np.array(list(self._flows)),
            "mean_flows": np.array(list(self._flows.values())),
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `state_arrays` returned."""
        self.changes = arrays["changes"].tolist()
        self.remaining = arrays["remaining"].tolist()
        self._shear = arrays["patch_shear"]
        self._flows = dict(zip(arrays["openings"].tolist(), arrays["mean_flows"].tolist()))

    def _again(self) -> float:
        """Return how much of a change comes again, from the last three; sound makes two noisy."""
        if len(self.changes) < 3 or self.changes[-3] <= 0:
            return SLOWEST
        return float(min(np.sqrt(self.changes[-1] / self.changes[-3]), SLOWEST))

    def means(self, wss_pa: Singles) -> Floats:
        """Return the mean size of shear (points, 3) on each patch."""
        size = np.linalg.norm(wss_pa, axis=1) * self.areas_mm2
        return np.asarray(np.bincount(self.owner, size) / np.maximum(self.patches_mm2, 1e-30))


@dataclass(frozen=True)
class Averages:
    """By how much averages over a cycle differ from those of the one before, as shares of them.

    Attributes:
        whole: of time-averaged shear over the whole wall.
        patch: of that on the least steady of `PATCHES` patches.
    """

    whole: float
    patch: float


@dataclass
class Repeats:
    """Follows a pulsatile flow from cycle to cycle.

    Attributes:
        wall: its patches, on which shear is averaged.
        changes: of shear at all moments, and of outflow, from each cycle to the next.
        flows_ml_s: mean flows into the lumen of the last cycle.
        averages: how those of the last cycle changed, from the second cycle on.
    """

    wall: Settling
    changes: list[float] = field(default_factory=list)
    flows_ml_s: dict[str, float] = field(default_factory=dict)
    averages: Averages | None = None
    _shear: Singles | None = None

    def judge(self, wss_pa: Singles, flows_ml_s: dict[str, float]) -> float:
        """Take shear (times, points, 3) and mean flows of a cycle; return how they changed."""
        if self._shear is not None:
            shear = change(self._shear, wss_pa)
            self.changes.append(max(shear, outflow_change(self.flows_ml_s, flows_ml_s)))
            self.averages = self._compared(self._over_time(self._shear), self._over_time(wss_pa))
        self._shear, self.flows_ml_s = wss_pa, flows_ml_s
        return self.changes[-1] if self.changes else np.inf

    def _over_time(self, wss_pa: Singles) -> Floats:
        """Return the mean size of shear (times, points, 3) on each patch."""
        return np.asarray(np.mean([self.wall.means(now) for now in wss_pa], axis=0))

    def _compared(self, before: Floats, after: Floats) -> Averages:
        whole = [float(np.average(one, weights=self.wall.patches_mm2)) for one in (before, after)]
        size = np.maximum(after + FLOOR * whole[1], 1e-30)
        return Averages(
            abs(whole[1] - whole[0]) / max(whole[1], 1e-30),
            float((np.abs(after - before) / size).max()),
        )

    def state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that a run needs to go on as if it had never stopped."""
        return {
            "changes": np.array(self.changes),
            "openings": np.array(list(self.flows_ml_s)),
            "mean_flows": np.array(list(self.flows_ml_s.values())),
            "cycle_shear": np.zeros(0, np.float32) if self._shear is None else self._shear,
            "averages": np.array([] if self.averages is None else astuple(self.averages)),
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `state_arrays` returned."""
        self.changes = arrays["changes"].tolist()
        self.flows_ml_s = dict(zip(arrays["openings"].tolist(), arrays["mean_flows"].tolist()))
        shear = arrays["cycle_shear"]
        self._shear = shear if shear.size else None
        self.averages = Averages(*arrays["averages"].tolist()) if arrays["averages"].size else None


def settling(points_mm: Floats, areas_mm2: Floats) -> Settling:
    """Return what follows a flow along a wall of these points (LPS mm), each with its area."""
    seeds = [0]
    away = np.linalg.norm(points_mm - points_mm[0], axis=1)
    while len(seeds) < min(PATCHES, len(points_mm)):
        seeds.append(int(np.argmax(away)))
        away = np.minimum(away, np.linalg.norm(points_mm - points_mm[seeds[-1]], axis=1))
    owner = np.asarray(cKDTree(points_mm[seeds]).query(points_mm)[1], np.int64)
    return Settling(owner, areas_mm2)


def swings(remaining: Sequence[float]) -> bool:
    """Return whether what is still to come no longer falls: it did not halve since half-way."""
    half = len(remaining) // 2
    return half > 0 and remaining[-1] > 0.5 * remaining[half]


def change(before: Singles, after: Singles) -> float:
    """Return how much shear (..., 3) changed: rms of the difference by the mean magnitude."""
    size = float(np.linalg.norm(after, axis=-1).mean())
    difference = float(np.sqrt(np.mean(((after - before) ** 2).sum(axis=-1))))
    return difference / size if size > 0 else 0.0


def imbalance(flows_ml_s: Mapping[str, float]) -> float:
    """Return the sum of all flows into a lumen, in size, by what flows in."""
    entering = sum(flow for flow in flows_ml_s.values() if flow > 0)
    return abs(sum(flows_ml_s.values())) / entering if entering else 0.0


def outflow_change(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return the largest change of a flow, by the largest flow."""
    largest = max(abs(flow) for flow in after.values())
    return max(abs(after[name] - before[name]) for name in after) / largest if largest else 0.0
