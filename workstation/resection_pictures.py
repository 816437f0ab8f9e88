"""Pictures of a resection for its report: the cut, the margin, territories and vessels.

Space is DICOM patient LPS in millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from meshing.surface import SurfaceMesh
from segmentation.volume import LabelMap
from workstation.actors import CUT_LOOK, look_of, scene_items
from workstation.camera import Side
from workstation.picture import Picture, render_scene
from workstation.planning.resection import Cut
from workstation.shading import SceneItem

PICTURE_PX = (600, 430)
FAINT = 0.18  # opacity of what only shows where the rest lies
DEEPEST = 6  # half voxels below a surface in which its label is looked for


def resection_pictures(values: Mapping[str, object]) -> list[tuple[str, Picture]]:
    """Return pictures with their captions, as far as the plan computed what they show."""
    shown = (_cut(values), _margin(values), _territories(values), _vessels(values))
    return [
        (caption, render_scene(items, side, PICTURE_PX))
        for caption, side, items in shown
        if items and side is not None
    ]


View = tuple[str, Side | None, Mapping[str, SceneItem]]
NOTHING: View = ("", None, {})


def _cut(values: Mapping[str, object]) -> View:
    names = ("remnant_surface", "specimen_surface", "cut", "tumor_surface")
    items = scene_items({name: values[name] for name in names if name in values})
    if "cut" not in items or "remnant_surface" not in items:
        return NOTHING
    return "The cut, from below: remnant, specimen (lighter) and tumour.", "I", items


def _margin(values: Mapping[str, object]) -> View:
    items = scene_items({n: values[n] for n in ("margin_map", "cut") if n in values})
    if "margin_map" not in items or not _filled(values["margin_map"]) or "cut" not in items:
        return NOTHING
    items["cut"] = replace(items["cut"], opacity=FAINT)
    return "Margin: distance of the tumour's surface from the cut, from the front.", "A", items


def _territories(values: Mapping[str, object]) -> View:
    labels, surface = values.get("territories"), values.get("liver_surface")
    if not isinstance(labels, LabelMap) or not isinstance(surface, SurfaceMesh):
        return NOTHING
    items = painted(surface, labels)
    names = ", ".join(labels.labels[int(name)].name for name in items)
    cut = values.get("cut")
    if isinstance(cut, Cut):
        items |= scene_items({"cut": cut})
    return f"Territories on the liver's surface, from the front: {names}.", "A", items


def _vessels(values: Mapping[str, object]) -> View:
    surface = values.get("vessels_surface")
    labels = next(
        (v for n in ("veins", "vessels") if isinstance(v := values.get(n), LabelMap)), None
    )
    if not isinstance(surface, SurfaceMesh) or labels is None or not _filled(surface):
        return NOTHING
    items = painted(surface, labels)
    liver, cut = values.get("liver_surface"), values.get("cut")
    if isinstance(liver, SurfaceMesh):
        look = look_of("liver")
        assert look is not None
        items["liver"] = SceneItem(liver, look.colour, FAINT, kind=look.kind)
    if isinstance(cut, Cut):
        items["cut"] = SceneItem(cut.surface, CUT_LOOK.colour, 2 * FAINT, kind="sheet")
    names = ", ".join(label.name.lower().replace("_", " ") for label in labels.labels.values())
    return f"Vessels and cut, from the front: {names}.", "A", items


def painted(surface: SurfaceMesh, labels: LabelMap) -> dict[str, SceneItem]:
    """Return the parts of a surface that lie on each label, in its colour, by label value."""
    middle = surface.points_mm[surface.triangles].mean(axis=1)
    inward = -_normals(surface) * min(labels.geometry.spacing_mm) / 2
    found = np.zeros(len(middle), np.int64)
    for depth in range(DEEPEST):
        empty = np.flatnonzero(found == 0)
        found[empty] = _values(labels, middle[empty] + depth * inward[empty])
    return {
        str(value): SceneItem(
            replace(surface, triangles=surface.triangles[found == value], point_data={}),
            label.colour,
            kind="sheet",
        )
        for value, label in labels.labels.items()
        if np.any(found == value)
    }


def _normals(surface: SurfaceMesh) -> npt.NDArray[np.float64]:
    a, b, c = (surface.points_mm[surface.triangles[:, n]] for n in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(normal / np.maximum(length, 1e-12))


def _values(labels: LabelMap, points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the label at each LPS point, 0 outside."""
    index = np.rint(labels.geometry.to_index(points_mm)).astype(int)
    size = np.array(labels.geometry.size)
    inside = np.all((index >= 0) & (index < size), axis=1)
    i, j, k = np.where(inside[:, None], index, 0).T
    return np.asarray(np.where(inside, labels.array[k, j, i], 0), np.int64)


def _filled(surface: object) -> bool:
    return isinstance(surface, SurfaceMesh) and len(surface.triangles) > 0
