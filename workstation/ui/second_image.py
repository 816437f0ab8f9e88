"""What lies over the image in the slices: a second image brought onto it, or a map of doubt."""

from __future__ import annotations

from segmentation.volume import Volume
from workstation.bands import doubt_steps
from workstation.fusion import Layer
from workstation.raster import default_window, is_ct
from workstation.ui.desk import Desk

DOUBT_OPACITY = 0.7


def layer_over(desk: Desk, image: Volume | None) -> Layer | None:
    """Return what lies over ``image``: the second one if chosen, else the chosen label's doubt."""
    view = desk.session.view
    if image is None:
        return None
    second = desk.value(view.second) if view.second else None
    if isinstance(second, Volume) and second.geometry.frame_uid == image.geometry.frame_uid:
        own = (view.window.width, view.window.level)
        window = own if is_ct(second) and is_ct(image) else default_window(second)
        return Layer(second, view.look, window, view.second_opacity)
    return _doubt_over(desk, image)


def _doubt_over(desk: Desk, image: Volume) -> Layer | None:
    plan = desk.session.plan
    for name, label in doubt_steps(plan).items() if plan is not None else ():
        agreement = desk.value(name)
        shown = desk.is_shown(name) and desk.is_current(name)
        if desk.hand.target not in (label, name) or not shown or not isinstance(agreement, Volume):
            continue
        if agreement.geometry.frame_uid == image.geometry.frame_uid:
            return Layer(agreement, "doubt", opacity=DOUBT_OPACITY)
    return None
