"""Fibres from TCK, TRK and VTP files: where they lie, and files that are damaged."""

import struct
from pathlib import Path

import numpy as np
import pytest
from vtkmodules.vtkCommonCore import vtkPoints, vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from meshing.check import check
from meshing.reading import UnreadableSurface
from meshing.surface import enclosed_mm3
from meshing.tracts import FIBRE, RADIUS_MM, fibres_of, holds_tract, is_tract, read_tract

BENT = np.array([(10.0, -20.0, 30.0), (14.0, -21.0, 33.0), (15.0, -27.0, 41.0)])
SHORT = np.array([(-3.0, 7.5, 12.0), (-9.0, 6.0, 12.5)])
FLIP = np.array([-1.0, -1.0, 1.0])


def write_tck(path: Path, lines: list[np.ndarray], count: int | None = None) -> Path:
    """Write RAS lines as MRtrix describes the format."""
    told = len(lines) if count is None else count
    text = f"mrtrix tracks\ndatatype: Float32LE\ncount: {told}\nfile: . "
    head = f"{text}{len(text) + 8}\nEND\n".encode()
    text_end = len(head)
    head = head.replace(f". {len(text) + 8}".encode(), f". {text_end}".encode())
    body = b"".join(
        np.vstack([line, np.full((1, 3), np.nan)]).astype("<f4").tobytes() for line in lines
    )
    path.write_bytes(head + body + np.full(3, np.inf, "<f4").tobytes())
    return path


def write_trk(path: Path, voxels: list[np.ndarray], to_ras: np.ndarray, order: bytes) -> Path:
    """Write lines of voxel coordinates (centres are whole) as TrackVis 2 describes it."""
    size = np.linalg.norm(to_ras[:3, :3], axis=0)
    head = bytearray(1000)
    head[:6] = b"TRACK\0"
    struct.pack_into("<3h3f", head, 6, 40, 50, 60, *size)
    struct.pack_into("<16f", head, 440, *to_ras.ravel())
    head[948:951] = order
    struct.pack_into("<3i", head, 988, len(voxels), 2, 1000)
    body = b""
    for line in voxels:
        body += struct.pack("<i", len(line)) + ((line + 0.5) * size).astype("<f4").tobytes()
    path.write_bytes(bytes(head) + body)
    return path


def test_a_tck_lies_where_its_ras_points_say(tmp_path: Path) -> None:
    path = write_tck(tmp_path / "left.tck", [BENT, SHORT])
    tract = read_tract(path, frame_uid="1.2.3")
    assert holds_tract(path)
    assert is_tract(tract)
    assert tract.frame_uid == "1.2.3"
    first, second = fibres_of(tract)
    assert first == pytest.approx(BENT * FLIP, abs=1e-5)
    assert second == pytest.approx(SHORT * FLIP, abs=1e-5)
    assert {n.quantity: n.value for n in tract.numbers}["fibres"] == 2


def test_tubes_are_closed_and_stay_about_their_fibre(tmp_path: Path) -> None:
    turns = np.linspace(0, 5, 400)
    spiral = np.stack([20 * np.cos(turns), 9 * np.sin(turns), 6 * turns], axis=1)
    tract = read_tract(write_tck(tmp_path / "spiral.tck", [spiral, BENT]))
    assert not [f for f in check(tract).findings() if f.code == "open_surface"]
    assert enclosed_mm3(tract) > 0
    assert len(tract.points_mm) < 4 * 120  # where a fibre is nearly straight, points are spared
    thin = fibres_of(tract)[0]
    away = np.linalg.norm(tract.points_mm[tract.point_data[FIBRE] == 0].reshape(-1, 4, 3)
                          - thin[:, None], axis=-1)  # fmt: skip
    assert away == pytest.approx(RADIUS_MM)
    step = np.linspace(0, 1, 50)[:, None, None]
    dense = (thin[:-1] + step * (thin[1:] - thin[:-1])).reshape(-1, 3)
    for point in (spiral * FLIP)[::7]:
        assert np.linalg.norm(dense - point, axis=1).min() < 0.12


