"""What of a flow can be drawn, as surfaces with numbers on their points. LPS mm.

Numbers that change over the cycle lie in one array for each time, named by `at_time`, so that
another time is another array of the same surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from hemodynamics.cross_flow import CrossFlow
from hemodynamics.flow_result import FlowResult
from hemodynamics.streamlines import Streamline
from meshing.surface import SurfaceMesh, area_mm2
from segmentation.volume import ImageGeometry, Volume

Floats = npt.NDArray[np.float64]
WallQuantity = Literal["tawss_pa", "tawss_share", "osi", "rrt_1_pa", "wss_pa", "pressure_pa"]
PlaneQuantity = Literal["speed_m_s", "through_m_s", "pressure_pa"]

MOVING: tuple[WallQuantity, ...] = ("wss_pa", "pressure_pa")
"""What of a wall changes over the cycle."""

OF_A_CYCLE: tuple[WallQuantity, ...] = ("osi", "rrt_1_pa", "wss_pa")
"""What of a wall says nothing, or nothing new, where flow is steady."""

TITLES: dict[str, tuple[str, str]] = {
    "tawss_pa": ("Mean wall shear", "Pa"),
    "tawss_share": ("Relative shear", "of the parent's"),
    "osi": ("OSI", ""),
    "rrt_1_pa": ("Residence time", "1/Pa"),
    "wss_pa": ("Wall shear", "Pa"),
    "pressure_pa": ("Pressure", "Pa"),
    "speed_m_s": ("Speed", "m/s"),
    "through_m_s": ("Speed through", "m/s"),
}
"""Title and unit of each quantity."""

QUANTITIES = get_args(WallQuantity)

TUBE_SIDES = 4
TUBE_SHARE = 0.024  # radius of a streamline's tube, of that of the vessel
THIN = 3  # every so many points of a streamline are drawn
ARROWS_ACROSS = 12  # arrows along the longer side of a plane
# An arrow one long: shaft and head as points (along, aside) and triangles.
ARROW = np.array(
    [(0, -0.06), (0.62, -0.06), (0.62, 0.06), (0, 0.06), (0.58, -0.2), (1, 0), (0.58, 0.2)]
)
ARROW_CELLS = np.array([(0, 1, 2), (0, 2, 3), (4, 5, 6)])


def at_time(quantity: str, frame: int) -> str:
    """Return the name of the array that holds a quantity at one time."""
    return f"{quantity} {frame}"


def wall(flow: FlowResult, quantity: WallQuantity, parent_pa: float | None = None) -> SurfaceMesh:
    """Return the wall with one quantity on it, at every time if it changes over the cycle.

    ``parent_pa`` is the mean shear of the parent artery, which "tawss_share" is measured by.

    Raises:
        ValueError: if there is no such quantity, or nothing to measure it by.
    """
    still = flow.wall.point_data
    if quantity == "wss_pa":
        size = np.linalg.norm(flow.wss_pa, axis=2)
        arrays = {at_time(quantity, n): values for n, values in enumerate(size)}
    elif quantity == "pressure_pa":
        beside = _cells_beside(flow)
        arrays = {at_time(quantity, n): p[beside] for n, p in enumerate(flow.pressure_pa)}
    elif quantity == "tawss_share":
        if not parent_pa or not parent_pa > 0:
            raise ValueError("the mean wall shear of the parent artery is not known")
        arrays = {quantity: still["tawss_pa"] / parent_pa}
    elif quantity in still:
        values = still[quantity]
        arrays = {quantity: np.where(np.isfinite(values), values, np.nan)}
    else:
        raise ValueError(f"the wall of {flow.name!r} has no {quantity}")
    shown = {name: np.asarray(values, np.float64) for name, values in arrays.items()}
    mesh = flow.wall
    return SurfaceMesh(
        mesh.points_mm, mesh.triangles, mesh.frame_uid, mesh.name, mesh.colour, shown
    )


def _cells_beside(flow: FlowResult) -> npt.NDArray[np.int64]:
    """Return the cell nearest to each point of the wall."""
    return np.asarray(cKDTree(flow.cells_mm).query(flow.wall.points_mm)[1], np.int64)


def speed_volume(flow: FlowResult, frame: int) -> Volume:
    """Return the speed in m/s at one time as an image of the cells, nan outside the lumen."""
    low = flow.cells_mm.min(axis=0)
    place = np.rint((flow.cells_mm - low) / flow.spacing_mm).astype(np.int64)
    across, down, deep = (int(n) for n in place.max(axis=0) + 1)
    array = np.full((deep, down, across), np.nan, np.float32)
    array[tuple(place[:, ::-1].T)] = np.linalg.norm(flow.velocity_m_s[frame], axis=1)
    x, y, z = (float(v) for v in low)
    step = float(flow.spacing_mm)
    axes = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    geometry = ImageGeometry(
        (across, down, deep), (step, step, step), (x, y, z), axes, flow.frame_uid
    )
    return Volume(array, geometry, "speed in m/s")


def vessel_radius_mm(flow: FlowResult) -> float:
    """Return the radius of the tube that has the lumen's volume and wall."""
    volume = len(flow.cells_mm) * flow.spacing_mm**3
    return 2 * volume / max(area_mm2(flow.wall), 1e-9)


