"""Flow in the 3D view: what of it is shown, at which time, and how it is played.

It is view state, which no undo takes back. What is shown is prepared beside the window, for all
times at once; playing then only turns pages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer

from hemodynamics.cross_flow import NoCrossFlow, Planes
from hemodynamics.flow_result import FlowResult
from meshing.aneurysm_neck import Neck
from meshing.centerline import Centerline
from meshing.surface import SurfaceMesh
from segmentation.contract import Progress
from segmentation.volume import Vector
from workstation.flow_pictures import (
    FlowLook,
    FlowScene,
    Marks,
    items,
    limits,
    parent_shear_pa,
    peak,
    prepare,
    some_speeds,
)
from workstation.flow_surfaces import OF_A_CYCLE, speed_volume
from workstation.fusion import Layer
from workstation.jobs import Job
from workstation.ui.desk import Desk
from workstation.ui.four_up import FADED, FourUp
from workstation.ui.guard import guarded

CYCLE_MS = 3000  # in which a cycle is played
LEAST_MS = 40  # between two pictures
SPEED_OPACITY = 0.75
PAUSE_MS = 120  # that a crosshair rests before a plane follows it


class FlowShow(QObject):
    """Shows one flow of the plan in the 3D view; ``changed`` is called when that is another."""

    def __init__(self, desk: Desk, views: FourUp) -> None:
        super().__init__(views)
        self._desk, self._views = desk, views
        self.look = FlowLook()
        self.in_slices = False
        self.name = ""
        self.frame = 0
        self.problem = ""
        self.shown: FlowScene | None = None
        self.changed: list[Callable[[], None]] = []
        self._wanted = ""
        self._flow: FlowResult | None = None
        self._planes: Planes | None = None
        self._asked: tuple[Any, ...] = ()
        self._whole = True  # whether streamlines are there for all times
        self._job: Job[Any] | None = None
        self._speeds: tuple[FlowResult, tuple[float, float]] | None = None
        self._layer: tuple[FlowResult, int, Layer] | None = None
        self._clock = QTimer(self)
        self._clock.timeout.connect(self._turn)
        self._rest = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._rest.timeout.connect(self.refresh)
        views.scene.crosshair_requested.connect(lambda _: self._rest.start())
        for view in views.slices.values():
            view.crosshair_moved.connect(lambda _: self._rest.start())
        desk.left.connect(self._forget)
        desk.bindings.add(self.refresh)

    # What there is -------------------------------------------------------------------

    @property
    def flow(self) -> FlowResult | None:
        """The flow that is shown, or None."""
        return self._flow

    def centerline(self) -> Centerline | None:
        """Return the centerline of the plan that lies in the frame of the flow, if any."""
        found = self._desk.results().values() if self._flow is not None else ()
        lines = [v for v in found if isinstance(v, Centerline) and len(v.branches)]
        return next((x for x in lines if self._flow and x.frame_uid == self._flow.frame_uid), None)

    def neck(self) -> Neck | None:
        """Return the neck of an aneurysm in the frame of the flow, if the plan has one."""
        found = self._desk.results().values() if self._flow is not None else ()
        necks = (v for v in found if isinstance(v, Neck))
        return next((x for x in necks if self._flow and x.frame_uid == self._flow.frame_uid), None)

    def parent_pa(self) -> float | None:
        """Return the mean wall shear of the parent artery that the plan knows, if it does."""
        session = self._desk.session
        return parent_shear_pa(session.summary()["numbers"] if session.case is not None else ())

    def _others(self) -> tuple[FlowResult, ...]:
        """Return the other flows of the plan, which it may be compared with."""
        return tuple(flow for flow in self._desk.flows().values() if flow is not self._flow)

    @property
    def crosshair_mm(self) -> Vector | None:
        """Where the crosshair is, LPS mm."""
        return self._desk.session.view.crosshair_mm

    # What a person asks --------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Show another flow of the plan."""
        self._wanted = name
        self.refresh()

    def set_look(self, **changes: Any) -> None:
        """Change what is shown of the flow."""
        look = replace(self.look, **changes)
        if look != self.look:
            self.look = look
            self.refresh()

    def show_in_slices(self, on: bool) -> None:
        """Show the speed over the slices of the image, or not."""
        self.in_slices = on
        self._draw()
        self._tell()

    def lacks_image(self) -> str:
        """Return what speed over slices needs, "" when it can be shown."""
        flow, image = self._flow, self._desk.image()
        if flow is not None and image is not None and flow.frame_uid == image.geometry.frame_uid:
            return ""
        return "an image in the frame of the flow"

    def speed_limits(self) -> tuple[float, float]:
        """Return the ends of the colours of a speed, in m/s."""
        flow = self._flow
        if flow is None:
            return 0.0, 1.0
        if self._speeds is None or self._speeds[0] is not flow:
            bar = limits("speed_m_s", [some_speeds(one) for one in (flow, *self._others())])
            self._speeds = flow, (bar["low"], bar["high"])
        return self._speeds[1]

    def set_frame(self, frame: int) -> None:
        """Show another time."""
        if self._flow is not None:
            self.frame = frame % len(self._flow.times_s)
            self._draw()
            self._tell()

    @property
    def playing(self) -> bool:
        """Whether times follow each other by themselves."""
        return self._clock.isActive()

    def play(self, on: bool) -> None:
        """Play the cycle again and again, or stop."""
        on = on and self._flow is not None and len(self._flow.times_s) > 1
        if on and self._flow is not None:
            self._clock.start(max(CYCLE_MS // len(self._flow.times_s), LEAST_MS))
        else:
            self._clock.stop()
        self._views.scene.set_playing(on)
        self._tell()

    def lacks(self) -> str:
        """Return what playing needs, "" when it can begin."""
        if self._flow is None:
            return "a computed flow"
        return "" if len(self._flow.times_s) > 1 else "a flow that pulsates"

    # Shown ---------------------------------------------------------------------------

    @guarded
    def refresh(self) -> None:
        """Show the flow of the plan that is switched on, as it stands."""
        desk = self._desk
        flows = {n: f for n, f in desk.flows().items() if desk.is_shown(n)}
        name = self._wanted if self._wanted in flows else next(iter(flows), "")
        flow = flows.get(name)
        if flow is not self._flow:
            self._stop_work()
            self.frame = peak(flow) if flow is not None else 0
            self._flow, self._planes, self._asked = flow, None, ()
            self.shown, self._whole = None, True
            if flow is None:
                self.play(False)
        self.name = name
        if flow is not None:
            self._prepare(flow)
        self._draw()
        self._tell()

    def _prepare(self, flow: FlowResult) -> None:
        look = self.look
        if len(flow.times_s) < 2 and look.wall in OF_A_CYCLE:
            look = replace(look, wall="tawss_pa")
        if look.wall == "tawss_share":
            look = replace(look, parent_pa=self.parent_pa())
            look = look if look.parent_pa else replace(look, wall="tawss_pa")
        line = self.centerline()
        if line is None and look.cut == "centerline":
            look = replace(look, cut="off")
        near = "crosshair" in (look.cut, look.seeds)
        place = self.crosshair_mm if near else None
        marks = Marks(line if look.cut == "centerline" else None, self.neck(), place)
        others = self._others()
        asked = (flow, look, marks, others)
        if self._job is not None or (asked == self._asked and self._whole):
            return  # work that runs ends first, and then the newest wish is looked at
        first = asked != self._asked and look.seeds != "off" and len(flow.times_s) > 1
        self._asked, self._whole = asked, not first
        frames = (self.frame,) if first else None  # the time that is shown now comes first
        planes, before = self._planes, self.shown

        def work(progress: Progress) -> tuple[Planes, FlowScene, str]:
            made = planes or Planes(flow)

            def scene(look: FlowLook) -> FlowScene:
                return prepare(
                    flow, look, planes=made, marks=marks, before=before, frames=frames,
                    compared=others, progress=progress,
                )  # fmt: skip

            try:
                return made, scene(look), ""
            except NoCrossFlow as beside:  # all else is shown as it is asked for
                seeds = "off" if look.seeds == "plane" else look.seeds
                return made, scene(replace(look, cut="off", seeds=seeds)), str(beside)

        self._job = Job("Prepare the flow", work)
        self._desk.jobs.start(self._job, self._take, light=True)

    def _take(self, job: Job[Any]) -> None:
        if self._job is not job:
            return
        self._job = None
        if isinstance(job.error, ValueError):  # the look asks for what this flow has not
            self.problem, self._whole = str(job.error), True
        elif job.error is not None:
            self._whole = True
            self._desk.fail(job.error)
        elif job.result is not None:
            self._planes, self.shown, self.problem = job.result
        self.refresh()

    def _draw(self) -> None:
        if self._flow is None or self.shown is None:
            self._views.show_flow({}, frozenset())
            self._views.show_speed(None)
            return
        drawn = items(self.shown, self.frame, self.name)
        if not self._desk.is_current(self.name):
            drawn = {n: replace(item, opacity=FADED * item.opacity) for n, item in drawn.items()}
        self._views.show_flow(drawn, self._doubled())
        self._views.show_speed(self._slice_layer(self._flow))

    def _slice_layer(self, flow: FlowResult) -> Layer | None:
        """Return the speed of the time that is shown as a layer over slices."""
        if not self.in_slices or self.lacks_image():
            return None
        if self._layer is None or self._layer[0] is not flow or self._layer[1] != self.frame:
            low, high = self.speed_limits()
            window = (high - low, (high + low) / 2)
            speed = Layer(speed_volume(flow, self.frame), "map", window, SPEED_OPACITY)
            self._layer = flow, self.frame, speed
        return self._layer[2]

    def _doubled(self) -> frozenset[str]:
        """Return the names of surfaces that the flow's wall shows already.

        These are those it was made from, and what was made from them, such as a dome.
        """
        plan, results = self._desk.session.plan, self._desk.results()
        steps = plan.steps if plan is not None else ()
        found = {self.name}
        for step in reversed(steps):
            if step.output in found:
                found |= set(step.inputs.values())
        found = {name for name in found if isinstance(results.get(name), SurfaceMesh)}
        for step in steps:
            if found & set(step.inputs.values()):
                found.add(step.output)
        return frozenset(found)

    @guarded
    def _turn(self) -> None:
        """Show the next time, unless the last one is still being drawn."""
        if not self._views.scene.painter.busy and self._job is None:
            self.set_frame(self.frame + 1)

    def _tell(self) -> None:
        for listener in tuple(self.changed):
            listener()

    # Numbers -------------------------------------------------------------------------

    def at_crosshair(self) -> dict[str, float]:
        """Return speed, pressure and wall shear where the crosshair is, units in the names.

        Nothing is told where the crosshair lies outside the vessel, and of the wall only beside
        it.
        """
        flow, place = self._flow, self.crosshair_mm
        if flow is None or place is None or self._planes is None:
            return {}
        spot = np.array(place)
        found: dict[str, float] = {}
        places = self._planes.field.at(spot[None])
        if float(places.inside[0]) > 0.5:
            velocity = places.of(flow.velocity_m_s[self.frame])[0]
            found["speed_m_s"] = float(np.linalg.norm(velocity))
            found["pressure_pa"] = float(places.nearby(flow.pressure_pa[self.frame])[0])
        away = np.linalg.norm(flow.wall.points_mm - spot, axis=1)
        nearest = int(np.argmin(away))
        if away[nearest] < 3 * flow.spacing_mm:
            found["wss_pa"] = float(np.linalg.norm(flow.wss_pa[self.frame, nearest]))
            beats = len(flow.times_s) > 1
            for name in ("tawss_pa", "osi", "rrt_1_pa") if beats else ():
                value = float(flow.wall.point_data[name][nearest])
                if np.isfinite(value):
                    found[name] = value
        return found

    # End -----------------------------------------------------------------------------

    def _stop_work(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _forget(self) -> None:
        self._stop_work()
        self._clock.stop()
        self._rest.stop()
        self._views.scene.set_playing(False)
        self.look, self.name, self.problem, self.frame = FlowLook(), "", "", 0
        self.in_slices, self._speeds, self._layer = False, None, None
        self._wanted, self._flow, self._planes, self._asked = "", None, None, ()
        self.shown = None
        self._tell()
