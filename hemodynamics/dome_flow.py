"""What flow does to the dome of an aneurysm: shear on its wall, inflow through its neck.

Definitions: `hemodynamics.indices`. Points are LPS mm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from hemodynamics import indices
from hemodynamics.cross_flow import CrossFlow, NoCrossFlow, Planes
from hemodynamics.field import Field
from hemodynamics.flow_result import FlowResult
from hemodynamics.level_error import banded, comparable, error_finding, unknown_error
from hemodynamics.parent_artery import Stretch, belongs, stretches
from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline
from meshing.comparison import point_areas_mm2
from meshing.integrals import area_of
from meshing.mesh import SurfaceMesh
from meshing.nearest import NearestOnSurface
from segmentation.contract import (
    Finding,
    FrameMismatch,
    Measurements,
    Number,
    Progress,
    Severity,
    share,
    silent,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

CLOSE = 0.2
"""Cells that the wall of the flow may lie off that of the dome."""

COVERED = 0.8
"""Share of the dome's wall that must be wall of the flow too."""

FINE = 0.5
"""Cells between places at which the flow through the neck is looked at."""

MOST_PARTS = 24
ACROSS = 8.0
"""Cells across a neck, at the least, for inflow to be trusted."""

UNBALANCED = 0.2
"""Net flow through the neck, by what flows in, that is told."""

plain = partial(Number, plain=True)


@dataclass(frozen=True, eq=False)
class Sac:
    """The wall of a dome in a flow, and beside it the wall of the parent artery.

    Attributes:
        triangles: of the flow's wall, those of the dome.
        areas_mm2: (points,) what each point of the flow's wall stands for in the dome.
        parent_mm2: the same in the parent artery; all 0 where none is known.
        parent: in words.
    """

    triangles: Ints
    areas_mm2: Floats
    parent_mm2: Floats
    parent: str


def dome_flow(
    flow: FlowResult,
    dome: SurfaceMesh,
    neck: Neck,
    centerline: Centerline | None = None,
    *,
    progress: Progress = silent,
) -> Measurements:
    """Measure what flow does to the dome of an aneurysm: wall shear, inflow, pressure loss.

    Shear is put beside that of the parent artery, the vessel on one and a half diameters before
    the neck. What cannot be known is left out and said.

    Args:
        flow: in the lumen that the dome was cut off.
        dome: the dome with its parts wall and neck.
        neck: its neck.
        centerline: the branches of the vessel; it says where the parent artery runs.
        progress: told how far the work is.

    Raises:
        ValueError: if the dome has no parts wall and neck, or is no part of this flow's wall.
        FrameMismatch: if the values live in different frames.
    """
    _require(flow, dome, neck, centerline)
    if not len(flow.times_s):
        text = "The flow was not simulated, so nothing is known of that in the dome."
        return Measurements(findings=(Finding(Severity.INFO, "no_flow", text),))
    beside = stretches(centerline, neck) if centerline else ()
    before = tuple(stretch for stretch in beside if stretch.before)
    progress(0.1, "finding the dome on the wall")
    sac = _sac(flow, dome, centerline, before)
    findings = [*_left_out(flow, before, neck)]
    levels, found = comparable(flow), []
    for n, level in enumerate(levels):
        told = share(progress, n, len(levels))
        values, lost = _measured(level, sac, (dome, neck), centerline, beside, told)
        found.append((level, values))
        findings += lost if n == 0 else []
    numbers = banded(found) if len(levels) > 1 else tuple(found[0][1])
    findings += _errors(numbers, levels)
    return Measurements(numbers, tuple(findings))


