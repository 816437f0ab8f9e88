"""Smoothing of surfaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from annotated_types import Ge, Gt, Le
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

from meshing.mesh import SurfaceMesh, measured, to_vtk
from segmentation.contract import Progress, silent


def smooth_surface(
    mesh: SurfaceMesh,
    *,
    iterations: Annotated[int, Ge(1), Le(200)] = 20,
    passband: Annotated[float, Gt(0), Le(2)] = 0.1,
    progress: Progress = silent,
) -> SurfaceMesh:
    """Smooth a surface without shrinking it.

    Windowed-sinc filtering: Taubin, Zhang, Golub, Optimal surface smoothing as filter
    design, ECCV 1996. Point data are kept.

    Args:
        mesh: the surface, LPS mm.
        iterations: number of smoothing passes.
        passband: what is kept; smaller smooths more.
        progress: told how far the work is.
    """
    progress(0.1, "smoothing the surface")
    sinc = vtkWindowedSincPolyDataFilter()
    sinc.SetInputData(to_vtk(mesh))
    sinc.SetNumberOfIterations(iterations)
    sinc.SetPassBand(passband)
    sinc.NormalizeCoordinatesOn()
    sinc.BoundarySmoothingOff()
    sinc.Update()
    points = vtk_to_numpy(sinc.GetOutput().GetPoints().GetData())
    return measured(replace(mesh, points_mm=points))
