"""The numbers of a cut while a hand moves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from meshing.centerline import Centerline
from meshing.surface import isosurface
from segmentation.contract import Finding, FrameMismatch, Measurements, Severity
from segmentation.volume import LabelMap
from workstation.planning.cut_surface import EVERYTHING, NOTHING
from workstation.planning.cut_surface_sheet import Sheet
from workstation.planning.live_tree import LiveTree
from workstation.planning.proposal import (
    Floats,
    holds,
    lesion_hulls_mm,
    sample_mm,
    separate_parts,
    tight,
)
from workstation.planning.vein_crossings import beside_organ

Bools = npt.NDArray[np.bool_]
Pressure = Callable[[float], Measurements]

SAMPLES = 300_000
SKIN = 2_000  # points of a lesion's surface that are looked at over a bent sheet
NEAR_MM = 10.0  # of the organ, and a structure's place counts
GRID = 48  # places of a sheet along each side, whose tangents stand for it


@dataclass(frozen=True)
class LiveNumbers:
    """What a cut means, close to the full computation and fast.

    Where nothing or everything would be removed, a finding says so and no number follows.

    Attributes:
        specimen_ml, remnant_ml: the parts' volumes; together exactly the organ's.
        remnant_percent: remnant, share of the whole organ label.
        functional_percent: the same with the tumour taken from both; None without a tumour.
        margin_mm: smallest signed distance from the tumour's surface to the cut, taken as
            endless, positive inside the specimen, lesions left behind aside; exact for planes;
            None without a tumour.
        crossed_mm: diameters of the branches crossed, widest first; None without a tree.
        devascularised_ml: remnant whose portal branch is cut off; None without the tree.
        congested_ml: remnant whose hepatic vein is cut off; None without the tree.
        pressure: the circulation before and after the resection, as the plan's step tells it, or
            why there is none; None where it was not asked for.
        near_mm: by name, how near critical structures come to the cut, at the least; those beyond
            10 mm of the organ are left out.
        findings: what is wrong with the cut, in plain words.
    """

    specimen_ml: float
    remnant_ml: float
    remnant_percent: float
    functional_percent: float | None
    margin_mm: float | None
    crossed_mm: tuple[float, ...] | None = None
    devascularised_ml: float | None = None
    congested_ml: float | None = None
    pressure: Measurements | None = None
    findings: tuple[Finding, ...] = ()
    near_mm: Mapping[str, float] = field(default_factory=dict)


class LivePreview:
    """A liver and a tumour prepared once, so that any cut can be judged in milliseconds."""

    def __init__(
        self,
        liver: LabelMap,
        tumor: LabelMap | None = None,
        *,
        portal: Centerline | None = None,
        hepatic: Centerline | None = None,
        pressure: Pressure | None = None,
        critical: Mapping[str, Floats] = MappingProxyType({}),
    ) -> None:
        """Prepare the organ and, where they are there, the tumour, both trees and the pressure.

        ``pressure`` tells the circulation after a share of the organ was removed; ``critical`` are
        places (n, 3) on critical structures, LPS mm, by name.

        Raises:
            ValueError: if the organ is empty.
            FrameMismatch: if the values live in different frames.
        """
        frame = liver.geometry.frame_uid
        if tumor is not None and tumor.geometry.frame_uid != frame:
            raise FrameMismatch("liver and tumour live in different frames; register one first")
        if any(tree is not None and tree.frame_uid != frame for tree in (portal, hepatic)):
            raise FrameMismatch("liver and veins live in different frames; register one first")
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
        self._skins = [] if lesion is None else _skins(lesion)
        self._healthy = None if lesion is None else ~holds(lesion, points)
        self._portal, self._hepatic = (
            None if tree is None else LiveTree(tree, points, beside_organ(organ, tree.points_mm))
            for tree in (portal, hepatic)
        )
        self._pressure = pressure
        self._critical = _beside(organ, points, critical) if critical else {}
        self._bend: _Bend | None = None

    def at(self, point_mm: npt.ArrayLike, normal: npt.ArrayLike) -> LiveNumbers:
        """Return the numbers for the plane through a point (LPS mm) with a unit normal (LPS).

        The normal points to the specimen.
        """
        point, direction = np.asarray(point_mm, float), np.asarray(normal, float)
        stays = self._along(direction) < np.float32((point - self._origin) @ direction)
        reach = [(hull - point) @ direction for hull in self._hulls]
        trees = [
            None if tree is None else (tree.points_mm - point) @ direction >= 0
            for tree in (self._portal, self._hepatic)
        ]
        near = {n: _least((at - point) @ direction, g) for n, (at, g) in self._critical.items()}
        return replace(self._numbers(stays, reach, trees[0], trees[1]), near_mm=near)

    def over(self, sheet: Sheet) -> LiveNumbers:
        """Return the numbers for a bent sheet; quick where only its heights changed."""
        if self._bend is None or not self._bend.fits(sheet):
            points = self._points.T + self._origin
            self._bend = _Bend(sheet, points, self._along(np.asarray(sheet.normal)), self._origin)
        stays = self._bend.levels(sheet) < 0
        trees = [
            None if tree is None else sheet.side_mm(tree.points_mm) >= 0
            for tree in (self._portal, self._hepatic)
        ]
        near = {n: _least(self._signed(sheet, [at])[0], g) for n, (at, g) in self._critical.items()}
        found = self._numbers(stays, self._reach(sheet), trees[0], trees[1])
        return replace(found, near_mm=near)

    def _along(self, direction: Floats) -> npt.NDArray[np.float32]:
        """Return how far the samples lie along a direction, from the middle of all."""
        # Spelt out: a threaded matrix product takes a hundred times longer on a busy machine.
        a, b, c = direction.astype(np.float32)
        x, y, z = self._points
        along = a * x
        along += b * y
        along += c * z
        return np.asarray(along)

    def _reach(self, sheet: Sheet) -> list[Floats]:
        """Return the signed distances of each lesion's surface from a sheet."""
        return self._signed(sheet, self._skins)

    def _signed(self, sheet: Sheet, skins: list[Floats]) -> list[Floats]:
        """Return the signed distances of points, in as many arrays, from a sheet."""
        if not skins:
            return []
        assert self._bend is not None
        places, normals = self._bend.tangents(sheet)
        nearest = cKDTree(places)
        found = []
        for skin in skins:
            at = nearest.query(skin)[1]
            away = np.abs(np.einsum("ij,ij->i", skin - places[at], normals[at]))
            found.append(np.where(sheet.side_mm(skin) >= 0, away, -away))
        return found

    def _numbers(
        self, stays: Bools, reach: list[Floats], portal: Bools | None, hepatic: Bools | None
    ) -> LiveNumbers:
        count = np.count_nonzero(stays)
        share = count / len(stays)
        remnant_ml = share * self._whole_ml
        parts = self._whole_ml - remnant_ml, remnant_ml, 100.0 * share
        if count in (0, len(stays)):
            text = NOTHING if count else EVERYTHING
            return LiveNumbers(*parts, None, None, findings=(_impossible("no_cut", text),))
        functional = margin = None
        if self._healthy is not None:
            removed = [distance for distance in reach if distance.max() >= 0] or reach
            margin = float(min(distance.min() for distance in removed))
            healthy = np.count_nonzero(self._healthy)
            if healthy:
                functional = 100.0 * np.count_nonzero(stays & self._healthy) / healthy
        crossed: tuple[float, ...] | None = None
        lost: list[float | None] = []
        for tree, sides in ((self._portal, portal), (self._hepatic, hepatic)):
            if tree is None or sides is None:
                lost.append(None)
                continue
            crossed = tuple(sorted((*(crossed or ()), *tree.crossed_mm(sides)), reverse=True))
            cut_off = np.count_nonzero(tree.beyond(sides) & stays)
            lost.append(cut_off / len(stays) * self._whole_ml)
        pressure = None if self._pressure is None else self._pressure(1.0 - share)
        found = _left_behind(reach)
        return LiveNumbers(*parts, functional, margin, crossed, lost[0], lost[1], pressure, found)


