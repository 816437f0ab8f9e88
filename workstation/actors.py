"""How each type of value appears in 3D: one table from value type to builder.

Shared by the window and the report. Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hemodynamics.flow_result import FlowResult
from hemodynamics.porous import PorousRegion
from meshing import centerline_tubes
from meshing.aneurysm_neck import Neck, as_measured
from meshing.centerline import Centerline
from meshing.drawn import as_tubes
from meshing.surface import SurfaceMesh
from meshing.volume_mesh import VolumeMesh
from segmentation.anatomy import ANATOMY
from segmentation.measured import Measured
from workstation.looks import default_quantity, scalar_map
from workstation.picture import Colour, Kind, SceneItem
from workstation.planning.cut_surface import CutSurface
from workstation.planning.resection import Cut, CutPlane

MEASURED: Colour = (255, 224, 122)
DOME_COLOUR: Colour = (229, 169, 75)
CRITICAL_COLOUR: Colour = (79, 176, 165)
ABLATION_COLOUR: Colour = (240, 96, 64)
TRACT_COLOUR: Colour = (217, 140, 224)
POROUS_OPACITY = 0.7  # of what blood seeps through
UNSET: Colour = (255, 160, 60)  # what a surface has that nobody gave a colour


@dataclass(frozen=True)
class Look:
    """How anatomy is drawn: sRGB colour (0 to 255), opacity (0 to 1) and matter."""

    colour: Colour
    opacity: float = 1.0
    kind: Kind = "organ"


CUT_LOOK = Look((0x4D, 0xA3, 0xFF), 0.35, "sheet")
LONG_BONES = ("femur", "tibia", "fibula", "pelvis", "scapula", "humerus", "fragment")
DEVICES = {"implant": (0xA9, 0xC0, 0xD0), "guide": (0x6F, 0xD0, 0xC0)}


def _anatomy(name: str, opacity: float = 1.0, kind: Kind = "organ") -> Look:
    return Look(ANATOMY[name].colour, opacity, kind)


# The first entry whose words all occur in a name decides.
LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "cut": CUT_LOOK,
        "cavity": _anatomy("liver", 0.12),  # what lies in it is looked at
        "specimen": _anatomy("specimen", 0.55),
        "remnant": _anatomy("remnant", 0.55),
        "tumour": _anatomy("tumor"),
        "tumor": _anatomy("tumor"),
        "lesion": _anatomy("tumor"),
        "portal": _anatomy("portal_vein", kind="vessel"),
        "vein": _anatomy("hepatic_vein", kind="vessel"),
        "dome": Look(DOME_COLOUR, kind="vessel"),
        "lumen": _anatomy("artery", 0.35, kind="vessel"),
        "artery": _anatomy("artery", kind="vessel"),
        "aorta": _anatomy("artery", kind="vessel"),
        "vessel": _anatomy("vessels", kind="vessel"),
        "bile": _anatomy("bile_duct", kind="vessel"),
        "liver": _anatomy("liver", 0.35),
        "gallbladder": _anatomy("gallbladder"),
        "kidney": _anatomy("kidney", 0.6),
        "spleen": _anatomy("spleen", 0.6),
        "pancreas": _anatomy("pancreas", 0.8),
        "lung": _anatomy("lung", 0.35),
        "bone around": _anatomy("bone", 0.35, kind="bone"),
        "bone": _anatomy("bone", kind="bone"),
        **{name: _anatomy("bone", kind="bone") for name in LONG_BONES},
        "skull": _anatomy("bone", kind="bone"),
        "skin": _anatomy("skin", 0.25),
        "brain": _anatomy("brain", 0.6),
        "organ": _anatomy("kidney", 0.25),
        "critical": Look(CRITICAL_COLOUR, 0.45),
        "ablation": Look(ABLATION_COLOUR, 0.45),
        "tract": Look(TRACT_COLOUR, kind="vessel"),
        **{name: Look(colour, kind="device") for name, colour in DEVICES.items()},
    }
)


def look_of(name: str) -> Look | None:
    """Return the look of the anatomy that ``name`` speaks of, or None."""
    spoken = name.lower().replace("_", " ")
    return next(
        (look for words, look in LOOKS.items() if all(w in spoken for w in words.split())), None
    )


def scene_items(values: Mapping[str, object]) -> dict[str, SceneItem]:
    """Return what of ``values`` (name to any value) can be shown, ready for a `Scene`."""
    return {
        name: BUILDERS[type(value)](name, value)
        for name, value in values.items()
        if type(value) in BUILDERS
    }


def _surface(name: str, surface: SurfaceMesh) -> SceneItem:
    look = look_of(name) or look_of(surface.name) or Look(UNSET)
    colour = look.colour if surface.colour == UNSET else surface.colour
    mapped = default_quantity(surface)  # a map is there to be seen, also what lies behind
    opacity = 1.0 if mapped else look.opacity
    scalars = scalar_map(surface, mapped)
    return SceneItem(surface, colour, opacity, kind=look.kind, scalars=scalars)


def _measured(name: str, value: Measured) -> SceneItem:
    return SceneItem(as_tubes(value, name), MEASURED, kind="mark")


def _volume_mesh(name: str, mesh: VolumeMesh) -> SceneItem:
    return _surface(name, mesh.outside)


def _centerline(name: str, value: Centerline) -> SceneItem:
    return _surface(name, centerline_tubes.as_tubes(value, name))


def _neck(name: str, value: Neck) -> SceneItem:
    return _measured(name, as_measured(value))


def _flow(name: str, flow: FlowResult) -> SceneItem:
    return _surface(name, flow.wall)


def _porous(name: str, region: PorousRegion) -> SceneItem:
    return SceneItem(region.surface, region.surface.colour, POROUS_OPACITY, kind="device")


def _cut(name: str, cut: Cut) -> SceneItem:
    return SceneItem(cut.surface, CUT_LOOK.colour, CUT_LOOK.opacity, kind=CUT_LOOK.kind)


BUILDERS: Mapping[type, Callable[[str, Any], SceneItem]] = MappingProxyType(
    {
        Centerline: _centerline,
        FlowResult: _flow,
        PorousRegion: _porous,
        Neck: _neck,
        SurfaceMesh: _surface,
        VolumeMesh: _volume_mesh,
        CutPlane: _cut,
        CutSurface: _cut,
        Measured: _measured,
    }
)
