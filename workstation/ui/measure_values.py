"""What a measurement would be with the points where they are now, as its stage makes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meshing.geodesics import Geodesics
from meshing.measuring import mean_edge_mm
from meshing.surface import SurfaceMesh
from segmentation.measured import Measured, length_mm, middle_mm, number_text
from segmentation.volume import LabelMap, Vector, Volume
from workstation.jobs import Job
from workstation.planning.plan import Step
from workstation.stages import STAGES
from workstation.ui.desk import Desk
from workstation.ui.measure_tools import POINT, POINTS, TOOLS


class LiveValues:
    """Computes measurements while a hand moves; keeps what that needs of a surface."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ways: tuple[SurfaceMesh, Geodesics | None] | None = None
        self._edges: tuple[SurfaceMesh, float] | None = None

    def forget(self) -> None:
        """Let go of a case that is left."""
        self._ways = self._edges = None

    def of(self, step: Step, points: Sequence[Vector]) -> Measured | None:
        """Return the result of ``step`` with these points (LPS mm), or the bare line so far."""
        return self.computed(step, points) or self._bare(step, points)

    def computed(self, step: Step, points: Sequence[Vector]) -> Measured | None:
        """Return the result of ``step`` with these points (LPS mm); None if they are too few."""
        stage = STAGES[step.stage]
        values = {argument: self._desk.value(name) for argument, name in step.inputs.items()}
        if any(value is None for value in values.values()):
            return None
        params = dict(step.params)
        if POINT in stage.parameters:
            params[POINT] = points[0]
        else:
            params[POINTS] = tuple(points)
        mesh, place = values.get("mesh"), values.get("place")
        if step.stage == TOOLS["geodesic"].stage and isinstance(mesh, SurfaceMesh):
            return self._way(mesh, points, bool(params.get("closed", False)))
        if isinstance(place, SurfaceMesh) and "uncertainty_mm" in stage.parameters:
            params.setdefault("uncertainty_mm", self._half_edge(place))
        try:
            value = stage.function(**values, **stage.check_params(params))
        except ValueError:
            return None  # not enough points yet
        return value if isinstance(value, Measured) else None

    def prepare(self, step: Step) -> None:
        """Get ready, beside the window, for a step that searches ways on a surface."""
        surface = self._desk.value(step.inputs.get("mesh", ""))
        if step.stage != TOOLS["geodesic"].stage or not isinstance(surface, SurfaceMesh):
            return
        if self._ways is not None and self._ways[0] is surface:
            return
        self._ways = surface, None

        def take(job: Job[Geodesics]) -> None:
            if job.error is not None:
                self._desk.fail(job.error)
            if self._ways is not None and self._ways[0] is surface:
                self._ways = surface, job.result

        job = Job("Prepare the surface", lambda progress: Geodesics(surface))
        self._desk.jobs.start(job, take, light=True)

    def _way(self, mesh: SurfaceMesh, points: Sequence[Vector], closed: bool) -> Measured | None:
        """Return the way on a surface, as good as the corners of its triangles are near."""
        ways = self._ways[1] if self._ways is not None and self._ways[0] is mesh else None
        if ways is None or len(points) < 2:
            return None
        try:
            path = ways.way(np.array(points), closed)
        except ValueError:
            return None
        text = number_text(length_mm(path), "mm")
        return Measured(mesh.frame_uid, (path,), np.array(points), text, middle_mm(path))

    def _half_edge(self, surface: SurfaceMesh) -> float:
        if self._edges is None or self._edges[0] is not surface:
            self._edges = surface, min(mean_edge_mm(surface) / 2, 20.0)
        return self._edges[1]

    def _bare(self, step: Step, points: Sequence[Vector]) -> Measured | None:
        """Return the line through points that make no measurement yet, without a number."""
        value = self._desk.value(next(iter(step.inputs.values())))
        if value is None:
            return None
        on_grid = isinstance(value, Volume | LabelMap)
        frame = value.geometry.frame_uid if on_grid else value.frame_uid
        line = np.array(points)
        return Measured(frame, (line,), line, "", points[-1])
