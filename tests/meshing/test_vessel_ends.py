"""Cut ends are square and flat, extensions circular, caps named, and the result closed."""

import numpy as np
import pytest

from meshing.centerline import centerline
from meshing.lumen import boundary_loops, opening_of, split_pieces
from meshing.ring_caps import disc
from meshing.ring_cut import NotSevered, cut_off
from meshing.sections import Slicer
from meshing.surface import OpenSurface, SurfaceMesh, is_watertight, volume_ml
from meshing.vessel_ends import cap_ends, cut_ends, extend_ends
from segmentation.contract import FrameMismatch
from tests.meshing.vessels import TILTED, line, swept, torus

AXIS = line(40.0)
CONE = swept(AXIS, np.linspace(1.8, 3.0, len(AXIS)))


def openings(mesh: SurfaceMesh) -> list:
    found = [opening_of(mesh.points_mm, loop) for loop in boundary_loops(mesh.triangles)]
    return sorted(found, key=lambda o: -o.radius_mm)


def test_an_end_is_cut_square_to_the_centerline_at_its_distance():
    found = centerline(CONE)
    cut = cut_ends(CONE, found, distance_mm=6.0, ends="inlet")
    wide, narrow = openings(cut)
    ring = cut.points_mm[wide.loop]
    assert np.ptp((ring - wide.centre_mm) @ wide.normal) < 0.02
    assert wide.normal @ TILTED == pytest.approx(1.0, abs=1e-3)
    assert (wide.centre_mm - AXIS[0]) @ TILTED == pytest.approx(34.0, abs=0.1)
    assert (narrow.centre_mm - AXIS[0]) @ TILTED == pytest.approx(0.0, abs=0.01)
    assert [f.code for f in cut.findings] == ["end_cut"]


def test_closed_ends_are_opened_and_corners_stay_on_the_wall():
    closed = cap_ends(CONE)
    found = centerline(closed)
    cut = cut_ends(closed, found)
    assert len(openings(cut)) == 2
    along = (cut.points_mm - AXIS[0]) @ TILTED
    away = np.linalg.norm(cut.points_mm - AXIS[0] - along[:, None] * TILTED, axis=1)
    assert np.abs(away - (1.8 + 1.2 * along / 40)).max() < 0.03
    edges = np.linalg.norm(
        cut.points_mm[cut.triangles] - cut.points_mm[np.roll(cut.triangles, 1, axis=1)], axis=2
    )
    assert edges.min() > 0.02  # no sliver


def test_an_oblique_open_end_is_trimmed_until_the_wall_is_whole():
    slanted = CONE.points_mm - 0.8 * ((CONE.points_mm - AXIS[0]) @ [0.7, 0.7, 0.0])[:, None] * (
        np.exp(-((CONE.points_mm - AXIS[0]) @ TILTED)[:, None] / 3) * TILTED
    )
    mesh = SurfaceMesh(slanted, CONE.triangles, "1.2.3")
    cut = cut_ends(mesh, centerline(mesh), distance_mm=0.5)
    for opening in openings(cut):
        ring = cut.points_mm[opening.loop]
        assert np.ptp((ring - opening.centre_mm) @ opening.normal) < 0.05


def test_extensions_are_as_long_as_asked_and_end_in_circles():
    squashed = np.array(CONE.points_mm)
    across = np.cross(TILTED, [1.0, 0, 0])
    across /= np.linalg.norm(across)
    squashed -= 0.3 * ((squashed - AXIS[0]) @ across)[:, None] * across
    mesh = SurfaceMesh(squashed, CONE.triangles, "1.2.3")
    before = openings(mesh)
    longer = extend_ends(mesh, centerline(mesh), diameters=4.0)
    for old, new in zip(before, openings(longer)):
        assert new.radius_mm == pytest.approx(old.radius_mm, rel=0.01)
        gap = new.centre_mm - old.centre_mm
        assert gap @ old.normal == pytest.approx(8 * old.radius_mm, rel=0.02)
        rim = np.linalg.norm(longer.points_mm[new.loop] - new.centre_mm, axis=1)
        assert np.ptp(rim) < 0.02 * new.radius_mm
        rough = np.linalg.norm(mesh.points_mm[old.loop] - old.centre_mm, axis=1)
        assert np.ptp(rough) > 0.2 * old.radius_mm


