"""How a flow is drawn: wall maps, streamlines and planes across the vessel, at any time.

Everything is prepared once for all times; another time is then only another array or another
surface that is shown. Points are LPS mm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from hemodynamics.cross_flow import CrossFlow, Planes
from hemodynamics.flow_result import FlowResult
from hemodynamics.streamlines import (
    ball_seeds,
    disc_seeds,
    inlet_seeds,
    lumen_seeds,
    streamlines,
)
from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline
from meshing.surface import SurfaceMesh
from meshing.vessel_sections import place_on
from segmentation.contract import Progress, silent
from segmentation.volume import Vector
from workstation.camera import Camera, Side, Size, unit, vector
from workstation.flow_surfaces import (
    MOVING,
    TITLES,
    TUBE_SHARE,
    PlaneQuantity,
    WallQuantity,
    arrows,
    at_time,
    line_tubes,
    plane,
    vessel_radius_mm,
    wall,
)
from workstation.looks import MOST, proposed_limits
from workstation.picture import Picture, render_scene, render_scenes
from workstation.shading import ScalarMap, SceneItem

Seeds = Literal["off", "inlets", "lumen", "neck", "plane", "crosshair"]
Cut = Literal["off", "centerline", "neck", "crosshair"]
Kind = Literal["tawss", "osi", "rrt", "wss", "pressure", "streamlines", "section"]

GLASS = (0xC9, 0xD4, 0xDE)  # of a wall that is there to be looked through
GLASS_OPACITY, THROUGH_OPACITY = 0.16, 0.35
ARROW_COLOUR = (0xF2, 0xF4, 0xF6)
DIVERGE = ("through_m_s",)  # quantities whose zero is the middle of the bar
TICKS = 5  # steps of a pressure's bar, about
ENOUGH = 500_000  # values that tell the limits of a bar
DECADES = 2.0  # of a logarithmic bar whose lower end nobody chose
BALL = 0.6  # radius of the ball of seeds about the crosshair, of the vessel's
PICTURE_PX = (900, 700)
PARENT, DOME, RATIO = "wss.parent_mean", "wss.dome_mean", "wss.dome_normalised"


@dataclass(frozen=True)
class FlowLook:
    """What a person wants to see of a flow; view state, which no plan holds.

    Attributes:
        wall: the quantity on the wall, "" for plain glass.
        low, high: limits of its bar in its unit; None proposes them from all times.
        log: whether the wall's bar is logarithmic.
        opacity: of the wall, 0 to 1; None suits what is shown inside.
        parent_pa: mean wall shear of the parent artery, where it is known.
        seeds: where streamlines begin.
        count: how many.
        cut: where a plane lies across the vessel: at a place of the centerline, in the neck of
            an aneurysm, or through the crosshair and square to the flow.
        branch, position_mm: that place: number of the branch from 1, and how far along it; None
            takes its middle, as a branch begins and ends beyond ends that were cut off.
        across: the quantity on the plane.
        arrows: whether arrows show the flow within the plane.
    """

    wall: WallQuantity | Literal[""] = "tawss_pa"
    low: float | None = None
    high: float | None = None
    log: bool = False
    opacity: float | None = None
    parent_pa: float | None = None
    seeds: Seeds = "off"
    count: int = 120
    cut: Cut = "off"
    branch: int = 1
    position_mm: float | None = None
    across: PlaneQuantity = "speed_m_s"
    arrows: bool = True


@dataclass(frozen=True)
class Marks:
    """What planes and streamlines may begin at, as far as it is known; points LPS mm."""

    centerline: Centerline | None = None
    neck: Neck | None = None
    crosshair_mm: Vector | None = None

    def of_cut(self, look: FlowLook) -> Any:
        """Return all that decides where the plane of a look lies."""
        return {
            "off": None,
            "centerline": (look.branch, look.position_mm, self.centerline),
            "neck": self.neck,
            "crosshair": self.crosshair_mm,
        }[look.cut]


@dataclass(frozen=True, eq=False)
class FlowScene:
    """All that a look shows of a flow, at every time; `items` picks one time.

    ``bars`` are the colour bars of the wall, the plane and the lines, the same at every time;
    ``through`` holds the numbers of the plane over time, see `CrossFlow.over_time`. ``made``
    says from what each part was made, so that it is not made again.
    """

    flow: FlowResult
    look: FlowLook
    wall: SurfaceMesh
    lines: Mapping[int, SurfaceMesh]
    cut: CrossFlow | None
    plane: SurfaceMesh | None
    arrows: tuple[SurfaceMesh, ...]
    through: Mapping[str, npt.NDArray[np.float64]]
    bars: Mapping[str, ScalarMap]
    made: Mapping[str, Any]


def prepare(
    flow: FlowResult,
    look: FlowLook,
    *,
    planes: Planes | None = None,
    marks: Marks | None = None,
    before: FlowScene | None = None,
    frames: Sequence[int] | None = None,
    compared: Sequence[FlowResult] = (),
    progress: Progress = silent,
) -> FlowScene:
    """Return what a look shows of a flow; parts that ``before`` has already are kept.

    Streamlines are made for ``frames`` only, the numbers of times; None makes them for all.
    Bars whose limits nobody chose suit the flows it is ``compared`` with, too.

    Raises:
        ValueError: if the flow was not computed, or the look asks for what there is not.
        NoCrossFlow: if a plane misses the lumen.
    """
    planes = planes or Planes(flow)
    old = dict(before.made) if before is not None and before.flow is flow else {}
    wanted: dict[str, Any] = {
        "wall": (look.wall, look.parent_pa if look.wall == "tawss_share" else None)
    }
    marks = marks or Marks()
    wanted["cut"] = (look.cut, marks.of_cut(look))
    wanted["plane"] = (wanted["cut"], look.across)
    wanted["arrows"] = (wanted["cut"], look.arrows)
    start = {
        "plane": wanted["cut"],
        "crosshair": marks.crosshair_mm,
        "neck": marks.neck,
    }.get(look.seeds)
    moments = range(len(flow.times_s)) if frames is None else frames
    wanted["lines"] = (look.seeds, look.count, start, tuple(moments))
    if look.seeds == "off":
        wanted["lines"] = ("off",)

    def kept(part: str) -> bool:
        return part in old and old[part] == wanted[part]

    progress(0.0, "the wall")
    outside = before.wall if before and kept("wall") else _wall(flow, look)
    progress(0.1, "the plane")
    cut = before.cut if before and kept("cut") else _cut(planes, look, marks)
    sheet = before.plane if before and kept("plane") else None
    if cut is not None and sheet is None:
        sheet = plane(flow, cut, look.across)
    within: tuple[SurfaceMesh, ...] = ()
    if cut is not None and look.arrows:
        within = before.arrows if before and kept("arrows") else tuple(arrows(flow, cut))
    lines = (
        before.lines if before and kept("lines")
        else _lines(flow, planes, look, cut, marks, moments, progress)
    )  # fmt: skip
    through: Mapping[str, npt.NDArray[np.float64]] = {}
    if cut is not None:
        through = before.through if before and kept("cut") else cut.over_time(flow)
    progress(1.0)
    bars = _bars((flow, *compared), look, outside, sheet, bool(lines))
    return FlowScene(flow, look, outside, lines, cut, sheet, within, through, bars, wanted)


def _bars(
    flows: Sequence[FlowResult],
    look: FlowLook,
    outside: SurfaceMesh,
    sheet: SurfaceMesh | None,
    lines: bool,
) -> dict[str, ScalarMap]:
    """Return the colour bars of what is shown."""
    found = {}
    if look.wall:
        others = (wall(other, look.wall, look.parent_pa) for other in flows[1:])
        values = [v for mesh in (outside, *others) for v in mesh.point_data.values()]
        bar = limits(look.wall, values, look)
        array = look.wall if look.wall in outside.point_data else at_time(look.wall, 0)
        found["wall"] = ScalarMap(array, *TITLES[look.wall], **bar)
    if lines or (sheet is not None and look.across == "speed_m_s"):
        # One bar for all speeds, so that lines and plane compare.
        bar = limits("speed_m_s", [some_speeds(flow) for flow in flows])
        found["lines"] = found["plane"] = ScalarMap("speed_m_s", *TITLES["speed_m_s"], **bar)
    if sheet is not None and look.across != "speed_m_s":
        bar = limits(look.across, sheet.point_data.values())
        found["plane"] = ScalarMap(look.across, *TITLES[look.across], **bar)
    return found


def _wall(flow: FlowResult, look: FlowLook) -> SurfaceMesh:
    if look.wall:
        return wall(flow, look.wall, look.parent_pa)
    return replace(flow.wall, point_data={})


def position_on(line: Centerline, look: FlowLook) -> float:
    """Return how far (mm) along its branch a look has its plane."""
    length = line.length_mm(line.branch(look.branch))
    return length / 2 if look.position_mm is None else min(look.position_mm, length)


def _cut(planes: Planes, look: FlowLook, marks: Marks) -> CrossFlow | None:
    line, neck, crosshair = marks.centerline, marks.neck, marks.crosshair_mm
    if look.cut == "centerline" and line is not None:
        branch = line.branch(look.branch)
        point, along, _ = place_on(line, branch, position_on(line, look))
        return planes.across(point, along)
    if look.cut == "neck" and neck is not None:
        return planes.across(np.array(neck.centre_mm), np.array(neck.normal), neck.points_mm)
    if look.cut == "crosshair" and crosshair is not None:
        return planes.across_the_flow(np.array(crosshair))
    return None


def _lines(
    flow: FlowResult,
    planes: Planes,
    look: FlowLook,
    cut: CrossFlow | None,
    marks: Marks,
    frames: Sequence[int],
    progress: Progress,
) -> dict[int, SurfaceMesh]:
    radius = vessel_radius_mm(flow)
    seeds = np.empty((0, 3))
    if look.seeds == "inlets":
        seeds = inlet_seeds(flow, planes.field, look.count)
    elif look.seeds == "lumen":
        seeds = lumen_seeds(flow, look.count)
    elif look.seeds == "plane" and cut is not None:
        wide = float(np.sqrt(cut.area_mm2 / np.pi))
        seeds = disc_seeds(cut.centre_mm, cut.normal, wide, look.count)
    elif look.seeds == "neck" and marks.neck is not None:
        middle, normal = np.array(marks.neck.centre_mm), np.array(marks.neck.normal)
        wide = float(np.linalg.norm(marks.neck.points_mm - middle, axis=1).mean())
        seeds = disc_seeds(middle, normal, wide, look.count)
    elif look.seeds == "crosshair" and marks.crosshair_mm is not None:
        seeds = ball_seeds(np.array(marks.crosshair_mm), BALL * radius, look.count)
    if not len(seeds):
        return {}
    found, both = {}, look.seeds != "inlets"
    for done, n in enumerate(frames):
        progress(0.1 + 0.9 * done / len(frames), "streamlines")
        lines = streamlines(planes.field, flow.velocity_m_s[n], seeds, upstream=both)
        found[n] = line_tubes(lines, TUBE_SHARE * radius, flow.frame_uid)
    return found


def limits(quantity: str, values: Iterable[Any], look: FlowLook | None = None) -> dict[str, Any]:
    """Return the bar of a quantity over all times: limits of ``look``, else round ones.

    Pressure has no zero of its own, so its bar begins where the values do.
    """
    whole = np.concatenate([np.ravel(array) for array in values] or [np.empty(0)])
    whole = whole[:: 1 + len(whole) // ENOUGH]
    whole = whole[np.isfinite(whole)]
    low, high = proposed_limits(whole)
    if quantity == "pressure_pa" and len(whole):
        first, last = np.percentile(whole, (100 - MOST, MOST))
        step = max(proposed_limits([(last - first) / TICKS])[1], 1e-12)
        low, high = float(np.floor(first / step) * step), float(np.ceil(last / step) * step)
        high = max(high, low + step)
    log = look is not None and look.log and high > 0
    if log and not low > 0:
        low = high / 10**DECADES
    if look is not None:
        asked = (low if look.low is None else look.low, high if look.high is None else look.high)
        if asked[0] < asked[1] and not (log and asked[0] <= 0):
            low, high = asked
    return {"low": low, "high": high, "log": log, "diverging": quantity in DIVERGE}


def items(scene: FlowScene, frame: int, name: str = "flow") -> dict[str, SceneItem]:
    """Return what is shown at one time, for a `workstation.picture.Scene`.

    Other times are there too, not visible, so that what was drawn of them once is kept.
    """
    look, flow = scene.look, scene.flow
    frame = frame % len(flow.times_s)
    shown = {}
    if scene.plane is not None:
        across = replace(scene.bars["plane"], array=at_time(look.across, frame))
        shown[f"{name} plane"] = SceneItem(scene.plane, GLASS, kind="sheet", scalars=across)
    for n, mesh in scene.lines.items():
        if len(mesh.triangles):
            shown[f"{name} lines {n + 1}"] = SceneItem(
                mesh, GLASS, visible=n == frame, kind="mark", scalars=scene.bars["lines"]
            )
    for n, mesh in enumerate(scene.arrows):
        shown[f"{name} arrows {n + 1}"] = SceneItem(
            mesh, ARROW_COLOUR, visible=n == frame, kind="mark"
        )
    colours = scene.bars.get("wall")
    if colours is not None and look.wall in MOVING:
        colours = replace(colours, array=at_time(look.wall, frame))
    opacity = wall_opacity(scene)
    shown[f"{name} wall"] = SceneItem(scene.wall, GLASS, opacity, kind="vessel", scalars=colours)
    return shown


def wall_opacity(scene: FlowScene) -> float:
    """Return how opaque the wall is: as chosen, or so that what is shown inside is seen."""
    if scene.look.opacity is not None:
        return scene.look.opacity
    if not scene.look.wall:
        return GLASS_OPACITY
    return THROUGH_OPACITY if scene.lines or scene.plane is not None else 1.0


def some_speeds(flow: FlowResult) -> npt.NDArray[np.float32]:
    """Return speeds in m/s of cells spread over the lumen, at every time: enough for a bar."""
    step = 1 + flow.velocity_m_s[..., 0].size // ENOUGH
    return np.asarray(np.linalg.norm(flow.velocity_m_s[:, ::step], axis=2))


def peak(flow: FlowResult) -> int:
    """Return the number of the time when most blood flows in."""
    entering = np.sum([np.maximum(f, 0) for f in flow.flows_ml_s.values()], axis=0)
    return int(np.argmax(entering)) if len(flow.flows_ml_s) else 0


KINDS: dict[Kind, FlowLook] = {
    "tawss": FlowLook("tawss_pa"),
    "osi": FlowLook("osi"),
    "rrt": FlowLook("rrt_1_pa"),
    "wss": FlowLook("wss_pa"),
    "pressure": FlowLook("pressure_pa"),
    "streamlines": FlowLook("", seeds="inlets"),
    "section": FlowLook("", cut="crosshair", opacity=THROUGH_OPACITY),
}
"""The pictures of a report."""


def flow_picture(
    flow: FlowResult,
    kind: Kind = "tawss",
    *,
    size: Size = PICTURE_PX,
    frame: int | None = None,
    camera: Camera | Side | None = None,
    limits: tuple[float, float] | None = None,
    point_mm: Vector | None = None,
) -> Picture:
    """Return one picture of a flow, uint8 (height, width, 3), with its colour bar.

    Args:
        flow: a flow that was computed.
        kind: what is shown: a map on the wall, streamlines, or a plane across the vessel.
        size: width and height in pixels.
        frame: number of the time; None takes the one of the largest inflow.
        camera: an eye or a side of the patient; None shows the vessel at its widest.
        limits: of the wall's colour bar, in its unit; None proposes round ones.
        point_mm: where the plane lies (LPS), and the vessel is cut; None takes the sac or the
            middle of the vessel.

    Raises:
        ValueError: if the flow was not computed.
        NoCrossFlow: if the plane misses the lumen.
    """
    look = KINDS[kind]
    if limits is not None:
        look = replace(look, low=limits[0], high=limits[1])
    place = point_mm if point_mm is not None else widest_mm(flow)
    chosen = peak(flow) if frame is None else frame
    scene = prepare(flow, look, marks=Marks(crosshair_mm=place), frames=(chosen,))
    return render_scene(_seen(scene, chosen), camera or best_view(flow, size, scene.cut), size)


def flow_views(
    flow: FlowResult, look: FlowLook, cameras: Sequence[Camera], size: Size = PICTURE_PX
) -> list[Picture]:
    """Return pictures of a flow at the time of the largest inflow, one from each eye.

    Raises:
        ValueError: if the flow was not computed, or the look asks for what there is not.
    """
    frame = peak(flow)
    shown = _seen(prepare(flow, look, frames=(frame,)), frame)
    return [render_scene(shown, camera, size) for camera in cameras]


def parent_shear_pa(numbers: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the mean wall shear of the parent artery that the numbers of a plan tell, if any."""
    told = {
        known: float(number["value"])
        for number in numbers
        for known in (PARENT, DOME, RATIO)
        if number["name"] == known or number["name"].endswith(f".{known}")
    }
    if PARENT in told:
        return told[PARENT]
    ratio = told.get(RATIO, 0.0)
    return told[DOME] / ratio if ratio > 0 and DOME in told else None


