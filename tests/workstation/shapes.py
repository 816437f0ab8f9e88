"""Small surfaces for pictures."""

from __future__ import annotations

import numpy as np
from vtkmodules.vtkFiltersSources import vtkSphereSource

from meshing.surface import SurfaceMesh, from_vtk


def sphere(centre_mm, radius_mm, steps=40) -> SurfaceMesh:
    source = vtkSphereSource()
    source.SetCenter(*centre_mm)
    source.SetRadius(radius_mm)
    source.SetThetaResolution(steps)
    source.SetPhiResolution(steps)
    source.Update()
    return from_vtk(source.GetOutput(), frame_uid="1.2.3")


def blob(picture, channel):
    """Centre (x, y) in pixels of what is mostly of one colour channel, and its size."""
    others = np.delete(picture, channel, axis=2).max(axis=2).astype(int)
    rows, columns = np.nonzero(picture[..., channel].astype(int) > others + 40)
    assert len(rows), "nothing of this colour is in the picture"
    return columns.mean() + 0.5, rows.mean() + 0.5, len(rows)
