"""Surfaces for viewers on a screen, a telephone or a headset: binary glTF 2.0 (GLB).

glTF is in metres with +Y up, +Z forward and +X left; LPS has +Z up, +Y back and +X left, so a
patient who is loaded stands upright and faces the viewer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkFiltersCore import vtkPolyDataNormals

from meshing.surface import SurfaceMesh, from_vtk, to_vtk

COLOURS = "colour_srgb"
"""Point data of this name, uint8 (n, 3), are colours of the points, sRGB."""

LPS_TO_GLTF = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
SHARP_DEGREES = 60.0  # edges sharper than this, such as those of a cut, are drawn as edges

_FLOAT, _UINT32, _UINT8 = 5126, 5125, 5121
_VERTICES, _INDICES = 34962, 34963


class _Buffer:
    """The binary part of the file, and the accessors that name what lies where."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, array: npt.NDArray[Any], kind: str, component: int, target: int) -> int:
        raw = np.ascontiguousarray(array).tobytes()
        self.views.append(
            {
                "buffer": 0,
                "byteOffset": len(self.data),
                "byteLength": len(raw),
                "target": target,
            }
        )
        self.data += raw + bytes(-len(raw) % 4)
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": component,
            "count": array.size if kind == "SCALAR" else len(array),
            "type": kind,
        }
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def linear_of(srgb: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return linear light, 0 to 1, of sRGB values 0 to 255 (IEC 61966-2-1)."""
    share = np.asarray(srgb, np.float64) / 255.0
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def write_glb(meshes: Sequence[SurfaceMesh], folder: Path, name: str, note: str) -> None:
    """Write ``folder / name``: one node, mesh and material for each surface.

    Surfaces with point data `COLOURS` are coloured by these, others by their colour. ``note``
    stands in the file's ``asset.extras``.
    """
    buffer = _Buffer()
    records = [_mesh(mesh, number, buffer) for number, mesh in enumerate(meshes)]
    extras = {"space": "LPS turned to glTF axes", "unit": "m"} | ({"note": note} if note else {})
    document = {
        "asset": {"version": "2.0", "generator": "Hilum", "extras": extras},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(meshes)))}],
        "nodes": [
            {"mesh": number, "name": mesh.name or "surface"} for number, mesh in enumerate(meshes)
        ],
        "meshes": records,
        "materials": [_material(mesh) for mesh in meshes],
        "buffers": [{"byteLength": len(buffer.data)}],
        "bufferViews": buffer.views,
        "accessors": buffer.accessors,
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(buffer.data)
    (folder / name).write_bytes(
        struct.pack("<4sIIII", b"glTF", 2, size, len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(buffer.data), 0x004E4942)
        + bytes(buffer.data)
    )


def _mesh(mesh: SurfaceMesh, material: int, buffer: _Buffer) -> dict[str, Any]:
    shaded = _with_normals(mesh)
    points = (shaded.points_mm @ LPS_TO_GLTF.T / 1000.0).astype("<f4")
    normals = (shaded.point_data["Normals"] @ LPS_TO_GLTF.T).astype("<f4")
    position = buffer.add(points, "VEC3", _FLOAT, _VERTICES)
    buffer.accessors[position] |= {
        "min": points.min(axis=0).tolist(),
        "max": points.max(axis=0).tolist(),
    }
    attributes = {
        "POSITION": position,
        "NORMAL": buffer.add(normals, "VEC3", _FLOAT, _VERTICES),
    }
    if COLOURS in shaded.point_data:
        light = np.rint(linear_of(shaded.point_data[COLOURS]) * 255.0)
        opaque = np.concatenate([light, np.full((len(light), 1), 255.0)], axis=1)
        colours = buffer.add(opaque.astype("u1"), "VEC4", _UINT8, _VERTICES)
        buffer.accessors[colours]["normalized"] = True
        attributes["COLOR_0"] = colours
    indices = buffer.add(shaded.triangles.astype("<u4").reshape(-1, 1), "SCALAR", _UINT32, _INDICES)
    primitive = {"attributes": attributes, "indices": indices, "material": material}
    return {"name": mesh.name or "surface", "primitives": [primitive]}


def _material(mesh: SurfaceMesh) -> dict[str, Any]:
    plain = COLOURS not in mesh.point_data
    light = linear_of(np.array(mesh.colour)).tolist() if plain else [1.0, 1.0, 1.0]
    return {
        "name": mesh.name or "surface",
        "doubleSided": True,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*light, 1.0],
            "metallicFactor": 0.0,
            "roughnessFactor": 0.7,
        },
    }


def _with_normals(mesh: SurfaceMesh) -> SurfaceMesh:
    """Return the surface with unit normals at its points, which are doubled at sharp edges."""
    normals = vtkPolyDataNormals()
    normals.SetInputData(to_vtk(mesh))
    normals.ConsistencyOff()
    normals.SplittingOn()
    normals.SetFeatureAngle(SHARP_DEGREES)
    normals.Update()
    return from_vtk(normals.GetOutput(), frame_uid="")


def reread_glb(path: Path) -> list[SurfaceMesh]:
    """Return the surfaces, LPS mm, of a file that `write_glb` wrote, in its order.

    Another library reads it.
    """
    import trimesh

    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    names = [node["name"] for node in json.loads(data[20 : 20 + length])["nodes"]]
    scene = trimesh.load_scene(path, process=False)
    found = []
    for name in names:
        turn, geometry = scene.graph[name]
        shape = scene.geometry[geometry]
        points = np.asarray(shape.vertices) @ turn[:3, :3].T + turn[:3, 3]
        found.append(SurfaceMesh(points @ LPS_TO_GLTF * 1000.0, shape.faces, "", name))
    return found
