"""Fibre tracts from files: TCK, TRK and polylines of VTP, as thin tubes that keep their lines.

Points are (x, y, z) in DICOM patient LPS millimetres; TCK and TRK files are RAS.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from meshing.mesh import SurfaceMesh
from meshing.reading import AGAIN, Space, Unit, UnreadableSurface, doubts, scale_to_lps_mm, vtk_tags
from segmentation.contract import Finding, FrameMismatch, Number, Severity
from segmentation.wording import counted

Floats = npt.NDArray[np.float64]

TRACT_FILES = (".tck", ".trk")
FIBRE = "fibre"
"""Point data of a tract's tubes: the number of the fibre, from 0."""

SIDES = 4  # of a tube
RADIUS_MM = 0.3  # of a tube
TOLERANCE_MM = 0.1  # a fibre is drawn with fewer points, none of it further off than this
HEAD = 1000  # bytes of the header of a TRK file
MOST_FIBRES = 50_000
FARTHEST_MM = 2000.0  # from the origin of the scanner's space
COLOUR: tuple[int, int, int] = (0xD9, 0x8C, 0xE0)
_DAMAGE = (ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error)


def is_tract(mesh: SurfaceMesh) -> bool:
    """Tell whether a surface is the tubes of a tract."""
    return FIBRE in mesh.point_data


def holds_tract(path: Path) -> bool:
    """Tell whether a file is one of fibres: TCK, TRK, or a VTP with lines and no triangles."""
    ending = path.suffix.lower()
    if ending != ".vtp":
        return ending in TRACT_FILES
    reader = vtkXMLPolyDataReader()
    if not reader.CanReadFile(str(path)):
        return False
    reader.SetFileName(str(path))
    reader.Update()
    poly = reader.GetOutput()
    return bool(poly.GetNumberOfLines() and not poly.GetNumberOfPolys() + poly.GetNumberOfStrips())


def read_tract(
    path: Path,
    *,
    unit: Unit = "mm",
    space: Space | None = None,
    frame_uid: str = "",
) -> SurfaceMesh:
    """Read the fibres of a .tck, .trk or .vtp file and return them as thin tubes in LPS mm.

    TCK and TRK are in RAS millimetres of the scanner, TRK by its voxel-to-RAS matrix. A VTP that
    names its unit or space is taken at its word; ``unit`` and ``space`` tell of one that does
    not.

    Args:
        path: the file.
        unit: length unit of a VTP that names none.
        space: axes of a VTP that names none; without it LPS is assumed, with a finding.
        frame_uid: the DICOM frame of reference; empty takes the file's own.

    Raises:
        UnreadableSurface: if the file is damaged, empty, not finite or of an unknown kind.
        FrameMismatch: if the file names another frame.
        OSError: if the file cannot be opened.
    """
    findings: list[Finding] = []
    ending, frame, name = path.suffix.lower(), frame_uid, path.stem
    if ending == ".vtp":
        poly = _vtp(path)
        tags = vtk_tags(poly)
        if frame_uid and tags.frame_uid and tags.frame_uid != frame_uid:
            raise FrameMismatch(f"{path.name} lies in frame {tags.frame_uid}, not in {frame_uid}")
        findings += doubts(tags, unit, space)
        scale = scale_to_lps_mm(tags, unit, space)
        lines = _lines_of(poly)
        frame, name = frame_uid or tags.frame_uid, tags.name or name
    elif ending in TRACT_FILES:
        lines, scale = _streamlines(path), np.array([-1.0, -1.0, 1.0])
    else:
        raise UnreadableSurface(f"{path.name} is no file of fibres; use TCK, TRK or VTP")
    fibres = [line * scale for line in lines if len(line) > 1]
    _require_sound(fibres, path)
    if len(fibres) < len(lines):
        text = counted(
            len(lines) - len(fibres),
            "fibre of fewer than two points was left out.",
            "fibres of fewer than two points were left out.",
        )
        findings.append(Finding(Severity.INFO, "short_fibres", text))
    mesh = as_tubes(fibres, frame, name)
    return replace(mesh, findings=tuple(findings))


