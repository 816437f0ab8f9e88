"""A graft in the cavity that is to take it: what collides, what room is left, how deep it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from meshing.booleans import combine_surfaces
from meshing.nearest import NearestOnSurface
from meshing.surface import SurfaceMesh, enclosed_mm3, require_watertight
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, share, silent
from workstation.planning.transplant_rows import STEP_OF_IMAGES, Row

CLEARANCE = "clearance_mm"
"""Room at each point of the graft; negative where it lies outside the cavity."""

ML_PER_MM3 = 1e-3
NEGLIGIBLE = 1e-9
LEAST_ML = 1e-3
FIT_RULE = "graft moved into the cavity and not deformed: measured, no general limit"
FRONT_TO_BACK = 1
"""The axis of LPS from front to back."""


def graft_in_cavity(
    graft: SurfaceMesh,
    cavity: SurfaceMesh,
    *,
    place: Literal["centred", "as it lies"] = "centred",
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    progress: Progress = silent,
) -> SurfaceMesh:
    """Place a graft in the recipient's cavity and measure what collides.

    The graft is moved and never turned or deformed, so what collides is an upper bound for a
    soft organ. The depths are those of the bounding boxes from front to back.

    Args:
        graft: the closed surface of the graft, LPS mm, in the donor's frame or the recipient's.
        cavity: the closed surface of the recipient's cavity, LPS mm.
        place: centred puts middle on middle; as it lies needs one frame for both.
        offset_mm: moves the graft from there, towards left, back and head.

    Raises:
        FrameMismatch: if it should stay as it lies and the frames differ.
        OpenSurface: if one of the surfaces is not closed.
    """
    require_watertight(graft)
    require_watertight(cavity)
    moved = _placed(graft, cavity, place, offset_mm)
    inside = _shared_mm3(moved, cavity, share(progress, 0, 2))
    whole = enclosed_mm3(moved)
    room = -NearestOnSurface(cavity).signed_mm(moved.points_mm, share(progress, 1, 2))
    outside_ml = max(whole - inside, 0.0) * ML_PER_MM3
    depths = [float(np.ptp(m.points_mm[:, FRONT_TO_BACK])) for m in (moved, cavity)]
    source = "surface of the graft, moved and not deformed, against that of the cavity"
    numbers = (
        Number("volume", whole * ML_PER_MM3, "mL", "volume enclosed by the graft"),
        Number("collision_volume", outside_ml, "mL", source),
        Number("room_volume", (enclosed_mm3(cavity) - inside) * ML_PER_MM3, "mL", source),
        Number("clearance_minimum", float(room.min()), "mm", f"{source}; negative is outside"),
        Number("graft_ap_depth", depths[0], "mm", "bounding box, front to back"),
        Number("cavity_ap_depth", depths[1], "mm", "bounding box, front to back"),
    )
    findings = _findings(outside_ml, whole * ML_PER_MM3, room, moved)
    return replace(
        moved,
        name=graft.name or "graft",
        point_data={CLEARANCE: room},
        numbers=numbers,
        findings=findings,
    )


def _placed(
    graft: SurfaceMesh, cavity: SurfaceMesh, place: str, offset_mm: tuple[float, float, float]
) -> SurfaceMesh:
    offset = np.asarray(offset_mm, float)
    if place == "centred":
        offset = offset + _middle(cavity) - _middle(graft)
    elif graft.frame_uid != cavity.frame_uid:
        raise FrameMismatch(
            "graft and cavity lie in different frames of reference; place it centred, or align "
            "the images first"
        )
    moved = graft.reshaped(graft.points_mm + offset, graft.triangles)
    return replace(moved, frame_uid=cavity.frame_uid)


def _middle(mesh: SurfaceMesh) -> np.ndarray:
    """Return the centre of the enclosed volume."""
    corners = mesh.points_mm[mesh.triangles]
    origin = corners.reshape(-1, 3).mean(axis=0)
    a, b, c = np.moveaxis(corners - origin, 1, 0)
    volumes = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    centres = (a + b + c) / 4
    return np.asarray(origin + (volumes[:, None] * centres).sum(axis=0) / volumes.sum())


def _shared_mm3(graft: SurfaceMesh, cavity: SurfaceMesh, progress: Progress) -> float:
    boxes = [(m.points_mm.min(axis=0), m.points_mm.max(axis=0)) for m in (graft, cavity)]
    if np.any(boxes[0][0] > boxes[1][1]) or np.any(boxes[1][0] > boxes[0][1]):
        return 0.0
    whole = combine_surfaces(graft, cavity, operation="intersection", progress=progress)
    return float(enclosed_mm3(whole))


def _findings(
    outside_ml: float, whole_ml: float, room: np.ndarray, moved: SurfaceMesh
) -> tuple[Finding, ...]:
    told = Finding(
        Severity.INFO, "graft_not_deformed",
        "the graft is moved and neither turned nor deformed; a soft organ may fit better",
    )  # fmt: skip
    if outside_ml <= NEGLIGIBLE * whole_ml:
        return (told,)
    worst = int(np.argmin(room))
    x, y, z = (float(value) for value in moved.points_mm[worst])
    text = (
        f"{outside_ml:.3g} mL of the graft ({100 * outside_ml / whole_ml:.2g} %) lie outside the "
        f"cavity, by up to {-room[worst]:.3g} mm"
    )
    return told, Finding(Severity.WARNING, "graft_collides", text, (x, y, z))


def fit_rows(fit: SurfaceMesh | None) -> list[Row]:
    """Return the rows about a graft that was placed in the recipient's cavity, none without one."""
    if fit is None:
        return []
    said = {number.quantity: number for number in fit.numbers}
    needed = ("collision_volume", "graft_ap_depth", "cavity_ap_depth")
    source = f"{STEP_OF_IMAGES}placed_graft (graft in the recipient's cavity)"
    if not all(name in said for name in needed):
        reason = "The surface is no graft that was placed in a cavity."
        return [Row("fit", "unknown", None, "", source, "", FIT_RULE, reason, "graft_in_cavity")]
    outside = said["collision_volume"].value
    depths = [said[name].value for name in needed[1:]]
    room = depths[1] - depths[0]
    rows = (
        ("fit.collision", outside > LEAST_ML, outside, "mL", "Volume of the graft outside."),
        ("fit.ap_depth", room < 0, room, "mm", f"{depths[0]:.4g} against {depths[1]:.4g} mm."),
    )
    return [
        Row(name, "warn" if bad else "pass", value, unit, source, "", FIT_RULE, reason)
        for name, bad, value, unit, reason in rows
    ]
