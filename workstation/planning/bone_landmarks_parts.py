"""What the landmarks of several bones have in common: a ball that is a joint, a shaft, their text.

Points are DICOM patient LPS millimetres, directions are unit vectors in LPS.
"""

from __future__ import annotations

from meshing.surface import SurfaceMesh
from segmentation.contract import Number
from segmentation.volume import Floats
from workstation.planning.bone_axes import Ball, Cloud, across_of, find_shaft, long_axis, unit
from workstation.planning.bone_landmarks_record import Marks


def ball_text(ball: Ball, what: str = "ball", whole: str = "it on the bone") -> str:
    """Say how round a joint is, such as "ball of 24.0 mm radius, 60 % of it on the bone"."""
    return (
        f"{what} of {ball.radius_mm:.1f} mm radius, {100 * ball.share:.0f} % of {whole}, "
        f"rms {ball.rms_mm:.2f} mm"
    )


def head_numbers(ball: Ball | None) -> tuple[Number, ...]:
    """Return the radius of a head with its band, none without a ball."""
    if ball is None:
        return ()
    source = "least squares on the surface of the head; the band is the rms misfit"
    low, high = ball.radius_mm - ball.rms_mm, ball.radius_mm + ball.rms_mm
    return (Number("head_radius", ball.radius_mm, "mm", source, low, high),)


def upward(cloud: Cloud, marks: Marks) -> Floats:
    """Return the long axis of a bone, towards its head where that is known."""
    axis = long_axis(cloud.points_mm)
    head = marks.points.get("head")
    middle = cloud.points_mm.mean(axis=0)
    return axis if head is None or (head - middle) @ axis > 0 else -axis


def put_shaft(mesh: SurfaceMesh, axis: Floats, marks: Marks) -> None:
    """Put both ends of a shaft's middle; up is along it, medial is where the head lies."""
    ends = find_shaft(mesh, axis)
    for n, name in enumerate(("shaft_bottom", "shaft_top")):
        if ends is None or "head" not in marks.points:
            why = "the head is unknown" if ends else "too little of the shaft is there"
            marks.put(name, None, why)
        else:
            marks.put(name, ends[n], "middles of the shaft's sections")
    if {"shaft_bottom", "shaft_top"} <= marks.points.keys():
        marks.directions["up"] = unit(marks.points["shaft_top"] - marks.points["shaft_bottom"])
        if "head" in marks.points:
            medial = marks.points["head"] - marks.points["shaft_top"]
            marks.directions["medial"] = across_of(medial, marks.directions["up"])