def fibres_of(mesh: SurfaceMesh) -> list[Floats]:
    """Return the lines (n, 3) of a tract's tubes, LPS mm, in the order of the file."""
    centres = mesh.points_mm.reshape(-1, SIDES, 3).mean(axis=1)
    number = mesh.point_data[FIBRE][::SIDES]
    return np.split(centres, np.flatnonzero(np.diff(number)) + 1)


def samples_mm(mesh: SurfaceMesh, step_mm: float) -> tuple[Floats, Floats]:
    """Return places (n, 3) along all fibres of a tract, LPS mm, and the fibre of each (n,)."""
    places, numbers = [], []
    for number, line in enumerate(fibres_of(mesh)):
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        at = np.linspace(0.0, along[-1], int(np.ceil(along[-1] / step_mm)) + 1)
        places.append(np.stack([np.interp(at, along, line[:, a]) for a in range(3)], axis=1))
        numbers.append(np.full(len(at), float(number)))
    return np.concatenate(places), np.concatenate(numbers)


def as_tubes(fibres: list[Floats], frame_uid: str, name: str = "tract") -> SurfaceMesh:
    """Return fibres (n, 3), LPS mm, as tubes of a radius of 0.3 mm, each closed at its ends."""
    thin = [_thinned(np.asarray(line, np.float64)) for line in fibres]
    counts = np.array([len(line) for line in thin])
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    points = np.concatenate(thin)
    rings = _rings(points, first, counts)
    cells = np.concatenate([_tube(n) + SIDES * at for at, n in zip(first, counts)])
    length = float(np.mean([np.linalg.norm(np.diff(f, axis=0), axis=1).sum() for f in fibres]))
    number = np.repeat(np.arange(len(thin), dtype=np.int32), counts * SIDES)
    return SurfaceMesh(
        rings,
        cells,
        frame_uid,
        name,
        COLOUR,
        {FIBRE: number},
        numbers=(
            Number("fibres", float(len(fibres)), "", "fibres in the file"),
            Number("mean_length", length, "mm", "mean length of the fibres"),
        ),
    )


def _streamlines(path: Path) -> list[Floats]:
    """Return the lines of a TCK or TRK file in RAS mm."""
    from nibabel import streamlines
    from nibabel.streamlines.tractogram_file import DataError, HeaderError

    path.stat()
    kind = streamlines.TckFile if path.suffix.lower() == ".tck" else streamlines.TrkFile
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what is doubtful in a header is no ground to plan on
            if not kind.is_correct_format(str(path)):
                raise UnreadableSurface(
                    f"{path.name} does not begin as a {path.suffix[1:].upper()} file; {AGAIN}"
                )
            found = kind.load(str(path), lazy_load=False)
    except UnreadableSurface:
        raise
    except (HeaderError, DataError, Warning, *_DAMAGE) as error:
        raise UnreadableSurface(f"{path.name} is damaged: {_words(error)}; {AGAIN}") from error
    lines = [np.asarray(line, np.float64) for line in found.streamlines]
    _require_whole(path, found.header, lines)
    return lines


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _require_whole(path: Path, header: Any, lines: list[Floats]) -> None:
    """Raise unless a file holds as many fibres and bytes as its header says."""
    is_trk = path.suffix.lower() == ".trk"
    told = _told(path) if is_trk else int(header.get("count", 0))
    if told and told != len(lines):
        raise UnreadableSurface(
            f"{path.name} is not whole: its header tells of {told} fibres and it holds "
            f"{len(lines)}; copy it again"
        )
    if is_trk and not np.any(header["voxel_to_rasmm"][:3, :3]):
        raise UnreadableSurface(f"{path.name} does not say where it lies; {AGAIN}")


