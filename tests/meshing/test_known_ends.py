"""Ends that a lumen names itself: no sac is made of them, and its line keeps their names."""

import numpy as np
import pytest

from meshing.centerline import centerline
from meshing.known_ends import called_as, cap_centres, uncapped
from meshing.surface import SurfaceMesh
from meshing.vessel_ends import cap_ends
from tests.meshing.sacs import surface, tube
from tests.meshing.vessels import line, swept

LOW, HIGH = (-8.0, -4.0, -4.0), (8.0, 4.0, 3.4)


def lumen_with_a_short_branch() -> SurfaceMesh:
    """A tube along x with a wide branch along z that is cut off flat next to it, and its caps."""
    parts = [tube((-20, 0, 0), (20, 0, 0), 1.5), tube((1, 0, 0), (1, 0, 9), 1.2)]
    mesh = surface(parts, (LOW, HIGH), 0.4, tilt=False)
    corners = mesh.points_mm[mesh.triangles]
    caps = {
        "ica": np.abs(corners[..., 0] - HIGH[0]).max(axis=1) < 1e-3,
        "inlet": np.abs(corners[..., 0] - LOW[0]).max(axis=1) < 1e-3,
        "stem": np.abs(corners[..., 2] - HIGH[2]).max(axis=1) < 1e-3,
    }
    wall = ~np.any(list(caps.values()), axis=0)
    parts_of = {"wall": wall, **caps}
    named = {name: np.flatnonzero(cells) for name, cells in parts_of.items()}
    return SurfaceMesh(mesh.points_mm, mesh.triangles, "1.2.3", boundaries=named)


def test_a_short_branch_that_is_an_end_by_name_is_no_sac():
    lumen = lumen_with_a_short_branch()
    found = centerline(lumen)
    assert not found.sacs
    assert set(found.ends) == {"inlet", "ica", "stem"}
    assert len(found.branches) == 3
    assert found.branches[0].from_node == found.ends["inlet"]
    place = found.nodes[found.ends["stem"]].point_mm
    assert place == pytest.approx((1.0, 0.0, HIGH[2]), abs=0.3)
    bare = SurfaceMesh(lumen.points_mm, lumen.triangles, "1.2.3")
    assert len(centerline(bare).ends) == 2  # the caps tell it


def test_the_names_of_caps_are_those_of_the_line():
    lumen = cap_ends(swept(line(20.0), 2.0, sides=16), names="inlet=ica, outlet_1=mca")
    assert list(centerline(lumen, inlet_mm=cap_centres(lumen)["mca"]).ends) == ["mca", "ica"]
    opened = uncapped(lumen)
    assert len(opened.triangles) == len(lumen.boundaries["wall"])
    assert not opened.boundaries
    assert uncapped(opened) is opened
    assert cap_centres(opened) == {}


def test_ends_at_no_cap_keep_their_names_unless_a_cap_has_them():
    caps = {"outlet_2": (0.0, 0.0, 1.0), "outlet_1": (9.0, 0.0, 0.0)}
    places = {4: ((0.0, 0.0, 0.0), 2.0), 7: ((9.0, 0.0, 0.0), 1.0), 8: ((50.0, 0.0, 0.0), 1.0)}
    ends = {"inlet": 4, "outlet_1": 7, "outlet_2": 8}
    named = called_as(ends, places, caps)
    assert named == {"outlet_2": 4, "outlet_1": 7, "outlet_3": 8}
    assert called_as(ends, places, {}) == ends