def _measured(
    flow: FlowResult,
    sac: Sac,
    cut: tuple[SurfaceMesh, Neck],
    centerline: Centerline | None,
    beside: tuple[Stretch, ...],
    progress: Progress,
) -> tuple[list[Number], list[Finding]]:
    """Return the numbers of a dome in flow on some cells, and what could not be known."""
    (dome, neck), before = cut, tuple(stretch for stretch in beside if stretch.before)
    numbers: list[Number] = [*_shear(flow, sac)]
    findings: list[Finding] = []
    progress(0.2, "looking at the flow through the neck")
    numbers += _inside(flow, dome, centerline, before)
    inward, areas = _through_neck(flow, dome)
    entering = float((np.clip(inward, 0.0, None) @ areas).mean())
    numbers.append(plain("neck.inflow", entering, "mL/s", "into the dome, mean over time"))
    net = abs(float((inward @ areas).mean()))
    if net > UNBALANCED * entering > 0:
        text = f"{100 * net / entering:.0f} percent of what enters the dome seems not to leave it."
        findings.append(
            Finding(Severity.WARNING, "neck_unbalanced", text, neck.centre_mm, "Take finer cells")
        )
    progress(0.6, "cutting the vessel before and beyond the dome")
    cuts, lost = _cuts(flow, beside)
    return [*numbers, *_losses(flow, cuts, inward, areas)], [*findings, *lost]


def _errors(numbers: Iterable[Number], levels: Sequence[FlowResult]) -> list[Finding]:
    """Return what is known of the error of the dome's mean shear, if it is not small."""
    if len(levels) == 1:
        return [unknown_error(levels[0])]
    mean = next(number for number in numbers if number.quantity == "wss.dome_mean")
    told = error_finding(levels[0], mean, "the dome's mean shear")
    return [] if told is None else [told]


def _require(
    flow: FlowResult, dome: SurfaceMesh, neck: Neck, centerline: Centerline | None
) -> None:
    if not {"wall", "neck"} <= set(dome.boundaries):
        raise ValueError("the dome has no parts named wall and neck; cut it off at its neck")
    frames = {flow.frame_uid, dome.frame_uid, neck.frame_uid}
    if len(frames | ({centerline.frame_uid} if centerline else frames)) > 1:
        raise FrameMismatch("flow, dome, neck and centerline lie in different frames of reference")


def _sac(
    flow: FlowResult, dome: SurfaceMesh, centerline: Centerline | None, before: tuple[Stretch, ...]
) -> Sac:
    """Return the wall of the dome and that of its parent artery.

    Raises:
        ValueError: if the dome is no part of the flow's wall.
    """
    wall = flow.wall
    middles = wall.points_mm[wall.triangles].mean(axis=1)
    found = NearestOnSurface(dome)(middles)
    of_wall = np.zeros(len(dome.triangles), np.bool_)
    of_wall[dome.boundaries["wall"]] = True
    in_dome = (found.distance_mm < CLOSE * flow.spacing_mm) & of_wall[found.triangle]
    triangles = wall.triangles[in_dome]
    whole = float(area_of(dome.points_mm, dome.triangles[dome.boundaries["wall"]]))
    if float(area_of(wall.points_mm, triangles)) < COVERED * whole:
        raise ValueError(
            "the dome is no part of the wall that this flow was computed in; compute flow in the "
            "lumen that the dome was cut off"
        )
    parent = np.zeros(len(middles), np.bool_)
    if centerline:
        parent = belongs(middles, centerline, before) & ~in_dome
    names = " and ".join(f"branch {stretch.branch}" for stretch in before)
    return Sac(
        triangles,
        _areas(wall, in_dome),
        _areas(wall, parent),
        f"{names} on 1.5 diameters before the neck",
    )


def _areas(wall: SurfaceMesh, chosen: Bools) -> Floats:
    return point_areas_mm2(wall.reshaped(wall.points_mm, wall.triangles[chosen]))


def _shear(flow: FlowResult, sac: Sac) -> Iterator[Number]:
    """Yield numbers of wall shear on the dome, by itself and by its parent artery."""
    kept = sac.areas_mm2 > 0
    tawss, areas = flow.wall.point_data["tawss_pa"][kept], sac.areas_mm2[kept]
    mean = float(np.average(tawss, weights=areas))
    text = "time-averaged wall shear stress"
    yield plain("wss.dome_mean", mean, "Pa", f"{text}, mean over the dome's wall")
    yield plain("wss.dome_maximum", float(tawss.max()), "Pa", f"{text}, largest on the dome")
    if sac.parent_mm2.any():
        yield from _by_parent(flow, sac, tawss, areas)
    if flow.conditions["kind"] == "pulsatile":
        osi = flow.wall.point_data["osi"][kept]
        text = "oscillatory shear index"
        yield plain("osi.dome_mean", float(np.average(osi, weights=areas)), "",
                    f"{text}, mean over the dome's wall")  # fmt: skip
        yield plain("osi.dome_maximum", float(osi.max()), "", f"{text}, largest on the dome")
    rrt = flow.wall.point_data["rrt_1_pa"][kept]
    known = np.isfinite(rrt)
    if known.any():
        yield plain("rrt.dome_mean", float(np.average(rrt[known], weights=areas[known])), "1/Pa",
                    "relative residence time, mean over the dome's wall")  # fmt: skip
    points = flow.wall.points_mm
    gradient = indices.shear_gradient_pa_mm(points, sac.triangles, flow.wss_pa)
    a, b, c = (points[sac.triangles[:, n]] for n in range(3))
    sizes = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    yield plain("wss.gradient_dome_mean", float(np.average(gradient, weights=sizes)), "Pa/mm",
                "along and across the flow, mean over time and the dome's wall")  # fmt: skip


