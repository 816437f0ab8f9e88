"""The neck of an aneurysm: a closed curve on the wall, its plane, and how wide it is.

Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from meshing.aneurysm_crossing import Fill
from meshing.curves import resampled
from meshing.sections import Section, measures
from segmentation.contract import Finding, Number
from segmentation.measured import Measured, number_text

Floats = npt.NDArray[np.float64]
Vector = tuple[float, float, float]
Arrays = dict[str, npt.NDArray[Any]]

FINE = 200  # places at equal distances along the curve, for its plane and its width


class NoNeck(ValueError):
    """No sac can be told apart from its vessel; the text says why and what to do."""


@dataclass(frozen=True, eq=False)
class Neck:
    """Where the sac of an aneurysm opens into its vessel.

    Attributes:
        points_mm: float64 (n, 3), the closed curve on the surface, LPS mm; the first point is
            not repeated.
        centre_mm: the centroid of the area that the curve encloses in its plane.
        normal: unit normal of the plane that fits the curve best, pointing into the dome.
        inside_mm: a point on the wall of the dome.
        frame_uid: the DICOM frame of reference.
        vessel_mm: float64 (m, 3), points along the middle of the parent vessel and its branches
            as they would run without the sac.
        vessel_radius_mm: float64 (m,), the radius of the vessel there.
        unfilled_mm: float64 (k, 3), the curve moved to where it would run had nothing filled the
            crease; it is what is measured. Empty where it was drawn by hand: the curve itself.
        fill: what filled it, None where the curve was drawn.
    """

    points_mm: Floats
    centre_mm: Vector
    normal: Vector
    inside_mm: Vector
    frame_uid: str
    vessel_mm: Floats
    vessel_radius_mm: Floats
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()
    unfilled_mm: Floats = field(default_factory=lambda: np.empty((0, 3)))
    fill: Fill | None = None

    def __post_init__(self) -> None:
        arrays = {
            "points_mm": np.array(self.points_mm, np.float64).reshape(-1, 3),
            "vessel_mm": np.array(self.vessel_mm, np.float64).reshape(-1, 3),
            "vessel_radius_mm": np.array(self.vessel_radius_mm, np.float64).ravel(),
            "unfilled_mm": np.array(self.unfilled_mm, np.float64).reshape(-1, 3),
        }
        if len(arrays["points_mm"]) < 3:
            raise ValueError("a neck needs three or more points")
        if len(arrays["vessel_mm"]) != len(arrays["vessel_radius_mm"]):
            raise ValueError("the vessel of a neck needs one radius for each point")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError("a neck has a point that is not finite")
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def section(self) -> Section:
        """The curve, laid into its plane."""
        return _flat(self.points_mm, np.array(self.centre_mm), np.array(self.normal))

    @property
    def width_mm(self) -> float:
        """The mean diameter: mean over all directions of the distance of parallel tangents."""
        return float(measures(self._measured)[5])

    @property
    def on_wall_mm(self) -> float:
        """The mean diameter of the curve as it lies on the wall, filled as its crease is."""
        return float(measures(self.section)[5])

    @property
    def width_maximum_mm(self) -> float:
        """The largest distance of parallel tangents."""
        return float(measures(self._measured)[4])

    @property
    def area_mm2(self) -> float:
        """The area that the neck encloses in its plane."""
        return self._measured.area_mm2

    @property
    def base_mm(self) -> Floats:
        """The centroid of the area that is measured; heights are taken from there."""
        if not len(self.unfilled_mm):
            return np.array(self.centre_mm)
        normal = np.array(self.normal)
        flat = self._measured.centroid_mm
        return np.asarray(flat + (self.unfilled_mm.mean(axis=0) - flat) @ normal * normal)

    @property
    def _measured(self) -> Section:
        curve = self.unfilled_mm if len(self.unfilled_mm) else self.points_mm
        return _flat(curve, np.array(self.centre_mm), np.array(self.normal))


def neck_of(
    curve_mm: Floats,
    inside_mm: Floats,
    dome_mm: Floats,
    frame_uid: str,
    vessel: tuple[Floats, Floats],
    source: str,
    findings: tuple[Finding, ...] = (),
    others: Sequence[Floats] = (),
    unfilled: tuple[Floats, Fill] | None = None,
) -> Neck:
    """Return the neck of a closed curve (n, 3), LPS mm, with its plane and numbers.

    ``inside_mm`` is a point on the wall of the dome, ``dome_mm`` the mean of that wall; it says
    to which side the normal points. ``vessel`` holds the points and radii of the parent vessel,
    ``source`` says how the curve was found; ``others`` are curves that it might be as well.
    ``unfilled`` is the curve that is measured instead, and the fill that it allows for.
    """
    ring = np.concatenate([curve_mm, curve_mm[:1]])
    length = float(np.linalg.norm(np.diff(ring, axis=0), axis=1).sum())
    even = resampled(ring, length / FINE)[:-1]
    middle = even.mean(axis=0)
    normal = np.linalg.svd(even - middle)[2][2]
    normal = normal if (dome_mm - middle) @ normal >= 0 else -normal
    centre = _flat(even, middle, normal).centroid_mm
    bare = Neck(
        curve_mm, _vector(centre), _vector(normal), _vector(inside_mm), frame_uid, *vessel,
        unfilled_mm=unfilled[0] if unfilled else np.empty((0, 3)),
        fill=unfilled[1] if unfilled else None,
    )  # fmt: skip
    source += f"; less what {unfilled[1].words}" if unfilled else ""
    off = float(np.sqrt(np.mean(((even - centre) @ normal) ** 2)))
    numbers: tuple[Number, ...] = (
        Number("width", bare.width_mm, "mm", f"mean diameter of the neck in its plane; {source}"),
        Number("width_maximum", bare.width_maximum_mm, "mm", f"largest diameter; {source}"),
        Number("area", bare.area_mm2, "mm2", f"enclosed by the neck in its plane; {source}"),
        Number("out_of_plane", off, "mm", "root mean square distance of the neck to its plane"),
    )
    if others:
        likely = [neck_of(c, inside_mm, dome_mm, frame_uid, vessel, source) for c in others]
        numbers = tuple(_banded(n, likely) for n in numbers)
    if unfilled:
        numbers = (*(_doubted(n, unfilled[1].doubt_mm) for n in numbers[:2]), *numbers[2:])
    return Neck(
        bare.points_mm, bare.centre_mm, bare.normal, bare.inside_mm, frame_uid,
        bare.vessel_mm, bare.vessel_radius_mm, findings, numbers, bare.unfilled_mm, bare.fill,
    )  # fmt: skip


def _banded(number: Number, others: Sequence[Neck]) -> Number:
    """Return a number with the band in which that of other necks lies."""
    values = [n.value for neck in others for n in neck.numbers if n.quantity == number.quantity]
    text = f"{number.source}; band: the sac taken to begin nearer to its vessel, or farther away"
    return replace(
        number, low=min(number.value, *values), high=max(number.value, *values), source=text
    )


def _doubted(number: Number, doubt_mm: float) -> Number:
    """Return a diameter with a band of at least this doubt, as far as known shapes were off."""
    low = min(number.value if number.low is None else number.low, number.value - doubt_mm)
    high = max(number.value if number.high is None else number.high, number.value + doubt_mm)
    text = f"{number.source}; and {doubt_mm:.2g} mm either way, and up to none of the crease filled"
    return replace(number, low=max(low, 0.0), high=high, source=text)


def _flat(points_mm: Floats, centre_mm: Floats, normal: Floats) -> Section:
    arms = points_mm - centre_mm
    laid = points_mm - np.outer(arms @ normal, normal)
    return Section(laid, normal, np.empty(0, np.int64), True)


def _vector(point: Sequence[float] | Floats) -> Vector:
    return float(point[0]), float(point[1]), float(point[2])


# ---------------------------------------------------------------- files


def to_record(value: Neck) -> dict[str, Any]:
    """Return what of a neck is no array, as JSON; `from_record` reverses it."""
    return {
        "frame_uid": value.frame_uid,
        "centre_mm": list(value.centre_mm),
        "normal": list(value.normal),
        "inside_mm": list(value.inside_mm),
        "fill": asdict(value.fill) if value.fill else None,
    }


def to_arrays(value: Neck) -> Arrays:
    """Return the arrays of a neck by name."""
    names = ["points_mm", "vessel_mm", "vessel_radius_mm"]
    names += ["unfilled_mm"] if len(value.unfilled_mm) else []
    return {name: getattr(value, name) for name in names}


def from_record(record: Mapping[str, Any], arrays: Mapping[str, Any], **notes: Any) -> Neck:
    """Return the neck of a record and its arrays; ``notes`` are findings and numbers."""
    return Neck(
        arrays["points_mm"],
        _vector(record["centre_mm"]),
        _vector(record["normal"]),
        _vector(record["inside_mm"]),
        record["frame_uid"],
        arrays["vessel_mm"],
        arrays["vessel_radius_mm"],
        unfilled_mm=arrays.get("unfilled_mm", np.empty((0, 3))),
        fill=Fill(**record["fill"]) if record.get("fill") else None,
        **notes,
    )


def to_json(value: Neck) -> dict[str, Any]:
    """Return the plane, the curve and the parent vessel of a neck for a JSON file, LPS mm."""
    return to_record(value) | {name: array.tolist() for name, array in to_arrays(value).items()}


def write_csv(value: Neck, path: Path) -> None:
    """Write the points of the neck in order, LPS mm.

    Raises:
        OSError: if the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("x_mm", "y_mm", "z_mm"))
        table.writerows(value.points_mm.tolist())


def write_vtp(value: Neck, path: Path) -> None:
    """Write the neck as one closed polyline, LPS mm.

    Raises:
        OSError: if the file cannot be written.
    """
    points, line = vtkPoints(), vtkCellArray()
    points.SetDataTypeToDouble()
    for point in value.points_mm:
        points.InsertNextPoint(point)
    count = len(value.points_mm)
    line.InsertNextCell(count + 1)
    for n in range(count + 1):
        line.InsertCellPoint(n % count)
    poly = vtkPolyData()
    poly.SetPoints(points)
    poly.SetLines(line)
    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(poly)
    writer.SetFileName(str(path))
    if not writer.Write():
        raise OSError(f"{path} cannot be written")


def as_measured(value: Neck) -> Measured:
    """Return the neck as a line to be drawn, with its mean diameter beside it."""
    outline = np.concatenate([value.points_mm, value.points_mm[:1]])
    text = number_text(value.width_mm, "mm")
    return Measured(value.frame_uid, (outline,), np.empty((0, 3)), text, value.centre_mm)
