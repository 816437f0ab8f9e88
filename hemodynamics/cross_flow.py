"""Flow, speed and pressure on a plane across a vessel. LPS mm, mL/s, m/s, Pa."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation
from scipy.ndimage import label as connected
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkFiltersCore import vtkClipPolyData

from hemodynamics.field import Field, Places
from hemodynamics.flow_result import FlowResult
from meshing.comparison import point_areas_mm2
from meshing.nearest import NearestOnSurface
from meshing.sections import in_plane
from meshing.surface import SurfaceMesh, from_vtk, to_vtk

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

FINE = 0.5  # of a cell between the points of a plane
FIRST_REACH = 8.0  # cells that are looked at first on either side
TURNS = 4  # times that a plane is turned across the flow through it


class NoCrossFlow(ValueError):
    """A plane does not cut the lumen where it was asked to; the text says what to do."""


@dataclass(frozen=True, eq=False)
class CrossFlow:
    """One plane across the lumen: the part around a point, up to the wall.

    Attributes:
        centre_mm: the middle of the part, LPS.
        normal: unit vector across it.
        surface: the part as triangles.
        places: where its points lie among the cells.
        nodes, node_mm2: points of the plane that catch all flow through the part, and the area
            each stands for. They reach a cell beyond the wall, to which velocity falls off
            between cells, so that no flow is lost.
    """

    centre_mm: Floats
    normal: Floats
    surface: SurfaceMesh
    places: Places
    nodes: Places
    node_mm2: float

    @property
    def area_mm2(self) -> float:
        """The area up to the wall."""
        return float(point_areas_mm2(self.surface).sum())

    def flow_ml_s(self, velocity_m_s: Singles) -> float:
        """Return the flow of one moment through the plane, along its normal positive."""
        return float((self.nodes.of(velocity_m_s) @ self.normal).sum(dtype=np.float64)) * (
            self.node_mm2
        )

    def forward_ml_s(self, velocity_m_s: Singles) -> float:
        """Return what flows along the normal; what flows back elsewhere is not taken off."""
        through = self.nodes.of(velocity_m_s) @ self.normal
        return float(np.maximum(through, 0).sum(dtype=np.float64)) * self.node_mm2

    def speeds_m_s(self, velocity_m_s: Singles) -> Singles:
        """Return the speed of one moment at the points of the surface."""
        return np.asarray(np.linalg.norm(self.places.of(velocity_m_s), axis=1))

    def mean_pressure_pa(self, pressure_pa: Singles) -> float:
        """Return the pressure of one moment, mean over the area."""
        found, areas = self.places.nearby(pressure_pa), point_areas_mm2(self.surface)
        known = np.isfinite(found)
        return float(np.average(found[known], weights=np.maximum(areas[known], 1e-12)))

    def over_time(self, flow: FlowResult) -> dict[str, Floats]:
        """Return what a reader asks of the plane, one value for each time, units in the names.

        The mean speed is the flow by the area.
        """
        flows = np.array([self.flow_ml_s(velocity) for velocity in flow.velocity_m_s])
        speeds = (self.speeds_m_s(velocity) for velocity in flow.velocity_m_s)
        pressures = (self.mean_pressure_pa(pressure) for pressure in flow.pressure_pa)
        return {
            "flow_ml_s": flows,
            "forward_ml_s": np.array([self.forward_ml_s(v) for v in flow.velocity_m_s]),
            "mean_speed_m_s": flows / self.area_mm2,
            "maximum_speed_m_s": np.array([float(speed.max()) for speed in speeds]),
            "pressure_pa": np.array(list(pressures)),
        }


class Planes:
    """Cuts the lumen of one flow by planes, again and again."""

    def __init__(self, flow: FlowResult) -> None:
        self.field = Field(flow)
        self._flow = flow
        self._wall = NearestOnSurface(flow.wall)
        self._mean = flow.velocity_m_s.mean(axis=0)

    def across(
        self, point_mm: Floats, normal: Floats, within_mm: Floats | None = None
    ) -> CrossFlow:
        """Return the part of the plane around a point, or around the nearest lumen on it.

        ``within_mm`` (n, 3) is a closed curve about the point that the part ends at, such as
        the neck of a sac beside a vessel that the plane cuts too.

        Raises:
            NoCrossFlow: if the plane meets no lumen near the point.
        """
        normal = np.asarray(normal, float) / np.linalg.norm(normal)
        point = np.asarray(point_mm, float)
        u, v = in_plane(normal)
        fine = FINE * self.field.spacing_mm
        reach, most = FIRST_REACH / FINE, np.ptp(self.field.box_mm, axis=0).max() / fine
        while True:
            half = int(reach)
            steps = fine * np.arange(-half, half + 1)
            grid = point + steps[:, None, None] * u + steps[None, :, None] * v
            places = self.field.at(grid.reshape(-1, 3))
            allowed = _inside_curve(grid, point, u, v, within_mm)
            inside = (places.inside > 0.5).reshape(grid.shape[:2]) & allowed
            part, whole = _part_around(inside)
            if whole or reach > most:
                break
            reach *= 2
        if part is None:
            x, y, z = point
            raise NoCrossFlow(f"no lumen near ({x:.1f}, {y:.1f}, {z:.1f}) mm; put it in a vessel")
        others = (inside & ~part) | ~allowed
        caught = (binary_dilation(part, iterations=3) & ~others).ravel()
        nodes = Places(places.cells[caught], places.shares[caught])
        surface = self._up_to_the_wall(grid, binary_dilation(part, iterations=2) & ~others)
        if not len(surface.triangles):
            raise NoCrossFlow("the plane meets the lumen outside its wall; move it")
        centre = grid[part].mean(axis=0)
        return CrossFlow(
            centre, normal, surface, self.field.at(surface.points_mm), nodes, fine * fine
        )

    def across_the_flow(self, point_mm: Floats) -> CrossFlow:
        """Return the part around a point, turned so that the mean flow crosses it squarely.

        Raises:
            NoCrossFlow: if there is no lumen near the point, or blood stands still there.
        """
        point = np.asarray(point_mm, float)
        away = np.linalg.norm(self._flow.cells_mm - point, axis=1)
        near = away <= max(float(away.min()), 2 * self.field.spacing_mm)
        normal = self._mean[near].mean(axis=0).astype(np.float64)
        start = self._flow.cells_mm[int(away.argmin())]
        for _ in range(TURNS):
            if not np.linalg.norm(normal) > 1e-9:
                raise NoCrossFlow("blood stands still here, so nothing says how to cut; turn it")
            cut = self.across(start, normal)
            normal = cut.nodes.of(self._mean).sum(axis=0, dtype=np.float64)
        return cut

    def _up_to_the_wall(self, grid: Floats, kept: Bools) -> SurfaceMesh:
        """Return the triangles of a grid of points (a, b, 3), cut off where the wall is."""
        number = np.arange(kept.size).reshape(kept.shape)
        square = kept[:-1, :-1] & kept[1:, :-1] & kept[1:, 1:] & kept[:-1, 1:]
        a, b, c, d = (
            number[i : i + square.shape[0], j : j + square.shape[1]][square]
            for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))
        )
        triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
        used, numbered = np.unique(triangles, return_inverse=True)
        points = grid.reshape(-1, 3)[used]
        frame = self._flow.frame_uid
        poly = to_vtk(SurfaceMesh(points, numbered.reshape(-1, 3), frame))
        outside = numpy_to_vtk(self._wall.signed_mm(points), deep=True)
        outside.SetName("outside_mm")
        poly.GetPointData().SetScalars(outside)
        clip = vtkClipPolyData()
        clip.SetInputData(poly)
        clip.InsideOutOn()
        clip.SetValue(0.0)
        clip.Update()
        cut = from_vtk(clip.GetOutput(), frame_uid=frame, name="cut plane")
        return cut.reshaped(cut.points_mm, cut.triangles)


def _part_around(inside: Bools) -> tuple[Bools | None, bool]:
    """Return the connected part nearest to the middle of a grid, and whether it ends in it."""
    if not inside.any():
        return None, False
    parts, _ = connected(inside)
    rows, columns = np.nonzero(inside)
    middle = (np.array(inside.shape) - 1) / 2
    nearest = int(np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2))
    part = parts == parts[rows[nearest], columns[nearest]]
    edge = part[0].any() or part[-1].any() or part[:, 0].any() or part[:, -1].any()
    return part, not edge


def _inside_curve(
    grid: Floats, point: Floats, u: Floats, v: Floats, curve_mm: Floats | None
) -> Bools:
    """Return which points of a grid (a, b, 3) a closed curve surrounds, seen across the plane."""
    if curve_mm is None:
        return np.ones(grid.shape[:2], bool)
    x, y = (grid - point) @ u, (grid - point) @ v
    corners = np.stack([(curve_mm - point) @ u, (curve_mm - point) @ v], axis=1)
    found = np.zeros(grid.shape[:2], bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0)):
        between = (ay > y) != (by > y)
        if ay != by:
            found ^= between & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return found
