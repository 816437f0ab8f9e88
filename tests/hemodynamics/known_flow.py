"""Flow in a tilted tube as its equations give it, on cells, without a solver."""

import numpy as np
from scipy.spatial.transform import Rotation

from hemodynamics.flow_result import FlowResult
from hemodynamics.indices import osi, rrt_1_pa, tawss_pa
from meshing.centerline import Branch, Centerline, Node
from meshing.mesh import SurfaceMesh

RADIUS_MM, LENGTH_MM = 2.0, 12.0
MEAN_ML_S, VISCOSITY_PA_S = 1.5, 0.0035
TURN = Rotation.from_rotvec([0.5, 0.3, -0.2])
AXIS = TURN.apply([0.0, 0.0, 1.0])
CENTRE_MM = np.array([11.0, -7.0, 5.0])
FRAME = "1.2.826.0.1.3680043.2.1125.9"


def pulses(times):
    """Return what the mean flow is multiplied with at each of the times."""
    return 1 + 0.6 * np.sin(2 * np.pi * np.arange(times) / times) if times > 1 else np.ones(1)


def tube_wall(rings=40, around=48):
    """Return the open wall of the tube, normals outward."""
    turn = np.arange(around) * 2 * np.pi / around
    along = np.linspace(-LENGTH_MM / 2, LENGTH_MM / 2, rings)
    ring = np.stack([RADIUS_MM * np.cos(turn), RADIUS_MM * np.sin(turn)], axis=1)
    points = np.concatenate([np.c_[ring, np.full(around, z)] for z in along])
    a = (np.arange(rings - 1)[:, None] * around + np.arange(around)).ravel()
    b = (np.arange(rings - 1)[:, None] * around + (np.arange(around) + 1) % around).ravel()
    cells = np.concatenate([np.c_[a, b, b + around], np.c_[a, b + around, a + around]])
    return SurfaceMesh(TURN.apply(points) + CENTRE_MM, cells, FRAME, "tube")


def tube_flow(times=1, spacing_mm=0.25):
    """Return Poiseuille's flow, multiplied over time; the outlet lies at the end of `AXIS`."""
    reach = np.arange(-8, 8 + spacing_mm / 2, spacing_mm) + 0.03
    cells = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    along = cells @ AXIS
    away = np.linalg.norm(cells - np.outer(along, AXIS), axis=1)
    kept = (away < RADIUS_MM) & (np.abs(along) < LENGTH_MM / 2)
    cells, along, away = cells[kept], along[kept], away[kept]
    mean = MEAN_ML_S / (np.pi * RADIUS_MM**2)  # m/s
    speed = 2 * mean * (1 - (away / RADIUS_MM) ** 2)
    slope = 8 * VISCOSITY_PA_S * mean / (RADIUS_MM * 1e-3) ** 2 * 1e-3  # Pa/mm
    by = pulses(times)
    wall = tube_wall()
    shear = 4 * VISCOSITY_PA_S * mean / (RADIUS_MM * 1e-3)
    wss = np.tile(shear * AXIS, (times, len(wall.points_mm), 1)) * by[:, None, None]
    data = {"tawss_pa": tawss_pa(wss), "osi": osi(wss), "rrt_1_pa": rrt_1_pa(wss)}
    data["wss_pa"] = wss.mean(axis=0)
    return FlowResult(
        SurfaceMesh(wall.points_mm, wall.triangles, FRAME, "tube", point_data=data),
        cells + CENTRE_MM,
        spacing_mm,
        np.arange(times) * 0.9 / times,
        (by[:, None, None] * speed[:, None] * AXIS).astype(np.float32),
        (by[:, None] * slope * (LENGTH_MM / 2 - along)).astype(np.float32),
        wss.astype(np.float32),
        {"inlet": MEAN_ML_S * by, "outlet_1": -MEAN_ML_S * by},
        {"inlet": slope * LENGTH_MM * by, "outlet_1": np.zeros(times)},
        np.array([0.0]),
        {"kind": "pulsatile" if times > 1 else "steady", "period_s": 0.9},
        FRAME,
        "tube",
    )


def axis_line():
    """Return the centerline of the tube, downstream."""
    points = CENTRE_MM + np.outer(np.linspace(-LENGTH_MM / 2, LENGTH_MM / 2, 41), AXIS)
    ends = [Node(tuple(points[n].tolist()), RADIUS_MM, "open") for n in (0, -1)]
    radius = np.full(len(points), RADIUS_MM)
    return Centerline(
        points, radius, (Branch(0, 41, 0, 1),), tuple(ends), {"inlet": 0, "outlet_1": 1}, FRAME
    )