def _least(signed: Floats, gap: Floats) -> float:
    """Return the smallest distance of places to a cut's part in the organ, by a lower bound.

    No place is nearer to it than to the endless cut, nor than its ``gap`` to the organ.
    """
    return float(np.maximum(np.abs(signed), gap).min())


def _beside(
    organ: LabelMap, points: Floats, critical: Mapping[str, Floats]
) -> dict[str, tuple[Floats, Floats]]:
    """Return what of critical structures lies in or near an organ, and its gaps to it in mm."""
    tree = cKDTree(points)
    apart = (1000.0 * organ.volume_ml() / len(points)) ** (1 / 3)  # mm between samples
    gaps = {name: np.maximum(tree.query(at)[0] - apart, 0.0) for name, at in critical.items()}
    near = {name: gap <= NEAR_MM for name, gap in gaps.items()}
    return {n: (critical[n][here], gaps[n][here]) for n, here in near.items() if here.any()}


def _left_behind(reach: list[Floats]) -> tuple[Finding, ...]:
    """Return what is wrong with a cut for the lesions, from the distances of their surfaces."""
    crossed = sum(float(d.min()) < 0 <= float(d.max()) for d in reach)
    left = sum(float(d.max()) < 0 for d in reach)
    found = []
    if crossed:
        text = f"The cut goes through the tumour ({crossed} of {len(reach)} lesions)."
        found.append(_impossible("tumor_crossed", text))
    if left:
        text = f"{left} of {len(reach)} lesions lie outside the specimen."
        found.append(_impossible("tumor_outside_specimen", text))
    return tuple(found)


