"""What other packages need of surfaces, in one place."""

from meshing.decimation import decimate
from meshing.isosurface import isosurface
from meshing.mesh import (
    OpenSurface,
    SurfaceMesh,
    area_mm2,
    bounding_block,
    enclosed_mm3,
    from_trimesh,
    from_vtk,
    is_watertight,
    measured,
    require_watertight,
    to_trimesh,
    to_vtk,
    volume_ml,
)
from meshing.smoothing import smooth_surface

__all__ = [
    "OpenSurface",
    "SurfaceMesh",
    "area_mm2",
    "bounding_block",
    "decimate",
    "enclosed_mm3",
    "from_trimesh",
    "from_vtk",
    "is_watertight",
    "isosurface",
    "measured",
    "require_watertight",
    "smooth_surface",
    "to_trimesh",
    "to_vtk",
    "volume_ml",
]
