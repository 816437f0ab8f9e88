"""Surfaces for film, robots and headsets: Universal Scene Description, with the extra ``usd``.

USD is written in metres with +Y up, which every viewer understands, so that the patient stands
upright and faces the viewer.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meshing.gltf import COLOURS, LPS_TO_GLTF, linear_of
from meshing.surface import SurfaceMesh

NEEDS = 'USD files need the package usd-core; install it with: pip install "hilum[usd]"'


def has_usd() -> bool:
    """Tell whether the package usd-core is installed."""
    return importlib.util.find_spec("pxr") is not None


def write_usd(meshes: Sequence[SurfaceMesh], folder: Path, name: str, note: str) -> None:
    """Write ``folder / name`` (.usdz, .usdc or .usda): one mesh and material for each surface.

    Surfaces with point data `meshing.gltf.COLOURS` are coloured by these.

    Raises:
        ValueError: if the package usd-core is not installed.
    """
    usd = _usd()
    packed = name.lower().endswith(".usdz")
    layer = folder / (Path(name).stem + ".usdc" if packed else name)
    stage = usd.Usd.Stage.CreateNew(str(layer))
    usd.UsdGeom.SetStageUpAxis(stage, usd.UsdGeom.Tokens.y)
    usd.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.GetRootLayer().comment = f"Hilum; LPS turned to +Y up, metres. {note}".strip()
    root = usd.UsdGeom.Xform.Define(stage, "/patient")
    stage.SetDefaultPrim(root.GetPrim())
    for number, mesh in enumerate(meshes, 1):
        _define(usd, stage, mesh, number)
    stage.GetRootLayer().Save()
    del stage
    if packed:
        with usd.Sdf.ZipFileWriter.CreateNew(str(folder / name)) as package:
            package.AddFile(str(layer), layer.name)
        layer.unlink()


def _define(usd: Any, stage: Any, mesh: SurfaceMesh, number: int) -> None:
    word = re.sub(r"\W+", "_", mesh.name, flags=re.ASCII).strip("_") or "surface"
    place = f"/patient/{'_' if word[0].isdigit() else ''}{word}_{number}"
    shape = usd.UsdGeom.Mesh.Define(stage, place)
    shape.GetPrim().SetDisplayName(mesh.name or "surface")
    points = (mesh.points_mm @ LPS_TO_GLTF.T / 1000.0).astype(np.float32)
    shape.CreatePointsAttr(usd.Vt.Vec3fArray.FromNumpy(points))
    counts = np.full(len(mesh.triangles), 3, np.int32)
    shape.CreateFaceVertexCountsAttr(usd.Vt.IntArray.FromNumpy(counts))
    corners = mesh.triangles.astype(np.int32).ravel()
    shape.CreateFaceVertexIndicesAttr(usd.Vt.IntArray.FromNumpy(corners))
    shape.CreateSubdivisionSchemeAttr(usd.UsdGeom.Tokens.none)
    low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    shape.CreateExtentAttr([usd.Gf.Vec3f(*low), usd.Gf.Vec3f(*high)])
    colours = mesh.point_data.get(COLOURS)
    light = linear_of(np.array([mesh.colour]) if colours is None else colours)
    tokens = usd.UsdGeom.Tokens
    shape.CreateDisplayColorPrimvar(tokens.constant if colours is None else tokens.vertex).Set(
        usd.Vt.Vec3fArray.FromNumpy(light.astype(np.float32))
    )
    material = usd.UsdShade.Material.Define(stage, f"{place}_material")
    shader = usd.UsdShade.Shader.Define(stage, f"{place}_material/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    diffuse = shader.CreateInput("diffuseColor", usd.Sdf.ValueTypeNames.Color3f)
    if colours is None:
        diffuse.Set(usd.Gf.Vec3f(*light[0].tolist()))
    else:
        reader = usd.UsdShade.Shader.Define(stage, f"{place}_material/colours")
        reader.CreateIdAttr("UsdPrimvarReader_float3")
        reader.CreateInput("varname", usd.Sdf.ValueTypeNames.String).Set("displayColor")
        read = reader.CreateOutput("result", usd.Sdf.ValueTypeNames.Float3)
        diffuse.ConnectToSource(read)
    shader.CreateInput("roughness", usd.Sdf.ValueTypeNames.Float).Set(0.7)
    shown = shader.CreateOutput("surface", usd.Sdf.ValueTypeNames.Token)
    material.CreateSurfaceOutput().ConnectToSource(shown)
    usd.UsdShade.MaterialBindingAPI.Apply(shape.GetPrim()).Bind(material)


def reread_usd(path: Path) -> list[SurfaceMesh]:
    """Return the surfaces, LPS mm, of a file that `write_usd` wrote, in its order."""
    usd = _usd()
    stage = usd.Usd.Stage.Open(str(path))
    scale = 1000.0 * usd.UsdGeom.GetStageMetersPerUnit(stage)
    found = []
    for prim in stage.Traverse():
        if prim.IsA(usd.UsdGeom.Mesh):
            shape = usd.UsdGeom.Mesh(prim)
            points = np.array(shape.GetPointsAttr().Get(), np.float64)
            corners = np.array(shape.GetFaceVertexIndicesAttr().Get(), np.int64)
            name = prim.GetDisplayName()
            found.append(SurfaceMesh(points @ LPS_TO_GLTF * scale, corners, "", name))
    return found


def _usd() -> Any:
    try:
        import pxr
        from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, Vt  # noqa: F401  makes them attributes
    except ImportError as error:
        raise ValueError(NEEDS) from error
    return pxr
