"""Opening the 3D picture: planes that take away what lies before them, and the faces they leave.

Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from vtkmodules.vtkCommonDataModel import vtkPlane
from vtkmodules.vtkFiltersCore import vtkCutter
from vtkmodules.vtkFiltersGeneral import vtkContourTriangulator
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

from workstation.camera import Floats, Vector, vector

FACE_OPACITY = 0.92  # of the face that a plane leaves on a surface
RANK_MM = 0.05  # how far faces that would lie in one place are kept apart


@dataclass(frozen=True)
class ClipPlane:
    """Hides what lies on the side that the unit ``normal`` (LPS) points away from."""

    point_mm: Vector
    normal: Vector

    def height_mm(self, points_mm: Floats) -> Floats:
        """Return how far points (..., 3) lie on the side that is shown, in mm."""
        away = np.asarray(points_mm, float) - np.asarray(self.point_mm)
        return np.asarray(away @ np.asarray(self.normal))


Clip = tuple[ClipPlane, ...]


def box_planes(low: Vector, high: Vector) -> Clip:
    """Return the six planes that show what lies in a box, LPS mm; two for each axis."""
    planes = []
    for axis in range(3):
        for corner, sign in ((low, 1.0), (high, -1.0)):
            normal = np.zeros(3)
            normal[axis] = sign
            planes.append(ClipPlane(corner, vector(normal)))
    return tuple(planes)


def clipped_ray(start: Floats, end: Floats, clip: Clip) -> tuple[Floats, Floats] | None:
    """Return the part of a line that the planes show, or None for nothing of it."""
    low, high = 0.0, 1.0
    for plane in clip:
        a, b = float(plane.height_mm(start)), float(plane.height_mm(end))
        if a < 0 and b < 0:
            return None
        if a < 0:
            low = max(low, a / (a - b))
        elif b < 0:
            high = min(high, a / (a - b))
    if low >= high:
        return None
    return start + low * (end - start), start + high * (end - start)


def vtk_planes(clip: Iterable[ClipPlane]) -> list[Any]:
    """Return the planes as VTK takes them."""
    made = []
    for plane in clip:
        one = vtkPlane()
        one.SetOrigin(plane.point_mm)
        one.SetNormal(plane.normal)
        made.append(one)
    return made


def apply_clip(actor: Any, clip: Clip) -> None:
    """Hide of ``actor`` what the planes hide."""
    mapper = actor.GetMapper()
    mapper.RemoveAllClippingPlanes()
    for plane in vtk_planes(clip):
        mapper.AddClippingPlane(plane)


def face_actors(shape: Any, colour: Sequence[float], clip: Clip, rank: int = 0) -> list[Any]:
    """Return actors of the faces where planes cut a closed surface (vtkPolyData).

    They are evenly coloured (0 to 1), so that they read as a section. Of two faces in one
    place that of the higher ``rank`` is seen.
    """
    made = []
    for number, plane in enumerate(vtk_planes(clip)):
        cutter = vtkCutter()
        cutter.SetInputData(shape)
        cutter.SetCutFunction(plane)
        fill = vtkContourTriangulator()
        fill.SetInputConnection(cutter.GetOutputPort())
        fill.Update()
        face = fill.GetOutput()
        if not face.GetNumberOfCells():
            continue
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(face)
        mapper.ScalarVisibilityOff()
        for other in vtk_planes(clip[:number] + clip[number + 1 :]):
            mapper.AddClippingPlane(other)
        actor = vtkActor()
        actor.SetMapper(mapper)
        look = actor.GetProperty()
        look.SetColor(*colour)
        look.LightingOff()
        look.SetOpacity(FACE_OPACITY)
        actor.SetPosition(*(-RANK_MM * rank * np.asarray(clip[number].normal)))
        made.append(actor)
    return made