def _impossible(
    code: Literal["no_cut", "tumor_crossed", "tumor_outside_specimen"], text: str
) -> Finding:
    return Finding(Severity.PROBLEM, code, text)


class _Bend:
    """A sheet's shares in the heights of samples, so that a moved control point costs one row."""

    def __init__(
        self, sheet: Sheet, points: Floats, along: npt.NDArray[np.float32], origin: Floats
    ) -> None:
        self._frame = _frame(sheet)
        self._weights = np.ascontiguousarray(sheet.weights(points).T, np.float32)
        self._heights = np.zeros(self._weights.shape[0])
        offset = np.float32((np.asarray(sheet.point_mm) - origin) @ np.asarray(sheet.normal))
        self._levels = along - offset
        share = np.linspace(-1, 1, GRID)
        flat = np.stack(np.meshgrid(share, share), -1).reshape(-1, 2) * sheet.reach_mm
        self._flat = sheet.point_mm + flat @ sheet.axes
        self._flat_weights = sheet.weights(self._flat)

    def fits(self, sheet: Sheet) -> bool:
        """Tell whether only heights differ."""
        return _frame(sheet) == self._frame

    def levels(self, sheet: Sheet) -> npt.NDArray[np.float32]:
        """Return how far the samples lie over a sheet."""
        heights = np.asarray(sheet.heights_mm).ravel()
        for n in np.flatnonzero(heights != self._heights):
            self._levels -= self._weights[n] * np.float32(heights[n] - self._heights[n])
        self._heights = heights
        return self._levels

    def tangents(self, sheet: Sheet) -> tuple[Floats, Floats]:
        """Return places (n, 3) of a sheet and its normals there."""
        heights = self._flat_weights @ np.asarray(sheet.heights_mm).ravel()
        normal = np.asarray(sheet.normal)
        places = self._flat + heights[:, None] * normal
        step = 2 * np.asarray(sheet.reach_mm) / (GRID - 1)
        rise, slope = np.gradient(heights.reshape(GRID, GRID), step[1], step[0])
        u, v = sheet.axes
        normals = normal - slope.reshape(-1, 1) * u - rise.reshape(-1, 1) * v
        return places, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _frame(sheet: Sheet) -> tuple[object, ...]:
    size = len(sheet.heights_mm), len(sheet.heights_mm[0])
    return sheet.point_mm, sheet.normal, sheet.along, sheet.reach_mm, size


def _skins(lesion: LabelMap) -> list[Floats]:
    """Return points of the surface of each separate lesion."""
    skin = isosurface(lesion)
    parts = separate_parts(skin)
    return [skin.points_mm[p[:: max(1, -(-len(p) // SKIN))]] for p in parts]
