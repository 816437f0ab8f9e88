"""The process that writes and reads STEP files: its kernel may end it, and cannot be stopped.

It gets a folder with ``request.json`` and leaves ``answer.json`` there, with ``part.step`` or
``mesh.npz``. Lengths are mm.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from netgen import meshing as netgen
from netgen.occ import Axis, OCCGeometry, gp_Dir, gp_Vec

from workstation.planning.step_solids import solid_of

EDGE_MM = 2.5
"""Longest edge of the triangles of a solid that was read."""

CURVED = 2.0
"""Edges for each radius of what is curved."""

PART, MESH, REQUEST, ANSWER = "part.step", "mesh.npz", "request.json", "answer.json"


class NotOneSolid(ValueError):
    """A STEP file holds no solid, or several."""


def main(folder: Path) -> None:
    """Do what the request in a folder asks."""
    request = json.loads((folder / REQUEST).read_text("utf-8"))
    try:
        answer = _read(folder, request) if request["do"] == "read" else _written(folder, request)
    except NotOneSolid as error:
        answer = {"error": str(error)}
    (folder / ANSWER).write_text(json.dumps(answer), "utf-8")


def _written(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Write a part where it is placed; return what the file holds when it is read again."""
    if request["file"]:
        shape = _solid_in(request["file"])
    else:
        shape = solid_of(request["family"], request["dimensions"])
    turn = np.asarray(request["turn_degrees"], float)
    angle = float(np.linalg.norm(turn))
    if angle > 0:
        shape = shape.Rotate(Axis((0, 0, 0), gp_Dir(*(turn / angle))), angle)
    (shape,) = shape.Move(gp_Vec(*request["position_mm"])).solids
    shape.name = request["name"]
    shape.WriteStep(str(folder / PART))
    found = _solid_in(str(folder / PART))
    found.MakeTriangulation()
    low, high = ([corner[n] for n in range(3)] for corner in found.bounding_box)
    centre = [found.center[n] for n in range(3)]
    return {"volume_mm3": found.mass, "centre_mm": centre, "low_mm": low, "high_mm": high}


def _solid_in(path: str) -> Any:
    found = list(OCCGeometry(path).shape.solids)
    if len(found) != 1:
        raise NotOneSolid(f"it holds {len(found) or 'no'} solids; export one closed part alone")
    return found[0]


def _read(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Triangulate the solid of a file so that neighbours share their edges."""
    step = netgen.MeshingStep.MESHSURFACE
    wanted = netgen.MeshingParameters(maxh=EDGE_MM, curvaturesafety=CURVED, perfstepsend=step)
    solid = _solid_in(request["file"])
    mesh = OCCGeometry(solid).GenerateMesh(wanted)
    points = np.array([tuple(point.p) for point in mesh.Points()])
    triangles = np.array([[v.nr - 1 for v in part.vertices] for part in mesh.Elements2D()])
    np.savez(folder / MESH, points_mm=points, triangles=triangles)
    return {"volume_mm3": solid.mass}


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: standard input closes."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(Path(sys.argv[1]))