def line_tubes(lines: Sequence[Streamline], radius_mm: float, frame_uid: str) -> SurfaceMesh:
    """Return streamlines as thin tubes with speed_m_s on their points."""
    thin = [(line.points_mm[::THIN], line.speed_m_s[::THIN]) for line in lines]
    thin = [(points, speed) for points, speed in thin if len(points) > 1]
    if not thin:
        return SurfaceMesh(np.empty((0, 3)), np.empty((0, 3), np.int64), frame_uid, "streamlines")
    rings = _rings([points for points, _ in thin], radius_mm)
    numbers, first = [], 0
    for points, _ in thin:
        ring = first + TUBE_SIDES * np.arange(len(points) - 1)[:, None] + np.arange(TUBE_SIDES)
        after = ring - np.arange(TUBE_SIDES) + (np.arange(TUBE_SIDES) + 1) % TUBE_SIDES
        numbers.append(np.stack([ring, after, after + TUBE_SIDES], -1).reshape(-1, 3))
        numbers.append(np.stack([ring, after + TUBE_SIDES, ring + TUBE_SIDES], -1).reshape(-1, 3))
        first += TUBE_SIDES * len(points)
    speed = np.repeat(np.concatenate([speed for _, speed in thin]), TUBE_SIDES)
    return SurfaceMesh(
        rings, np.concatenate(numbers), frame_uid, "streamlines",
        point_data={"speed_m_s": speed.astype(np.float64)},
    )  # fmt: skip


def _rings(lines: Sequence[Floats], radius_mm: float) -> Floats:
    """Return the points around all lines, ring by ring; rings are carried along without twist."""
    longest = max(len(line) for line in lines)
    padded = np.stack([np.pad(p, ((0, longest - len(p)), (0, 0)), "edge") for p in lines])
    turn = np.linspace(0, 2 * np.pi, TUBE_SIDES, endpoint=False)[:, None, None]
    side, rings = np.ones((len(lines), 3)) / np.sqrt(3), []
    for n in range(longest):
        way = padded[:, min(n + 1, longest - 1)] - padded[:, max(n - 1, 0)]
        way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
        across = side - (side * way).sum(axis=1, keepdims=True) * way
        length = np.linalg.norm(across, axis=1, keepdims=True)
        other = np.cross(way, np.eye(3)[np.argmin(np.abs(way), axis=1)])
        side = np.where(length > 1e-3, across, other)
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
        ring = np.cos(turn) * side + np.sin(turn) * np.cross(way, side)
        rings.append(padded[:, n] + radius_mm * ring)
    stacked = np.stack(rings).transpose(2, 0, 1, 3)  # lines, points, sides, xyz
    return np.concatenate([ring[: len(line)].reshape(-1, 3) for ring, line in zip(stacked, lines)])


def plane(flow: FlowResult, cut: CrossFlow, quantity: PlaneQuantity) -> SurfaceMesh:
    """Return a plane across the vessel with one quantity on it at every time."""
    arrays = {}
    for n, (velocity, pressure) in enumerate(zip(flow.velocity_m_s, flow.pressure_pa)):
        values: npt.NDArray[np.floating]
        if quantity == "pressure_pa":
            values = cut.places.nearby(pressure)
        elif quantity == "through_m_s":
            values = cut.places.of(velocity) @ cut.normal
        else:
            values = cut.speeds_m_s(velocity)
        arrays[at_time(quantity, n)] = np.asarray(values, np.float64)
    mesh = cut.surface
    return SurfaceMesh(mesh.points_mm, mesh.triangles, mesh.frame_uid, mesh.name, point_data=arrays)


def arrows(flow: FlowResult, cut: CrossFlow) -> list[SurfaceMesh]:
    """Return, for each time, flat arrows on both sides of a plane: the velocity within it.

    The longest arrow over all times spans the distance between two.
    """
    spots, apart = _spread(cut)
    places = cut.places
    tails = cut.surface.points_mm[spots]
    moving = [places.of(v)[spots].astype(np.float64) for v in flow.velocity_m_s]
    within = [v - np.outer(v @ cut.normal, cut.normal) for v in moving]
    fastest = max(float(np.linalg.norm(v, axis=1).max(initial=0.0)) for v in within)
    lift = 0.1 * flow.spacing_mm * cut.normal
    found = []
    for v in within:
        arms = 1.5 * apart * v / max(fastest, 1e-12)
        aside = np.cross(cut.normal, arms)
        along, across = ARROW[:, 0, None], ARROW[:, 1, None]
        corners = tails[:, None] + along * arms[:, None] + across * aside[:, None]
        both = np.concatenate([corners + lift, corners - lift])
        cells = 7 * np.arange(len(both))[:, None, None] + ARROW_CELLS
        found.append(
            SurfaceMesh(both.reshape(-1, 3), cells.reshape(-1, 3), flow.frame_uid, "arrows")
        )
    return found


def _spread(cut: CrossFlow) -> tuple[npt.NDArray[np.int64], float]:
    """Return points of a plane about evenly apart, and how far in mm."""
    points = cut.surface.points_mm - cut.centre_mm
    u = np.cross(cut.normal, np.eye(3)[int(np.argmin(np.abs(cut.normal)))])
    u /= np.linalg.norm(u)
    flat = np.stack([points @ u, points @ np.cross(cut.normal, u)], axis=1)
    if not len(flat):
        return np.empty(0, np.int64), 1.0
    apart = max(float(np.ptp(flat, axis=0).max()) / ARROWS_ACROSS, 1e-6)
    cell = np.rint(flat / apart).astype(np.int64)
    order = np.argsort(((flat - cell * apart) ** 2).sum(axis=1), kind="stable")
    _, first = np.unique(cell[order], axis=0, return_index=True)
    return np.asarray(np.sort(order[first])), apart
