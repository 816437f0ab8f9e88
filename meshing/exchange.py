"""Surfaces for printers: 3MF packages of several objects with names, colours and unit.

Core specification 1.3 of the 3MF consortium. A package is written and read back for comparison
only; a plan's own surfaces are STL, PLY, OBJ or VTP.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from meshing.surface import SurfaceMesh

_MODEL = "3D/3dmodel.model"
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
    f'<Relationship Target="/{_MODEL}" Id="rel0" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<model unit="millimeter" xml:lang="en-US" '
    'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">\n'
)


def write_3mf(meshes: Sequence[SurfaceMesh], folder: Path, name: str, note: str) -> None:
    """Write the package ``folder / name`` in mm, LPS axes: one object for each surface.

    ``note`` stands in the description, which slicers show.
    """
    bases = "".join(
        f"<base name={quoteattr(mesh.name or 'surface')} "
        f'displaycolor="#{mesh.colour[0]:02X}{mesh.colour[1]:02X}{mesh.colour[2]:02X}"/>'
        for mesh in meshes
    )
    objects = "\n".join(_object(mesh, number) for number, mesh in enumerate(meshes))
    items = "".join(f'<item objectid="{number + 2}"/>' for number in range(len(meshes)))
    frames = {mesh.frame_uid for mesh in meshes} - {""}
    words = ["SPACE=LPS UNIT=mm", *(f"FRAME={uid}" for uid in sorted(frames)), note]
    model = (
        f'{_HEAD}<metadata name="Application">Hilum</metadata>\n'
        f'<metadata name="Description">{escape(" ".join(words).strip())}</metadata>\n'
        f'<resources>\n<basematerials id="1">{bases}</basematerials>\n{objects}\n</resources>\n'
        f"<build>{items}</build>\n</model>\n"
    )
    parts = {"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS, _MODEL: model}
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as package:
        for part, text in parts.items():
            # A fixed date, so that the same surfaces give the same bytes.
            entry = zipfile.ZipInfo(part, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, text)


def _object(mesh: SurfaceMesh, number: int) -> str:
    vertices = "\n".join(
        f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>' for x, y, z in mesh.points_mm.tolist()
    )
    triangles = "\n".join(
        f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.triangles.tolist()
    )
    name = quoteattr(mesh.name or "surface")
    return (
        f'<object id="{number + 2}" type="model" name={name} pid="1" pindex="{number}"><mesh>\n'
        f"<vertices>\n{vertices}\n</vertices>\n<triangles>\n{triangles}\n</triangles>\n"
        "</mesh></object>"
    )


def reread_3mf(path: Path) -> list[SurfaceMesh]:
    """Return the surfaces, LPS mm, of a package that `write_3mf` wrote, in its order."""
    with zipfile.ZipFile(path) as package:
        text = package.read(_MODEL).decode()
    colours = re.findall(r'displaycolor="#(\w\w)(\w\w)(\w\w)"', text)
    found: list[SurfaceMesh] = []
    for block in re.findall(r"<object .*?</object>", text, re.S):
        name = re.search(r" name=(\"[^\"]*\"|'[^']*')", block)
        points = re.findall(r'<vertex x="(\S+)" y="(\S+)" z="(\S+)"/>', block)
        triangles = re.findall(r'<triangle v1="(\d+)" v2="(\d+)" v3="(\d+)"/>', block)
        red, green, blue = (int(part, 16) for part in colours[len(found)])
        found.append(
            SurfaceMesh(
                np.array(points, np.float64),
                np.array(triangles, np.int64),
                "",
                unescape(name.group(1)[1:-1]) if name else "",
                (red, green, blue),
            )
        )
    return found