def _by_parent(flow: FlowResult, sac: Sac, tawss: Floats, areas: Floats) -> Iterator[Number]:
    known = sac.parent_mm2 > 0
    shear, weights = flow.wall.point_data["tawss_pa"][known], sac.parent_mm2[known]
    mean = float(np.average(shear, weights=weights))
    sd = float(np.sqrt(np.average((shear - mean) ** 2, weights=weights)))
    yield plain("wss.parent_mean", mean, "Pa",
                f"time-averaged wall shear stress of the parent artery: {sac.parent}")  # fmt: skip
    ratio = float(np.average(tawss, weights=areas)) / mean
    yield plain("wss.dome_normalised", ratio, "",
                f"mean of the dome by that of the parent artery: {sac.parent}")  # fmt: skip
    share = 100 * indices.low_shear_share(tawss, areas, mean)
    yield plain("wss.low_area", share, "%",
                "of the dome's wall has less than a tenth of the parent artery's mean")  # fmt: skip
    yield plain("wss.concentration", indices.shear_concentration(tawss, areas, mean, sd), "",
                "shear concentration index; high is above the parent's mean and one standard "
                "deviation")  # fmt: skip
    yield plain("wss.low_index", indices.low_shear_index(tawss, areas, mean, sd), "",
                "low shear index; low is below the parent's mean less one standard "
                "deviation")  # fmt: skip


def _inside(
    flow: FlowResult, dome: SurfaceMesh, centerline: Centerline | None, before: tuple[Stretch, ...]
) -> Iterator[Number]:
    """Yield the mean speed in the dome, and its kinetic energy by that of the parent artery."""
    low, high = dome.points_mm.min(axis=0), dome.points_mm.max(axis=0)
    around = np.flatnonzero(((flow.cells_mm > low) & (flow.cells_mm < high)).all(axis=1))
    cells = around[NearestOnSurface(dome).signed_mm(flow.cells_mm[around]) < 0]
    if not len(cells):
        return
    speed = np.linalg.norm(flow.velocity_m_s[:, cells], axis=2)
    yield plain("speed.dome_mean", float(speed.mean()), "m/s", "over the dome's volume and time")
    if centerline and before:
        own = belongs(flow.cells_mm, centerline, before)
        own[cells] = False
        if own.any():
            of_parent = float((flow.velocity_m_s[:, own] ** 2).sum(axis=2).mean())
            yield plain("kinetic_energy_ratio", float((speed**2).mean()) / of_parent, "",
                        "per volume, of the dome by the parent artery")  # fmt: skip


def _through_neck(flow: FlowResult, dome: SurfaceMesh) -> tuple[Floats, Floats]:
    """Return the speed into the dome (times, places) in m/s, and the area (mm2) of each place."""
    corners = dome.points_mm[dome.triangles[dome.boundaries["neck"]]]
    arms = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(arms, axis=1)
    inward = -arms / np.maximum(size, 1e-300)[:, None]
    longest = float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max())
    parts = int(np.clip(np.ceil(longest / (FINE * flow.spacing_mm)), 1, MOST_PARTS))
    shares = _shares(parts)
    places = np.einsum("sc,tcx->tsx", shares, corners).reshape(-1, 3)
    directions = np.repeat(inward, len(shares), axis=0)
    areas = np.repeat(size / 2.0 / len(shares), len(shares))
    found = Field(flow).at(places)
    speeds = [np.einsum("px,px->p", found.of(v), directions) for v in flow.velocity_m_s]
    return np.stack(speeds).astype(np.float64), areas