def flow_movie(
    flow: FlowResult,
    kind: Kind = "streamlines",
    size: Size = PICTURE_PX,
    progress: Progress = silent,
) -> list[Picture]:
    """Return one picture of a flow for each of its times, all seen by one eye.

    Raises:
        ValueError: if the flow was not computed.
    """
    scene = prepare(flow, KINDS[kind], marks=Marks(crosshair_mm=widest_mm(flow)))
    times = range(len(flow.times_s))
    made: list[Picture] = []
    drawn = (_seen(scene, n) for n in times)
    for picture in render_scenes(drawn, best_view(flow, size, scene.cut), size):
        made.append(picture)
        progress(len(made) / len(times), f"picture {len(made)}")
    return made


def _seen(scene: FlowScene, frame: int) -> dict[str, SceneItem]:
    return {name: item for name, item in items(scene, frame).items() if item.visible}


def widest_mm(flow: FlowResult) -> Vector:
    """Return the cell that lies deepest in the lumen, LPS mm: in the sac, where there is one.

    Raises:
        ValueError: if the flow was not computed.
    """
    if not len(flow.cells_mm):
        raise ValueError(f"the flow {flow.name!r} was not computed; there is nothing to show")
    step = max(len(flow.cells_mm) // 20_000, 1)
    away, _ = cKDTree(flow.wall.points_mm).query(flow.cells_mm[::step])
    return vector(flow.cells_mm[::step][int(np.argmax(away))])


def best_view(flow: FlowResult, size: Size, cut: CrossFlow | None = None) -> Camera:
    """Return an eye that sees the vessel spread out, or looks at a plane at a slant."""
    points = flow.wall.points_mm
    spread = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    towards = spread[2] if spread[2][1] <= 0 else -spread[2]  # from the front if it can be
    if cut is not None:
        side = towards - (towards @ cut.normal) * cut.normal
        towards = unit(unit(side if np.linalg.norm(side) > 1e-3 else spread[0]) + 0.8 * cut.normal)
    up = (0.0, 0.0, 1.0) if abs(towards[2]) < 0.9 else (0.0, -1.0, 0.0)
    return Camera(vector(200 * towards), (0.0, 0.0, 0.0), up).frame(points, size)
