"""Flow, pressure and wall shear along each branch of a centerline. LPS mm; units in the names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hemodynamics.cross_flow import NoCrossFlow, Planes
from hemodynamics.flow_result import FlowResult
from hemodynamics.indices import told_osi
from meshing.centerline import Branch, Centerline
from meshing.comparison import point_areas_mm2
from meshing.vessel_sections import place_on
from segmentation.contract import FrameMismatch, Progress, share, silent

Floats = npt.NDArray[np.float64]
Row = dict[str, float | str]

APART = 0.5  # diameters from section to section
CLEAR = 1.0  # radii at either end of a branch where no section is cut
BLOCK = 1000  # points of the wall that are looked at together

SECTION_COLUMNS = (
    "branch", "position_mm", "x_mm", "y_mm", "z_mm", "area_mm2",
    "flow_mean_ml_s", "flow_min_ml_s", "flow_max_ml_s",
    "speed_mean_m_s", "speed_max_m_s",
    "pressure_mean_pa", "pressure_min_pa", "pressure_max_pa",
    "tawss_mean_pa", "tawss_min_pa", "tawss_max_pa", "osi_mean", "osi_max",
)  # fmt: skip
BRANCH_COLUMNS = (
    "branch", "from", "to", "length_mm", "sections", "area_mm2",
    "flow_mean_ml_s", "flow_min_ml_s", "flow_max_ml_s",
    "speed_mean_m_s", "speed_max_m_s",
    "pressure_mean_pa", "pressure_min_pa", "pressure_max_pa", "pressure_drop_pa",
    "wall_area_mm2", "tawss_mean_pa", "tawss_min_pa", "tawss_max_pa", "osi_mean", "osi_max",
)  # fmt: skip


def section_rows(
    flow: FlowResult, centerline: Centerline, progress: Progress = silent
) -> list[Row]:
    """Return the numbers of planes across each branch, half a diameter apart.

    Flow is positive downstream, and its least and most are those over time, as are those of the
    pressure, which is the mean over the plane. The wall shear of a row is that of the wall
    nearest to its place on the branch; planes in a junction or beside a sac are left out.

    Raises:
        FrameMismatch: if flow and centerline live in different frames.
        ValueError: if the flow was not computed.
    """
    _require_frame(flow, centerline)
    planes = Planes(flow)
    owners, alongs = _owners(flow, centerline)
    areas = point_areas_mm2(flow.wall)
    rows: list[Row] = []
    for number, branch in enumerate(centerline.branches, 1):
        part = share(progress, number - 1, len(centerline.branches))
        places = list(_places(centerline, branch))
        for n, (at, step) in enumerate(places):
            part(n / len(places), f"sections of branch {number}")
            point, along, _ = place_on(centerline, branch, at)
            try:
                cut = planes.across(point, along)
            except NoCrossFlow:
                continue
            x, y, z = (float(v) for v in cut.centre_mm)
            near = (owners == number) & (np.abs(alongs - at) <= step / 2)
            rows.append(
                {
                    "branch": str(number), "position_mm": at, "x_mm": x, "y_mm": y, "z_mm": z,
                    "area_mm2": cut.area_mm2,
                    **_of_plane(cut.over_time(flow)), **_of_wall(flow, near, areas),
                }
            )  # fmt: skip
    return rows


def branch_rows(
    flow: FlowResult,
    centerline: Centerline,
    sections: Sequence[Row] | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """Return one row for each branch and sac: its sections together, and its whole wall.

    Areas, flows, speeds and pressures are means over the sections, their least and most those
    over all sections and times; the drop is from the first to the last section. A wall point
    belongs to the branch or sac whose inscribed sphere is nearest.

    Raises:
        FrameMismatch: if flow and centerline live in different frames.
        ValueError: if the flow was not computed.
    """
    _require_frame(flow, centerline)
    known = section_rows(flow, centerline, progress) if sections is None else sections
    owners, _ = _owners(flow, centerline)
    areas = point_areas_mm2(flow.wall)
    names = {node: name for name, node in centerline.ends.items()}
    rows: list[Row] = []
    for number, branch in enumerate(centerline.branches, 1):
        own = [row for row in known if row["branch"] == str(number)]
        row: Row = {
            "branch": str(number),
            "from": names.get(branch.from_node, f"junction {branch.from_node + 1}"),
            "to": names.get(branch.to_node, f"junction {branch.to_node + 1}"),
            "length_mm": centerline.length_mm(branch),
            "sections": float(len(own)),
        }
        rows.append(row | _together(own) | _of_wall(flow, owners == number, areas, whole=True))
    for n, sac in enumerate(centerline.sacs, 1):
        mine = owners == -n
        row = {"branch": f"sac {n}", "length_mm": sac.length_mm}
        rows.append(row | _of_wall(flow, mine, areas, whole=True))
    return rows


def write_rows(
    rows: Sequence[Mapping[str, float | str]], columns: Sequence[str], path: Path
) -> None:
    """Write rows as CSV; what a row lacks stays empty.

    Raises:
        OSError: if the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        for row in rows:
            table.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def _require_frame(flow: FlowResult, centerline: Centerline) -> None:
    if flow.frame_uid != centerline.frame_uid:
        raise FrameMismatch(
            f"the flow lies in frame {flow.frame_uid!r} and the centerline in "
            f"{centerline.frame_uid!r}; make the centerline from the vessel that flows"
        )


