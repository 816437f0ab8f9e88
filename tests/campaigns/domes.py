"""Necks found on shapes with a known neck: labelled real aneurysms, an idealised pair, models."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from meshing.aneurysm import neck
from meshing.aneurysm_neck import Neck, neck_of
from meshing.aneurysm_parts import Parts, divided_at_neck
from meshing.centerline import centerline
from meshing.holes import rims
from meshing.nearest import NearestOnSurface
from meshing.reading import read_surface
from meshing.surface import SurfaceMesh
from tests.meshing.sacs import Depth, ball, ellipsoid, placed, surface, tube

FRAME = "1.2.840.99.2"
HEALTHY_MM = 0.05  # a wall this far from that of the healthy twin is the sac's
DIFFERENCE_MM = 1e-4

Floats = np.ndarray


@dataclass(frozen=True)
class Case:
    """A lumen, which of its triangles are the sac's, and a click where one is needed.

    ``neck_mm`` is where sac and vessel meet; None takes the border of the sac's triangles.
    """

    name: str
    lumen: SurfaceMesh
    sac: np.ndarray
    click_mm: tuple[float, float, float] | None = None
    neck_mm: Floats | None = None


@dataclass(frozen=True)
class Verdict:
    """Overlap of the sac's wall (area IoU) and the error of the neck's mean diameter (share)."""

    name: str
    overlap: float
    width: float
    why: str = ""


def real(folder: Path) -> Iterator[Case]:
    """Yield the labelled aneurysms of IntrA: 0 vessel, 1 dome, 2 neck line."""
    for file in sorted((folder / "aneurysm_intra").glob("*_full.obj")):
        lumen = read_surface(file, frame_uid=FRAME)
        sample = np.loadtxt(next(file.parent.glob(file.name.removesuffix("_full.obj") + "-_norm*")))
        order = {tuple(np.round(row[:3], 4)): int(row[6]) for row in sample}
        label = np.array([order[tuple(point)] for point in np.round(lumen.points_mm, 4)])
        yield Case(file.name, lumen, np.isin(label[lumen.triangles], (1, 2)).all(axis=1))


def pair(folder: Path) -> Case:
    """Return the idealised bifurcation; its sac is what the healthy twin lacks."""
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(folder / "aneurysm_idealised_pair.zip") as archive:
            archive.extractall(scratch)
        files = sorted(Path(scratch).rglob("*.stl"))
        healthy, lumen = (read_surface(file, frame_uid=FRAME) for file in files)
    middle = lumen.points_mm[lumen.triangles].mean(axis=1)
    away = NearestOnSurface(healthy)(middle).distance_mm
    return Case("idealised pair", lumen, away > HEALTHY_MM)


def models(wanted: Sequence[str] = ()) -> Iterator[Case]:
    """Yield unions of vessels and sacs, or some of them by name.

    A triangle is the part's that it lies deepest in.
    """
    straight = [tube((-25, 0, 0), (25, 0, 0), 1.5)]
    fork = [
        tube((0, 0, -25), (0, 0, 0), 1.7),
        tube((0, 0, 0), (16, 0, 14), 1.3),
        tube((0, 0, 0), (-16, 0, 14), 1.2),
    ]
    turns = np.linspace(-1.3, 1.3, 60)
    bow = np.stack([9 * np.sin(turns), 0 * turns, 9 * np.cos(turns) - 9], axis=1)
    bent = [tube(a, b, 1.6) for a, b in pairwise(bow)]
    box = ((-11, -6, -4), (11, 6, 11))
    shapes: list[tuple[str, list[Depth], list[Depth], tuple[Floats, Floats]]] = [
        ("ball", straight, [ball((0, 0, 3.5), 3)], box),
        ("narrow neck", straight, [ball((0, 0, 4), 3)], box),
        ("wide neck", straight, [ball((0, 0, 1.8), 2.3)], box),
        ("small", straight, [ball((0, 0, 2.0), 1.3)], box),
        ("large", straight, [ball((0, 0, 6), 5)], ((-13, -6, -4), (13, 6, 12))),
        ("leaning", straight, [ellipsoid((1.5, 0, 3.6), (2.2, 2, 3.2))], box),
        ("aside", straight, [ball((0, 1.4, 3.1), 2.6)], box),
        ("bleb", straight, [ball((0, 0, 3.6), 2.8), ball((1.6, 0.5, 6), 1.3)], box),
        ("tip", fork, [ellipsoid((0, 0, 4.2), (2.9, 2.6, 3.6))], ((-11, -5, -10), (11, 5, 11))),
        ("wide tip", fork, [ball((0, 0, 2.4), 3.0)], ((-11, -5, -10), (11, 5, 11))),
        ("outer bend", bent, [ball((0, 0, 3.4), 2.8)], ((-7.5, -5, -8), (7.5, 5, 9))),
        (
            "beside a branch",
            [*straight, tube((3.4, 0, 0), (5.5, 3, 12), 0.8)],
            [ball((0, 0, 3.5), 2.8)],
            box,
        ),
    ]
    for name, vessel, sac, limits in shapes:
        if wanted and name not in wanted:
            continue
        yield _model(name, vessel, sac, limits)
    two = [ball((-5, 0, 3.4), 2.6), ball((5, 0.8, -3.0), 2.2)]
    wide = ((-12, -6, -8), (12, 6, 8))
    for n, one in enumerate(two):
        if wanted and f"two sacs, {n + 1}" not in wanted:
            continue
        other = two[1 - n]
        click = placed([[(-5, 0, 3.9), (5, 0.8, -3.4)][n]])[0]
        yield _model(f"two sacs, {n + 1}", [*straight, other], [one], wide, click)


def _model(
    name: str,
    vessel: list[Depth],
    sac: list[Depth],
    box: tuple[Floats, Floats],
    click: Floats | None = None,
) -> Case:
    flat = surface([*vessel, *sac], box, tilt=False)
    middle = flat.points_mm[flat.triangles].mean(axis=1)
    depths = [np.max([part(middle) for part in parts], axis=0) for parts in (vessel, sac)]
    lumen = SurfaceMesh(placed(flat.points_mm), flat.triangles, FRAME, name)
    place = None if click is None else (float(click[0]), float(click[1]), float(click[2]))
    member = depths[1] > depths[0]
    border = flat.points_mm[_border(flat, member)]
    return Case(name, lumen, member, place, placed(_crossing(border, vessel, sac)))


def _crossing(border: Floats, vessel: list[Depth], sac: list[Depth]) -> Floats:
    """Where the walls of vessel and sac cross, next to the border of their triangles."""

    def depths(at: Floats) -> Floats:
        return np.stack([np.max([part(at) for part in parts], axis=0) for parts in (vessel, sac)])

    met = border.copy()
    for _ in range(12):
        here = depths(met)
        ahead = [depths(met + step) for step in DIFFERENCE_MM * np.eye(3)]
        slopes = np.stack([(there - here) / DIFFERENCE_MM for there in ahead], axis=2)
        back = np.linalg.pinv(slopes.transpose(1, 0, 2), rcond=0.1)
        met = met - np.clip(np.einsum("nij,nj->ni", back, here.T), -0.3, 0.3)
    return met[np.abs(depths(met)).max(axis=0) < 0.01]


def judge(case: Case) -> Verdict:
    """Return how well the neck of a case is found."""
    try:
        line = centerline(case.lumen)
        found = neck(case.lumen, line, click_mm=case.click_mm)
    except (ValueError, RuntimeError) as error:
        return Verdict(case.name, 0.0, np.inf, str(error))
    parts = divided_at_neck(case.lumen, found)
    known = known_neck(case)
    return Verdict(case.name, overlap(case, parts), found.width_mm / known.width_mm - 1)


def overlap(case: Case, parts: Parts) -> float:
    """Return the area IoU of the sac's wall found and known."""
    corners = parts.points_mm[parts.triangles]
    origin = parts.origin.copy()
    fresh = origin < 0
    origin[fresh] = NearestOnSurface(case.lumen)(corners[fresh].mean(axis=1)).triangle
    sides = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    known = case.sac[origin]
    return float(area[known & parts.sac].sum() / area[known | parts.sac].sum())


def known_neck(case: Case) -> Neck:
    """Return the neck where sac and vessel meet, or along the border of the known sac."""
    cells = case.lumen.triangles
    curve = case.neck_mm
    if curve is None:
        curve = case.lumen.points_mm[_border(case.lumen, case.sac)]
    dome = case.lumen.points_mm[cells[case.sac]].mean(axis=(0, 1))
    none = (np.zeros((1, 3)), np.ones(1))
    return neck_of(curve, dome, dome, FRAME, none, "known")


def _border(lumen: SurfaceMesh, sac: np.ndarray) -> np.ndarray:
    """The points around the triangles of a sac; those of their longest rim."""
    return max(rims(lumen.triangles[sac], len(lumen.points_mm)), key=len)


def cases() -> Iterator[Case]:
    """Yield all cases; those of real data where HILUM_DATA names its folder."""
    if "HILUM_DATA" in os.environ:
        data = Path(os.environ["HILUM_DATA"])
        yield from real(data)
        yield pair(data)
    yield from models()
