"""How each type of value appears in 3D: one table from value type to builder.

Shared by the window and the report. Points are DICOM patient LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from meshing.surface import SurfaceMesh
from workstation.picture import Colour, Kind, SceneItem
from workstation.planning.resection import CutPlane

UNSET: Colour = (255, 160, 60)  # what a surface has that nobody gave a colour


@dataclass(frozen=True)
class Look:
    """How anatomy is drawn: sRGB colour (0 to 255), opacity (0 to 1) and matter."""

    colour: Colour
    opacity: float = 1.0
    kind: Kind = "organ"


CUT_LOOK = Look((0x4D, 0xA3, 0xFF), 0.35, "sheet")
# The first entry whose words all occur in a name decides.
LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "cut": CUT_LOOK,
        "specimen": Look((0xE5, 0xA9, 0x4B), 0.55),
        "remnant": Look((0xB5, 0x65, 0x5B), 0.55),
        "tumour": Look((0xE8, 0xC5, 0x47)),
        "tumor": Look((0xE8, 0xC5, 0x47)),
        "lesion": Look((0xE8, 0xC5, 0x47)),
        "portal": Look((0x4F, 0x8F, 0xD9), kind="vessel"),
        "hepatic vein": Look((0x3B, 0x4B, 0xA8), kind="vessel"),
        "vein": Look((0x3B, 0x4B, 0xA8), kind="vessel"),
        "artery": Look((0xD9, 0x53, 0x4F), kind="vessel"),
        "aorta": Look((0xD9, 0x53, 0x4F), kind="vessel"),
        "aneurysm": Look((0xD9, 0x53, 0x4F), kind="vessel"),
        "lumen": Look((0xD9, 0x53, 0x4F), kind="vessel"),
        "vessel": Look((0x4F, 0x8F, 0xD9), kind="vessel"),
        "bile": Look((0x6F, 0xA8, 0x4F), kind="vessel"),
        "liver": Look((0xB5, 0x65, 0x5B), 0.35),
        "gallbladder": Look((0x7F, 0xA6, 0x50)),
        "kidney": Look((0xB9, 0x77, 0x5A), 0.6),
        "spleen": Look((0x8E, 0x5B, 0x9F), 0.6),
        "pancreas": Look((0xD9, 0xA3, 0x5B), 0.8),
        "lung": Look((0x7F, 0xB5, 0xC9), 0.35),
        "implant": Look((0xA9, 0xC0, 0xD0), kind="device"),
        "guide": Look((0x6F, 0xD0, 0xC0), kind="device"),
        "bone": Look((0xE8, 0xDE, 0xC8), kind="bone"),
        "skull": Look((0xE8, 0xDE, 0xC8), kind="bone"),
        "skin": Look((0xD9, 0xB4, 0x9A), 0.25),
        "brain": Look((0xD8, 0xC2, 0xB8), 0.6),
        "nerve": Look((0xF0, 0xE0, 0x5A), kind="vessel"),
        "tract": Look((0xF0, 0xE0, 0x5A), kind="vessel"),
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
    return SceneItem(surface, colour, look.opacity, kind=look.kind)


def _cut_plane(name: str, cut: CutPlane) -> SceneItem:
    return SceneItem(cut.surface, CUT_LOOK.colour, CUT_LOOK.opacity, kind=CUT_LOOK.kind)


BUILDERS: Mapping[type, Callable[[str, Any], SceneItem]] = MappingProxyType(
    {SurfaceMesh: _surface, CutPlane: _cut_plane}
)