def _along(centerline: Centerline, branch: Branch) -> Floats:
    points = centerline.points_mm[branch.points]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _places(centerline: Centerline, branch: Branch) -> Iterator[tuple[float, float]]:
    """Return how far along a branch sections lie, and how far apart, in mm."""
    along = _along(centerline, branch)
    radius = centerline.radius_mm[branch.points]
    apart = 2 * APART * float(np.median(radius))
    low, high = CLEAR * float(radius[0]), along[-1] - CLEAR * float(radius[-1])
    if not low < high:
        low = high = along[-1] / 2
    hidden = np.zeros(len(along), bool)
    for name in ("in_junction", "beside_sac"):
        if name in centerline.point_data:
            hidden |= centerline.point_data[name][branch.points] > 0
    count = max(round((high - low) / apart), 0) + 1
    step = (high - low) / max(count - 1, 1) or apart
    for at in np.linspace(low, high, count).tolist():
        if not hidden[int(np.argmin(np.abs(along - at)))]:
            yield at, step


def _owners(flow: FlowResult, centerline: Centerline) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return, for each point of the wall, its branch (from 1) or sac (-1, -2, ...), and where.

    It is that with the nearest inscribed sphere; where is the distance along the branch in mm.
    """
    centres = [centerline.points_mm, *(np.array([sac.centre_mm]) for sac in centerline.sacs)]
    radii = np.concatenate([centerline.radius_mm, [sac.radius_mm for sac in centerline.sacs]])
    every = np.concatenate(centres)
    numbers = np.concatenate(
        [np.full(b.stop - b.start, n) for n, b in enumerate(centerline.branches, 1)]
        + [np.array([-n]) for n in range(1, len(centerline.sacs) + 1)]
    )
    alongs = np.concatenate(
        [_along(centerline, b) for b in centerline.branches] + [np.zeros(len(centerline.sacs))]
    )
    points = flow.wall.points_mm
    nearest = np.empty(len(points), np.int64)
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        away = np.linalg.norm(block[:, None] - every, axis=2) - radii
        nearest[start : start + BLOCK] = away.argmin(axis=1)
    return np.asarray(numbers[nearest], np.int64), np.asarray(alongs[nearest])


def _of_plane(through: Mapping[str, Floats]) -> Row:
    flows, pressure = through["flow_ml_s"], through["pressure_pa"]
    return {
        "flow_mean_ml_s": float(flows.mean()),
        "flow_min_ml_s": float(flows.min()),
        "flow_max_ml_s": float(flows.max()),
        "speed_mean_m_s": float(through["mean_speed_m_s"].mean()),
        "speed_max_m_s": float(through["maximum_speed_m_s"].max()),
        "pressure_mean_pa": float(pressure.mean()),
        "pressure_min_pa": float(pressure.min()),
        "pressure_max_pa": float(pressure.max()),
    }


def _of_wall(
    flow: FlowResult, mine: npt.NDArray[np.bool_], areas: Floats, whole: bool = False
) -> Row:
    if not (mine & (areas > 0)).any():
        return {}
    shear = flow.wall.point_data["tawss_pa"][mine]
    osi = told_osi(flow.wall.point_data["osi"][mine])
    weights = areas[mine]
    row: Row = {"wall_area_mm2": float(weights.sum())} if whole else {}
    return row | {
        "tawss_mean_pa": float(np.average(shear, weights=weights)),
        "tawss_min_pa": float(shear.min()),
        "tawss_max_pa": float(shear.max()),
        "osi_mean": float(np.average(osi, weights=weights)),
        "osi_max": float(osi.max()),
    }


def _together(sections: Sequence[Row]) -> Row:
    """Return the sections of one branch in one row."""
    if not sections:
        return {}

    def of(name: str) -> Floats:
        return np.array([float(row[name]) for row in sections])

    pressure = of("pressure_mean_pa")
    row: Row = {"pressure_drop_pa": float(pressure[0] - pressure[-1])}
    for name in ("area_mm2", "flow_mean_ml_s", "speed_mean_m_s", "pressure_mean_pa"):
        row[name] = float(of(name).mean())
    for name in ("flow_min_ml_s", "pressure_min_pa"):
        row[name] = float(of(name).min())
    for name in ("flow_max_ml_s", "speed_max_m_s", "pressure_max_pa"):
        row[name] = float(of(name).max())
    return row