def _told(path: Path) -> int:
    """Return how many fibres the header of a TRK file tells of, 0 where it does not say."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    little = int.from_bytes(head[-4:], "little") == HEAD
    return int.from_bytes(head[988:992], "little" if little else "big", signed=True)


def _require_sound(fibres: list[Floats], path: Path) -> None:
    if not fibres:
        raise UnreadableSurface(f"{path.name} holds no fibre")
    if len(fibres) > MOST_FIBRES:
        raise UnreadableSurface(
            f"{path.name} holds {len(fibres)} fibres, and {MOST_FIBRES} are the most; take out the "
            "tracts that matter for the plan"
        )
    points = np.concatenate(fibres)
    if not np.isfinite(points).all() or np.abs(points).max() > FARTHEST_MM:
        raise UnreadableSurface(f"{path.name} has a point that lies in no patient; {AGAIN}")


def _vtp(path: Path) -> vtkPolyData:
    path.stat()
    reader = vtkXMLPolyDataReader()
    if not reader.CanReadFile(str(path)):
        raise UnreadableSurface(f"{path.name} is no VTP file, or is damaged")
    reader.SetFileName(str(path))
    reader.Update()
    poly: vtkPolyData = reader.GetOutput()
    return poly


def _lines_of(poly: vtkPolyData) -> list[Floats]:
    if not poly.GetNumberOfLines() or not poly.GetNumberOfPoints():
        return []
    points = vtk_to_numpy(poly.GetPoints().GetData()).astype(np.float64)
    cells = poly.GetLines()
    order = vtk_to_numpy(cells.GetConnectivityArray()).astype(np.int64)
    starts = vtk_to_numpy(cells.GetOffsetsArray()).astype(np.int64)
    return [points[part] for part in np.split(order, starts[1:-1])]


def _thinned(line: Floats) -> Floats:
    """Return a polyline without points that it needs not (Douglas and Peucker 1973)."""
    moved = np.concatenate([[True], np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-6])
    line = line[moved] if np.count_nonzero(moved) > 1 else line[:2]
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    open_parts = [(0, len(line) - 1)]
    while open_parts:
        a, b = open_parts.pop()
        if b - a < 2:
            continue
        arm, way = line[a + 1 : b] - line[a], line[b] - line[a]
        along = np.clip(arm @ way / max(float(way @ way), 1e-12), 0.0, 1.0)
        off = np.linalg.norm(arm - along[:, None] * way, axis=1)
        worst = int(np.argmax(off))
        if off[worst] > TOLERANCE_MM:
            keep[a + 1 + worst] = True
            open_parts += [(a, a + 1 + worst), (a + 1 + worst, b)]
    return line[keep]


def _rings(points: Floats, first: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Floats:
    """Return ``SIDES`` points around each point of all lines; opposite ones balance."""
    before, after = np.arange(len(points)) - 1, np.arange(len(points)) + 1
    last = first + counts - 1
    before[first], after[last] = first, last
    way = points[after] - points[before]
    length = np.linalg.norm(way, axis=1, keepdims=True)
    back = length[:, 0] < 1e-9  # where a line turns back on itself
    way[back] = points[after[back]] - points[back]
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-12)
    # One axis for a whole line, so that its rings are hardly twisted.
    main = np.abs(points[last] - points[first])
    axis = np.repeat(np.eye(3)[np.argmin(main, axis=1)], counts, axis=0)
    side = np.cross(way, axis)
    poor = np.linalg.norm(side, axis=1) < 0.1
    side[poor] = np.cross(way[poor], np.roll(axis[poor], 1, axis=1))
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12)
    up = np.cross(way, side)
    ring = np.stack([side, up, -side, -up], axis=1) * RADIUS_MM
    return np.asarray((points[:, None] + ring).reshape(-1, 3))


def _tube(count: int) -> npt.NDArray[np.int64]:
    """Return the triangles of a tube of ``count`` rings, closed at either end."""
    n = np.arange(SIDES)
    ring = np.arange(count - 1)[:, None] * SIDES
    a, b = ring + n, ring + (n + 1) % SIDES
    wall = [np.stack([a, b, b + SIDES], -1), np.stack([a, b + SIDES, a + SIDES], -1)]
    cap = np.array([[0, 2, 1], [0, 3, 2]])
    end = (count - 1) * SIDES + cap[:, ::-1]
    return np.concatenate([*(part.reshape(-1, 3) for part in wall), cap, end]).astype(np.int64)
