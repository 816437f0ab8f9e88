"""Closed and open surfaces for other people's tools: 3MF for printers, GLB for viewers.

These are written and read back for comparison only; a plan's own surfaces are STL, PLY, OBJ
or VTP.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from meshing.surface import SurfaceMesh

# glTF is in metres with +Y up, +Z forward and +X left; LPS has +Z up, +Y back and +X left.
_LPS_TO_GLTF = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" '
    'ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Target="/3D/3dmodel.model" Id="rel0" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)


def write_3mf(mesh: SurfaceMesh, path: Path) -> None:
    """Write a 3MF package (core specification 1.3) in mm, LPS axes."""
    vertices = "\n".join(
        f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>' for x, y, z in mesh.points_mm.tolist()
    )
    triangles = "\n".join(
        f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.triangles.tolist()
    )
    colour = "#{:02X}{:02X}{:02X}".format(*mesh.colour)
    name = quoteattr(mesh.name or "surface")
    model = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<model unit="millimeter" xml:lang="en-US" '
        'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">\n'
        '<metadata name="Description">SPACE=LPS UNIT=mm</metadata>\n<resources>\n'
        f'<basematerials id="1"><base name={name} displaycolor="{colour}"/></basematerials>\n'
        f'<object id="2" type="model" name={name} pid="1" pindex="0"><mesh>\n'
        f"<vertices>\n{vertices}\n</vertices>\n<triangles>\n{triangles}\n</triangles>\n"
        '</mesh></object>\n</resources>\n<build><item objectid="2"/></build>\n</model>\n'
    )
    parts = {"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS, "3D/3dmodel.model": model}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for part, text in parts.items():
            # A fixed date, so that the same surface gives the same bytes.
            entry = zipfile.ZipInfo(part, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, text)


def reread_3mf(path: Path) -> SurfaceMesh:
    """Return the surface, LPS mm, of a package that `write_3mf` wrote."""
    with zipfile.ZipFile(path) as package:
        text = package.read("3D/3dmodel.model").decode()
    points = re.findall(r'<vertex x="(\S+)" y="(\S+)" z="(\S+)"/>', text)
    triangles = re.findall(r'<triangle v1="(\d+)" v2="(\d+)" v3="(\d+)"/>', text)
    return SurfaceMesh(np.array(points, np.float64), np.array(triangles, np.int64), "")


def write_glb(mesh: SurfaceMesh, path: Path) -> None:
    """Write a binary glTF 2.0: metres, head up, the patient facing the viewer."""
    shape = trimesh.Trimesh(
        mesh.points_mm @ _LPS_TO_GLTF.T / 1000.0, mesh.triangles.copy(), process=False
    )
    # The colour here is linear, and ours is sRGB.
    srgb = np.asarray(mesh.colour) / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    material = PBRMaterial(
        name=mesh.name or "surface",
        baseColorFactor=[*linear.tolist(), 1.0],
        metallicFactor=0.0,
        roughnessFactor=0.7,
        doubleSided=True,
    )
    shape.visual = TextureVisuals(material=material)
    path.write_bytes(trimesh.Scene({mesh.name or "surface": shape}).export(file_type="glb"))


def reread_glb(path: Path) -> SurfaceMesh:
    """Return the surface, LPS mm, of a file that `write_glb` wrote."""
    shape = trimesh.load_mesh(path, process=False)
    return SurfaceMesh(shape.vertices @ _LPS_TO_GLTF * 1000.0, shape.faces, "")