def test_a_capped_vessel_is_closed_with_named_parts_that_share_out_its_triangles():
    found = centerline(CONE)
    ready = cap_ends(extend_ends(cut_ends(CONE, found), found), found, names="outlet_1=mca")
    assert is_watertight(ready)
    assert volume_ml(ready) > 0
    assert set(ready.boundaries) == {"wall", "inlet", "mca"}
    parts = np.concatenate(list(ready.boundaries.values()))
    assert np.array_equal(np.sort(parts), np.arange(len(ready.triangles)))
    inlet = ready.points_mm[ready.triangles[ready.boundaries["inlet"]]]
    area = np.cross(inlet[:, 1] - inlet[:, 0], inlet[:, 2] - inlet[:, 0]).sum(axis=0) / 2
    assert area @ TILTED == pytest.approx(
        np.linalg.norm(area), rel=1e-3
    )  # outward, at the wide end
    size = next(n.value for n in ready.numbers if n.quantity == "inlet.area")
    assert np.linalg.norm(area) == pytest.approx(size, rel=0.01)
    plain = cap_ends(CONE)
    assert set(plain.boundaries) == {"wall", "inlet", "outlet_1"}
    assert "inlet_assumed" in [f.code for f in plain.findings]


def test_a_small_hole_is_closed_into_the_wall_and_is_no_end():
    holed = SurfaceMesh(CONE.points_mm, np.delete(CONE.triangles, [900, 901], axis=0), "1.2.3")
    assert len(centerline(holed).ends) == 2
    ready = cap_ends(holed)
    assert is_watertight(ready)
    assert set(ready.boundaries) == {"wall", "inlet", "outlet_1"}
    assert "holes_closed" in [f.code for f in ready.findings]


def test_a_ring_cannot_be_cut_off_and_wrong_ends_are_named():
    ring = torus(12.0, 3.0)
    with pytest.raises(ValueError, match="closed ring"):
        cut_ends(ring, centerline(ring))
    piece = split_pieces(ring)[0]
    section = Slicer(piece).around(np.array([12.0, 0, 5]), np.array([0.0, 1, 0]), 3.0)
    with pytest.raises(NotSevered, match="ring"):
        cut_off(piece, section)
    found = centerline(CONE)
    with pytest.raises(ValueError, match="no end 'nose'"):
        cut_ends(CONE, found, ends="nose")
    with pytest.raises(ValueError, match="no open end 'nose'"):
        extend_ends(CONE, found, ends="nose")
    with pytest.raises(ValueError, match="no open end"):
        cap_ends(ring)
    with pytest.raises(FrameMismatch, match=r"9\.9"):
        cut_ends(SurfaceMesh(CONE.points_mm, CONE.triangles, "9.9"), found)
    twisted = SurfaceMesh(CONE.points_mm, np.concatenate([CONE.triangles, CONE.triangles[:1]]), "")
    with pytest.raises(OpenSurface):
        cap_ends(twisted)


def test_caps_of_bent_and_hollow_rims_are_closed():
    turn = np.arange(60) * 2 * np.pi / 60
    kidney = (2 + 1.2 * np.cos(2 * turn) + 0.6 * np.cos(turn))[:, None]
    ring = np.stack([np.cos(turn), np.sin(turn), 0.1 * np.sin(3 * turn)], axis=1) * kidney
    opening = opening_of(ring, np.arange(60))
    inner, faces = disc(ring, opening)
    edges = {(int(t[n]), int(t[(n + 1) % 3])) for t in faces for n in range(3)}
    free = {edge for edge in edges if edge[::-1] not in edges}
    assert free == {(n, (n + 1) % 60) for n in range(60)}
    assert len(inner) == faces.max() - 59