@pytest.mark.parametrize("order", [b"LAS", b"RAS"])
def test_a_trk_lies_by_its_voxels_and_matrix(tmp_path: Path, order: bytes) -> None:
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    spacing = np.array([1.5, 2.0, 3.0])
    to_ras = np.eye(4)
    to_ras[:3, :3] = turn @ np.diag(spacing)
    to_ras[:3, 3] = (-31.0, 17.0, 5.0)
    stored = voxels = np.array([(2.0, 5.0, 1.0), (9.0, 6.5, 4.0), (12.0, 3.0, 8.0)])
    if order == b"LAS":  # the columns of the points run against those of the matrix
        stored = voxels * [-1, 1, 1] + [39, 0, 0]
    tract = read_tract(write_trk(tmp_path / "cst.trk", [stored], to_ras, order))
    (line,) = fibres_of(tract)
    assert line == pytest.approx(((to_ras[:3, :3] @ voxels.T).T + to_ras[:3, 3]) * FLIP, abs=1e-3)


def write_vtp(path: Path, lines: list[np.ndarray], **tags: str) -> Path:
    points, cells, poly = vtkPoints(), vtkCellArray(), vtkPolyData()
    for line in lines:
        cells.InsertNextCell(len(line))
        for point in line:
            cells.InsertCellPoint(points.InsertNextPoint(point))
    poly.SetPoints(points)
    poly.SetLines(cells)
    for key, value in tags.items():
        array = vtkStringArray()
        array.SetName(key)
        array.InsertNextValue(value)
        poly.GetFieldData().AddArray(array)
    writer = vtkXMLPolyDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(poly)
    writer.Write()
    return path


def test_polylines_of_a_vtp_are_fibres_in_its_space_and_unit(tmp_path: Path) -> None:
    silent = read_tract(write_vtp(tmp_path / "a.vtp", [SHORT, BENT]))
    assert fibres_of(silent)[1] == pytest.approx(BENT, abs=1e-5)
    assert [f.code for f in silent.findings] == ["space_assumed"]
    said = write_vtp(tmp_path / "b.vtp", [SHORT / 10, BENT / 10], space="RAS", unit="cm")
    tract = read_tract(said)
    assert holds_tract(said)
    assert not tract.findings
    assert fibres_of(tract)[1] == pytest.approx(BENT * FLIP, abs=1e-4)


def cut_off(path: Path, by: int) -> Path:
    path.write_bytes(path.read_bytes()[:-by])
    return path


def damaged(folder: Path) -> dict[str, Path]:
    identity = np.eye(4)
    lost = write_tck(folder / "lost.tck", [BENT, SHORT], count=3)
    wild = write_tck(folder / "wild.tck", [BENT * 1e6])
    words = folder / "words.trk"
    words.write_text("this is no tract")
    nowhere = write_trk(folder / "nowhere.trk", [BENT], identity, b"RAS")
    raw = bytearray(nowhere.read_bytes())
    raw[440:504] = bytes(64)
    nowhere.write_bytes(raw)
    return {
        "count": lost,
        "point": wild,
        "begin": words,
        "matrix": nowhere,
        "end": cut_off(write_tck(folder / "end.tck", [BENT, SHORT]), 12),
        "middle": cut_off(write_trk(folder / "middle.trk", [BENT, SHORT], identity, b"RAS"), 7),
        "line": cut_off(write_trk(folder / "line.trk", [BENT, SHORT], identity, b"RAS"), 28),
        "head": cut_off(write_trk(folder / "head.trk", [], identity, b"RAS"), 600),
        "none": write_tck(folder / "none.tck", []),
    }


@pytest.mark.parametrize(
    "fault", ["count", "point", "begin", "matrix", "end", "middle", "line", "head", "none"]
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, fault: str) -> None:
    path = damaged(tmp_path)[fault]
    with pytest.raises(UnreadableSurface, match=path.name):
        read_tract(path)
