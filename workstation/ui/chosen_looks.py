"""The surfaces of the 3D view as a person wants them: looks, and what is selected lit up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from workstation.looks import with_look
from workstation.session import ViewState
from workstation.shading import SceneItem

LIGHT = 0.25  # of white in the colour of what is selected


def chosen_looks(items: Mapping[str, SceneItem], view: ViewState) -> dict[str, SceneItem]:
    """Return ``items`` with the looks that ``view`` holds for them."""
    shown = {name: with_look(item, view.looks.get(name)) for name, item in items.items()}
    selected = shown.get(view.selected)
    if selected is not None:
        red, green, blue = (round(c + LIGHT * (255 - c)) for c in selected.colour)
        shown[view.selected] = replace(selected, colour=(red, green, blue))
    return shown
