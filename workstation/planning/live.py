"""The numbers of a cut while a hand moves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
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
from workstation.planning.live_cuts import CutSides, LiveCut, Rest, along
from workstation.planning.live_tree import LiveTree
from workstation.planning.proposal import (
    Floats,
    holds,
    lesion_hulls_mm,
    sample_mm,
    separate_parts,
    tight,
)
from workstation.planning.resection import crossed_text, outside_text
from workstation.planning.vein_crossings import beside_organ
from workstation.planning.vein_dissection import DISSECTED_MM
from workstation.planning.vein_division import stems_of

Bools = npt.NDArray[np.bool_]
Pressure = Callable[[float], Measurements]

SAMPLES = 300_000
SKIN = 2_000  # points of a lesion's surface that are looked at over a bent sheet
NEAR_MM = 10.0  # of the organ, and a structure's place counts


@dataclass(frozen=True)
class LiveNumbers:
    """What a cut means, close to the full computation and fast.

    Where nothing or everything would be removed, a finding says so and no number follows.

    Attributes:
        specimen_ml, remnant_ml: the parts' volumes; together exactly the organ's.
        remnant_percent: remnant, share of the whole organ label.
        functional_percent: the same with the tumour taken from both; None without a tumour.
        lesions_left: lesions that stay behind and that ``margin_mm`` leaves out.
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
    lesions_left: int = 0


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
        dissected_mm: tuple[float, float] = (DISSECTED_MM, DISSECTED_MM),
    ) -> None:
        """Prepare the organ and, where they are there, the tumour, both trees and the pressure.

        ``pressure`` tells the circulation after a share of the organ was removed; ``critical`` are
        places (n, 3) on critical structures, LPS mm, by name; ``dissected_mm`` is how far stems of
        the portal and of the hepatic tree are freed of the specimen, as `Stems` does it.

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
        self._skins = [] if lesion is None else _skins(lesion, self._hulls)
        self._healthy = None if lesion is None else ~holds(lesion, points)
        self._portal, self._hepatic = (
            None if tree is None else _live(tree, organ, points, tumor, at_most)
            for tree, at_most in zip((portal, hepatic), dissected_mm)
        )
        self._pressure = pressure
        self._critical = _beside(organ, points, critical) if critical else {}
        measured = [*self._skins, *(at for at, _ in self._critical.values())]
        sided = [tree.points_mm for tree in (self._portal, self._hepatic) if tree is not None]
        ends = np.cumsum([0, *map(len, measured), *map(len, sided)])
        self._spans = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        rest = Rest(*(np.concatenate([np.empty((0, 3)), *some]) for some in (measured, sided)))
        self._sides = CutSides(liver, tumor, self._points, self._origin, rest, (portal, hepatic))

    def at(self, point_mm: npt.ArrayLike, normal: npt.ArrayLike) -> LiveNumbers:
        """Return the numbers for the plane through a point (LPS mm) with a unit normal (LPS).

        The normal points to the specimen.
        """
        point, direction = np.asarray(point_mm, float), np.asarray(normal, float)
        stays = along(self._points, direction) < np.float32((point - self._origin) @ direction)
        reach = [(hull - point) @ direction for hull in self._hulls]
        trees = [
            None if tree is None else (tree.points_mm - point) @ direction >= 0
            for tree in (self._portal, self._hepatic)
        ]
        near = {n: _least((at - point) @ direction, g) for n, (at, g) in self._critical.items()}
        return replace(self._numbers(stays, reach, trees[0], trees[1]), near_mm=near)

    def over(self, sheet: Sheet) -> LiveNumbers:
        """Return the numbers for a bent sheet; quick where only its heights changed."""
        return self.judge(sheet)

    def judge(self, cut: LiveCut) -> LiveNumbers:
        """Return the numbers for a cut of any kind; quick where only what a hand moves changed.

        Of several cuts together distances are told as the smallest that they can be.

        Raises:
            ValueError: for a wedge where there is no tumour, or no tree of veins to spare.
        """
        removed, signed = self._sides(cut)
        spans = iter(self._spans)
        reach = [signed[next(spans)] for _ in self._skins]
        near = {n: _least(signed[next(spans)], gap) for n, (_, gap) in self._critical.items()}
        trees = [
            None if tree is None else signed[next(spans)] >= 0
            for tree in (self._portal, self._hepatic)
        ]
        return replace(self._numbers(~removed, reach, trees[0], trees[1]), near_mm=near)

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
            divided = tree.divided(sides)
            crossed = tuple(sorted((*(crossed or ()), *tree.crossed_mm(divided)), reverse=True))
            cut_off = np.count_nonzero(tree.beyond(divided) & stays)
            lost.append(cut_off / len(stays) * self._whole_ml)
        pressure = None if self._pressure is None else self._pressure(1.0 - share)
        found = _left_behind(reach)
        left = sum(float(distance.max()) < 0 for distance in reach)
        losses = lost[0], lost[1], pressure
        made = LiveNumbers(*parts, functional, margin, crossed, *losses, findings=found)
        return replace(made, lesions_left=left if left < len(reach) else 0)


def _live(
    tree: Centerline, organ: LabelMap, points: Floats, tumor: LabelMap | None, dissected_mm: float
) -> LiveTree:
    """Return a tree in a tight organ that points (n, 3), LPS mm, stand for, prepared for cuts."""
    inside = beside_organ(organ, tree.points_mm)
    stems = stems_of(organ, tree, inside, tumor) if tree.branches else None
    return LiveTree(tree, points, inside, stems, dissected_mm)


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
        found.append(_impossible("tumor_crossed", crossed_text(crossed, len(reach))))
    if left:
        found.append(_impossible("tumor_outside_specimen", outside_text(left, len(reach))))
    return tuple(found)


def _impossible(
    code: Literal["no_cut", "tumor_crossed", "tumor_outside_specimen"], text: str
) -> Finding:
    return Finding(Severity.PROBLEM, code, text)


def _skins(lesion: LabelMap, hulls: list[Floats]) -> list[Floats]:
    """Return points of the surface of each separate lesion, those of its hull among them.

    The hull's come nearest to any plane, and to a sheet that is bent little.
    """
    skin = isosurface(lesion)
    parts = separate_parts(skin)
    drawn = (skin.points_mm[p[:: max(1, -(-len(p) // SKIN))]] for p in parts)
    return [np.concatenate([hull, points]) for hull, points in zip(hulls, drawn)]
