"""Surfaces as STL, PLY, OBJ and VTP, with unit, space, name and colour where the format has one.

Each writer takes surfaces in LPS mm, a folder, the file's name and a note for its reader, and
writes the file, and what belongs beside it, into the folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from meshing.gltf import COLOURS
from meshing.reading import STL_TRIANGLE
from meshing.surface import SurfaceMesh, to_vtk


def _header(mesh: SurfaceMesh, note: str) -> list[str]:
    """Return the words about a surface that a file's comments carry, one for each line."""
    frame = [f"FRAME={mesh.frame_uid}"] if mesh.frame_uid else []
    name = re.sub(r"\s+", "_", mesh.name)
    words = ["SPACE=LPS", "UNIT=mm", *frame, *([f"NAME={name}"] if name else [])]
    # A note's own KEY=value words must not be taken for the file's.
    return words + ([" ".join(note.split()).replace("=", ":")] if note else [])


def write_stl(meshes: Sequence[SurfaceMesh], folder: Path, name: str, note: str) -> None:
    """Write a binary STL; its header of 80 bytes names space, unit and surface.

    A note does not fit there, so a file that has one begins with FAULTY.
    """
    mesh = meshes[0]
    cells = np.zeros(len(mesh.triangles), STL_TRIANGLE)
    corners = mesh.points_mm[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    cells["normal"] = normals / np.where(length > 0, length, 1.0)
    cells["corners"] = corners
    title = re.sub(r"\W+", "_", mesh.name, flags=re.ASCII)
    words = ["Hilum", *(["FAULTY"] if note else []), "SPACE=LPS", "UNIT=mm"]
    text = " ".join([*words, *([f"NAME={title}"] if title else [])])
    count = np.uint32(len(cells)).astype("<u4").tobytes()
    data = text.encode("ascii")[:80].ljust(80) + count + cells.tobytes()
    (folder / name).write_bytes(data)


def write_ply(meshes: Sequence[SurfaceMesh], folder: Path, name: str, note: str) -> None:
    """Write a binary PLY; point data `meshing.gltf.COLOURS` become the points' colours."""
    mesh = meshes[0]
    coloured = COLOURS in mesh.point_data
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {word}" for word in _header(mesh, note)]
    lines += [f"element vertex {len(mesh.points_mm)}"]
    lines += [f"property double {axis}" for axis in "xyz"]
    lines += [f"property uchar {part}" for part in ("red", "green", "blue") if coloured]
    lines += [f"element face {len(mesh.triangles)}", "property list uchar int vertex_indices"]
    kinds: list[tuple[str, str, int]] = [("place", "<f8", 3)]
    vertices = np.empty(len(mesh.points_mm), kinds + ([("colour", "u1", 3)] if coloured else []))
    vertices["place"] = mesh.points_mm
    if coloured:
        vertices["colour"] = mesh.point_data[COLOURS]
    faces = np.empty(len(mesh.triangles), [("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, mesh.triangles
    text = "\n".join([*lines, "end_header", ""])
    (folder / name).write_bytes(text.encode() + vertices.tobytes() + faces.tobytes())


def write_obj(meshes: Sequence[SurfaceMesh], folder: Path, name: str, note: str) -> None:
    """Write an OBJ with one object for each surface, and their colours in an MTL beside it."""
    library = str(Path(name).with_suffix(".mtl"))
    with (folder / library).open("w", encoding="utf-8") as file:
        for number, mesh in enumerate(meshes, 1):
            red, green, blue = (channel / 255 for channel in mesh.colour)
            file.write(f"newmtl colour_{number}\nKd {red:.4f} {green:.4f} {blue:.4f}\n")
            file.write("Ks 0.1 0.1 0.1\nNs 20\nd 1\n\n")
    with (folder / name).open("w", encoding="utf-8") as file:
        file.writelines(f"# {word}\n" for word in _header(meshes[0], note))
        file.write(f"mtllib {library}\n")
        before = 1
        for number, mesh in enumerate(meshes, 1):
            title = re.sub(r"\s+", "_", mesh.name) or "surface"
            file.write(f"o {title}\nusemtl colour_{number}\n")
            np.savetxt(file, mesh.points_mm, "v %.9g %.9g %.9g")
            np.savetxt(file, mesh.triangles + before, "f %d %d %d")
            before += len(mesh.points_mm)


def reread_obj(path: Path) -> list[SurfaceMesh]:
    """Return the surfaces of a file that `write_obj` wrote, in its order."""
    _, *blocks = re.split(r"^o ", path.read_text("utf-8"), flags=re.M)
    found, before = [], 1
    for block in blocks:
        points = np.array(re.findall(r"^v (\S+) (\S+) (\S+)", block, re.M), np.float64)
        triangles = np.array(re.findall(r"^f (\d+) (\d+) (\d+)", block, re.M), np.int64)
        name = block.split("\n", 1)[0]
        found.append(SurfaceMesh(points.reshape(-1, 3), triangles - before, "", name))
        before += len(points)
    return found


def write_vtp(meshes: Sequence[SurfaceMesh], folder: Path, name: str, note: str) -> None:
    """Write a VTP, which keeps the point data, in full precision."""
    mesh = meshes[0]
    poly = to_vtk(mesh)
    texts = {
        "space": "LPS",
        "unit": "mm",
        "frame_uid": mesh.frame_uid,
        "name": mesh.name,
        "colour": " ".join(map(str, mesh.colour)),
        **({"note": note} if note else {}),
    }
    for key, text in texts.items():
        array = vtkStringArray()
        array.SetName(key)
        array.InsertNextValue(text)
        poly.GetFieldData().AddArray(array)
    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(poly)
    writer.SetFileName(str(folder / name))
    if not writer.Write():
        raise OSError(f"{name} could not be written; is the disk full?")
