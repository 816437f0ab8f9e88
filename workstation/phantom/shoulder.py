"""A synthetic scapula and humerus whose landmarks and angles are known, as closed surfaces.

Both are built on the left (x to the patient's left, which is lateral, y back, z up, the directions
of LPS); a right one is the mirror image of a left one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from segmentation.volume import Floats, Vector
from workstation.phantom.bones import BonePhantom, Side, made_bone
from workstation.phantom.shapes import (
    Ellipsoid,
    Shape,
    Values,
    chain,
    column,
    ellipsoid,
    half_space,
    intersection,
    outside,
    round_cone,
    union,
)

TRIGONUM, ANGLE = (-105.0, 0.0, 0.0), (-85.0, 0.0, -115.0)
"""Middles of the ends of the medial border of a scapula whose glenoid is centred at the origin."""

BORDER_MM, BLADE_MM = 3.0, 2.5
"""Radius of the medial border; half the thickness of the blade."""

GLENOID_MM = (13.0, 18.0)
"""Half the width and half the height of the glenoid."""

DISH_MM = ((20.0, 22.8, 31.3), 17.0)
"""Half axes of the ellipsoid that hollows the glenoid (out, across, up), and how far off it is."""

HEAD_MM, CAP_MM = 23.0, 6.0
"""Radius of the humeral head, and from its centre to the plane of the anatomical neck."""

EPICONDYLE_MM = 5.0


def scapula(
    side: Side = "left",
    *,
    version: float = -6.0,
    inclination: float = 8.0,
    step_mm: float = 2.0,
    frame_uid: str = "2.25.8",
) -> BonePhantom:
    """Return a scapula with its glenoid at the origin and its plane across y.

    ``version`` (above zero to the front) and ``inclination`` (above zero upward) in degrees are
    those of the glenoid's plane; ``step_mm`` is the cell size of the surface.
    """
    tilt = (1.0, -np.tan(np.radians(version)), np.tan(np.radians(inclination)))
    out = np.array(tilt) / np.linalg.norm(tilt)
    corners = (TRIGONUM, ANGLE, (-12.0, 0.0, -18.0), (-12.0, 0.0, 14.0),
               (-60.0, 0.0, 28.0), (-95.0, 0.0, 30.0))  # fmt: skip
    sides = []
    for one, two in zip(corners, (*corners[1:], corners[0])):
        sides.append(half_space(one, (two[2] - one[2], 0.0, one[0] - two[0])))
    blade = intersection(*sides, half_space((0, BLADE_MM, 0), (0, 1, 0)),
                         half_space((0, -BLADE_MM, 0), (0, -1, 0)))  # fmt: skip
    crest = [(-104.0, 1.0, 0.0), (-80.0, 14.0, 3.0), (-52.0, 28.0, 8.0), (-25.0, 38.0, 14.0)]
    solid = union(
        blade,
        round_cone(TRIGONUM, ANGLE, BORDER_MM, BORDER_MM),
        round_cone(ANGLE, (-14.0, 0.0, -20.0), BORDER_MM, 5.0),
        *_web(crest),
        chain(
            [crest[-1], (5.0, 44.0, 28.0), (28.0, 22.0, 33.0), (30.0, 6.0, 31.0)],
            [5.0, 7.0, 8.0, 6.0],
        ),
        chain([(-15.0, -4.0, 14.0), (-8.0, -20.0, 28.0), (12.0, -34.0, 20.0)], [8, 6.5, 5.5]),
        round_cone((-40.0, 0.0, -4.0), _at(-14 * out), 4.0, 11.0),
        _glenoid(out),
    )
    places = {
        "glenoid": np.zeros(3),
        "trigonum": np.array(TRIGONUM) - [BORDER_MM, 0.0, 0.0],
        "inferior_angle": np.array(ANGLE) - [0.0, 0.0, BORDER_MM],
    }
    angles = {"glenoid_version": version, "glenoid_inclination": inclination}
    return made_bone(solid, (-115, -45, -125), (45, 55, 45), places, angles, side,
                     f"{side} scapula", step_mm, frame_uid)  # fmt: skip


def humerus(
    side: Side = "left",
    *,
    neck_shaft: float = 135.0,
    retroversion: float = 25.0,
    length_mm: float = 300.0,
    step_mm: float = 2.0,
    frame_uid: str = "2.25.8",
) -> BonePhantom:
    """Return a humerus whose shaft stands on the line between its epicondyles, across y.

    ``neck_shaft`` is between the plane of the neck's normal and the shaft, ``retroversion`` (above
    zero to the back) against the epicondyles, both in degrees; ``length_mm`` is how far the middle
    of the upper end lies above them.
    """
    lift, turn = np.radians(neck_shaft - 90), np.radians(retroversion)
    out = np.array([-np.cos(turn) * np.cos(lift), np.sin(turn) * np.cos(lift), np.sin(lift)])
    head = np.array([0.0, 0.0, length_mm]) + 10 * out
    neck = head + CAP_MM * out
    medial, lateral = (-30.0, 0.0, 0.0), (26.0, 0.0, 0.0)
    solid = union(
        intersection(ellipsoid(_at(head), (HEAD_MM,) * 3), half_space(_at(neck), _at(-out))),
        round_cone((0, 0, length_mm - 45), _at(head - 6 * out), 11.0, 19.0),
        ellipsoid((15.0, -3.0, length_mm + 2), (12.0, 12.0, 14.0)),
        ellipsoid((4.0, -15.0, length_mm - 3), (8.0, 8.0, 11.0)),
        round_cone((0, 0, 50), (0, 0, length_mm - 40), 10.0, 11.0),
        round_cone((0, 0, 55), medial, 9.0, EPICONDYLE_MM),
        round_cone((0, 0, 55), lateral, 9.0, EPICONDYLE_MM),
        round_cone((-18, -9, -6), (18, -10, -6), 11.0, 10.0),
        round_cone((0, 0, 40), (0, -6, -4), 9.0, 11.0),
    )
    reach = np.array([EPICONDYLE_MM, 0.0, 0.0])
    places = {
        "head": head,
        "apex": head + HEAD_MM * out,
        "neck": neck,
        "medial_epicondyle": np.array(medial) - reach,
        "lateral_epicondyle": np.array(lateral) + reach,
    }
    angles = {"neck_shaft_angle": neck_shaft, "humeral_retroversion": retroversion}
    return made_bone(solid, (-45, -40, -25), (40, 40, length_mm + 40), places, angles, side,
                     f"{side} humerus", step_mm, frame_uid)  # fmt: skip


def _web(crest: list[Vector]) -> list[Shape]:
    """Return the spine between its crest and the blade."""
    found = []
    for one, two in pairwise(crest):
        for part in np.linspace(0, 1, 6):
            top = np.asarray(one) + part * (np.asarray(two) - one)
            foot = (float(top[0]), 0.0, float(top[2]))
            found.append(round_cone(foot, _at(top), 3.5, 3.5 + (top[0] + 105) / 40))
    return found


def _glenoid(out: Floats) -> Shape:
    """Return the end of the scapula with its hollow, which faces ``out`` at the origin."""
    across = np.cross(out, (0.0, 0.0, 1.0))
    across /= np.linalg.norm(across)
    up = np.cross(across, out)
    post = _turned(column((0, 0), GLENOID_MM), np.array([across, up, out]))
    radii, off = DISH_MM
    one, two, three = np.stack([out, across, up], axis=1)
    hollow = Ellipsoid(_at(off * out), radii, (_at(one), _at(two), _at(three)))
    return intersection(
        post,
        half_space((0, 0, 0), _at(out)),
        half_space(_at(-16 * out), _at(-out)),
        outside(hollow.shape()),
    )


def _turned(shape: Shape, rows: Floats) -> Shape:
    """Return a shape that sees points by their share of three unit directions, (3, 3) rows."""

    def distance(x: Values, y: Values, z: Values) -> Values:
        seen = (np.float32(a) * x + np.float32(b) * y + np.float32(c) * z for a, b, c in rows)
        return np.asarray(shape.distance_mm(*seen))

    return Shape(distance)


def _at(point: Floats) -> Vector:
    return float(point[0]), float(point[1]), float(point[2])