def _shares(parts: int) -> Floats:
    """Return barycentric middles (parts^2, 3) of the equal parts of a triangle."""
    up = [(i + 1 / 3, j + 1 / 3) for i in range(parts) for j in range(parts - i)]
    down = [(i + 2 / 3, j + 2 / 3) for i in range(parts - 1) for j in range(parts - 1 - i)]
    first, second = np.array(up + down).T / parts
    return np.stack([first, second, 1.0 - first - second], axis=1)


def _cuts(
    flow: FlowResult, beside: tuple[Stretch, ...]
) -> tuple[list[tuple[Stretch, CrossFlow]], list[Finding]]:
    """Return the planes across the middles of the stretches, and those that could not be cut."""
    planes, cuts, lost = Planes(flow), [], []
    for stretch in beside:
        try:
            cuts.append((stretch, planes.across(stretch.middle_mm, stretch.direction)))
        except NoCrossFlow as error:
            lost.append(Finding(Severity.WARNING, "no_section", str(error)))
    return cuts, lost


def _losses(
    flow: FlowResult, cuts: list[tuple[Stretch, CrossFlow]], inward: Floats, areas: Floats
) -> Iterator[Number]:
    """Yield what is measured by the flow in the parent artery: inflow and loss of pressure."""
    before = [_section(cut, flow) for stretch, cut in cuts if stretch.before]
    beyond = [_section(cut, flow) for stretch, cut in cuts if not stretch.before]
    coming = sum(section.flow_ml_s for section in before)
    if coming <= 0:
        return
    value = indices.inflow_concentration(inward, areas, coming)
    yield plain("inflow.concentration", value, "",
                "inflow concentration index, by the flow in the parent artery")  # fmt: skip
    if beyond and sum(section.flow_ml_s for section in beyond) > 0:
        (p_in, v_in), (p_out, v_out) = _mean(before), _mean(beyond)
        value = indices.pressure_loss_coefficient(p_in, v_in, p_out, v_out)
        yield plain("pressure_loss_coefficient", value, "",
                    "loss of mean total pressure between planes before and beyond the neck, by "
                    "the dynamic pressure before; several planes by their flow")  # fmt: skip


@dataclass(frozen=True)
class Section:
    """Means over time and a plane: flow downstream, speed along the vessel, pressure."""

    flow_ml_s: float
    speed_m_s: float
    pressure_pa: float


def _section(cut: CrossFlow, flow: FlowResult) -> Section:
    course = cut.over_time(flow)
    return Section(
        float(course["flow_ml_s"].mean()),
        float(course["mean_speed_m_s"].mean()),
        float(course["pressure_pa"].mean()),
    )


def _mean(sections: list[Section]) -> tuple[float, float]:
    """Return pressure (Pa) and speed (m/s) of sections, weighted by their flow."""
    flows = np.clip([section.flow_ml_s for section in sections], 0.0, None)
    pressure = np.average([section.pressure_pa for section in sections], weights=flows)
    speed = np.average([section.speed_m_s**2 for section in sections], weights=flows)
    return float(pressure), float(np.sqrt(speed))


def _left_out(flow: FlowResult, before: tuple[Stretch, ...], neck: Neck) -> Iterator[Finding]:
    if flow.conditions["kind"] != "pulsatile":
        text = "In steady flow shear does not oscillate; the oscillatory shear index is left out."
        yield Finding(Severity.INFO, "steady_osi", text, remedy="Compute the flow as pulsatile")
    if not before:
        text = "No parent artery was found before the neck; what is compared with it is left out."
        remedy = "Give a centerline, and let the lumen reach three diameters before the neck"
        yield Finding(Severity.WARNING, "no_parent", text, neck.centre_mm, remedy)
    across = neck.width_mm / flow.spacing_mm
    if across < ACROSS:
        yield Finding(
            Severity.WARNING, "coarse_neck",
            f"Only {across:.0f} cells lie across the neck; the inflow through it is rough.",
            neck.centre_mm, f"Take cells of {neck.width_mm / ACROSS:.2g} mm or less",
        )  # fmt: skip
