"""The surfaces of the 3D view as a person wants them: looks, and what is selected lit up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workstation.looks import with_look
from workstation.planning.resection import CutPlane
from workstation.session import ViewState
from workstation.shading import SceneItem
from workstation.ui.desk import Desk

LIGHT = 0.25  # of white in the colour of what is selected


def chosen_looks(items: Mapping[str, SceneItem], view: ViewState) -> dict[str, SceneItem]:
    """Return ``items`` with the looks that ``view`` holds for them."""
    shown = {name: with_look(item, view.looks.get(name)) for name, item in items.items()}
    selected = shown.get(view.selected)
    if selected is not None:
        red, green, blue = (round(c + LIGHT * (255 - c)) for c in selected.colour)
        shown[view.selected] = replace(selected, colour=(red, green, blue))
    return shown


def frames_elsewhere(sources: Mapping[str, Mapping[str, Any]], frame_uid: str) -> frozenset[str]:
    """Return the frames of reference of the case's other images, such as another person's CT."""
    images = {str(s["frame_uid"]) for s in sources.values() if s["kind"] == "volume"}
    return frozenset(images - {frame_uid, ""})


def here_only(values: Mapping[str, Any], elsewhere: frozenset[str]) -> dict[str, Any]:
    """Return the values that do not lie in one of the frames ``elsewhere``."""
    return {n: v for n, v in values.items() if getattr(v, "frame_uid", "") not in elsewhere}


def planes_beside(desk: Desk, cut: str) -> dict[str, object]:
    """Return the planes shown beside the one ``cut`` that a hand moves, as those of osteotomies."""
    return {
        name: value
        for name, value in desk.results().items()
        if isinstance(value, CutPlane) and name != cut and desk.is_shown(name)
    }
