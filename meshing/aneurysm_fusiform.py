"""Saccular or fusiform: whether a wide place widens its vessel all around.

A saccular aneurysm is a pouch beside its vessel; a fusiform one widens the whole circumference of
it, so that it has no neck. Points are (x, y, z) in DICOM patient LPS millimetres.
"""

from __future__ import annotations

import numpy as np

from meshing.aneurysm_neck import NoNeck
from meshing.aneurysm_vessel import STEPS, Ball, ParentVessel

ENCLOSED = 1 - 1 / STEPS  # radii of the vessel around its middle, which is known to a voxel
AT_FORK = 1.5  # the same where vessels fork: there they bend into the sac
ANEURYSM = 1.5  # times as wide as its vessel, and a wide place is an aneurysm
BOTTLENECK = 0.95  # times its neck: a wall that is no narrower may be a sac


def require_saccular(vessel: ParentVessel, ball: Ball) -> None:
    """Raise unless a sac lies beside its vessel.

    Where the largest ball in a wide place holds the vessel with all of its circumference, on every
    shortest way through, the place has no neck. An aneurysm is at least half as wide again as its
    vessel (Johnston et al., J Vasc Surg 13 (1991) 444).

    Raises:
        NoNeck: saying where the wide place is, and how wide.
    """
    least = ENCLOSED if vessel.ends == 2 else AT_FORK
    if vessel.enclosed(ball) < least:
        return
    factor = ball.radius_mm / vessel.size_mm
    where = ", ".join(f"{v:.0f}" for v in np.asarray(ball.centre_mm))
    what = (
        "the widest place is fusiform"
        if factor >= ANEURYSM
        else "the widest place is no aneurysm, which is 1.5 times as wide as its vessel"
    )
    raise NoNeck(
        f"no saccular aneurysm found: {what}, {2 * ball.radius_mm:.1f} mm wide at ({where}), "
        f"{factor:.1f} times its vessel of {2 * vessel.size_mm:.1f} mm and wider than it all "
        "around, so it has no neck; click in the dome if there is a sac elsewhere, or draw a neck "
        "by points on the surface"
    )


def require_no_stump(vessel: ParentVessel, ball: Ball, neck_mm: float) -> None:
    """Raise if what was found unasked is a blind end no wider than its vessel nor than its neck.

    A sac has a bottleneck: it is wider than its neck. The stump of a branch is not.

    Raises:
        NoNeck: saying where it is, and how wide.
    """
    if ball.radius_mm >= vessel.size_mm or 2 * ball.radius_mm >= BOTTLENECK * neck_mm:
        return
    where = ", ".join(f"{v:.0f}" for v in np.asarray(ball.centre_mm))
    raise NoNeck(
        f"no saccular aneurysm found: what stands out farthest, at ({where}), is "
        f"{2 * ball.radius_mm:.1f} mm wide, narrower than its vessel and than its base of "
        f"{neck_mm:.1f} mm, as the stump of a branch is; click in it if it is a sac"
    )
