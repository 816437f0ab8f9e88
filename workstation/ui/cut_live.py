"""The plan's cut as it is judged while a hand moves it, or a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workstation.planning.cut_surface import CutSurface
from workstation.planning.live_cuts import LiveCut, LiveJoined, LivePlanes
from workstation.planning.live_wedge import LiveWedge
from workstation.planning.resection import CutPlane, unit_normal
from workstation.ui.desk import Desk
from workstation.ui.four_up import CUT_STEP

PLANES, WEDGE, JOINED = "planning.cut_planes", "planning.cut_wedge", "planning.combine_cuts"


def live_planes(params: Mapping[str, Any]) -> LivePlanes:
    """Return several planes from the parameters of their step."""
    normals = tuple(unit_normal(normal) for normal in params["normals"])
    return LivePlanes(tuple(params["points_mm"]), normals, params.get("specimen", "between"))


def live_wedge(params: Mapping[str, Any]) -> LiveWedge:
    """Return a wedge from the parameters of its step."""
    names = ("margin_mm", "opening_degrees", "lesions", "spared_mm", "open_to_surface")
    return LiveWedge(**{name: params[name] for name in names if name in params})


def moved_cut(desk: Desk, name: str, moved: LiveCut, of: str = CUT_STEP) -> LiveCut | None:
    """Return the plan's cut ``of`` with the one called ``name`` in it moved.

    None where a part of it is not computed.
    """
    if name == of:
        return moved
    step = desk.session.require_plan().step(of)
    if step.stage == JOINED:
        one, two = (moved_cut(desk, name, moved, step.inputs[n]) for n in ("cut", "other"))
        if one is None or two is None:
            return None
        return LiveJoined(one, two, step.params.get("operation", "either"))
    value = desk.value(of)
    if isinstance(value, CutPlane):
        return LivePlanes((value.point_mm,), (value.normal,))
    if isinstance(value, CutSurface):
        return value if value.sheet is None else value.sheet
    return None
