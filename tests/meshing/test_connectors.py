"""Parts split with pins are closed, fit with their play, and keep their walls."""

from dataclasses import replace

import manifold3d
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from meshing.booleans import as_solid
from meshing.connectors import NoRoom, split_with_pins
from meshing.faults import solid_faults
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight

TURN = Rotation.from_euler("xyz", (20, -35, 50), degrees=True)
SHIFT = np.array([31.3, -17.7, 204.1])
NORMAL = tuple(TURN.apply([0, 0, 1.0]))


def block(*size: float) -> SurfaceMesh:
    shape = trimesh.creation.box(size)
    return SurfaceMesh(TURN.apply(shape.vertices) + SHIFT, shape.faces, "1.2.3", "block", (9, 8, 7))


def halves(mesh: SurfaceMesh, **params: object) -> tuple[SurfaceMesh, SurfaceMesh]:
    at = {"point_mm": tuple(SHIFT), "normal": NORMAL}
    made = [split_with_pins(mesh, **(at | params), keep=k) for k in ("front", "back")]  # type: ignore[arg-type]
    return made[0], made[1]


def number(mesh: SurfaceMesh, name: str) -> float:
    return next(n.value for n in mesh.numbers if n.quantity == name)


def solid(mesh: SurfaceMesh) -> manifold3d.Manifold:
    return as_solid(mesh, SHIFT)


@pytest.mark.parametrize("connector", ["pin", "key", "dowel"])
def test_both_parts_are_closed_and_come_apart(connector: str) -> None:
    mesh = block(60, 30, 50)
    front, back = halves(mesh, connector=connector, diameter_mm=6, length_mm=8, clearance_mm=0.2)
    assert is_watertight(front)
    assert is_watertight(back)
    assert (front.name, front.colour, front.frame_uid) == ("block", (9, 8, 7), "1.2.3")
    assert number(front, "pins") == 2
    area = {"pin": np.pi * 9, "key": 18, "dowel": np.pi * 9}[connector]
    grown = {"pin": np.pi * 3.2**2, "key": (18**0.5 + 0.4) ** 2, "dowel": np.pi * 3.2**2}[connector]
    deep = 8.0 if connector == "dowel" else 8.2
    assert 45_000 - enclosed_mm3(front) == pytest.approx(2 * grown * deep, rel=0.01)
    added = enclosed_mm3(back) - 45_000
    if connector == "dowel":
        assert added == pytest.approx(-2 * grown * 8, rel=0.01)
    else:
        assert 0.9 * area * 16 < added < area * 16
    # No material is in both parts, and the pins stand in the holes of the other.
    assert (solid(front) ^ solid(back)).volume() < 1e-3
    moved = solid(back).translate(TURN.apply([0, 0, 0.19]).tolist())
    assert (solid(front) ^ moved).volume() == pytest.approx(0.19 * 1, abs=0.19 * 60 * 30)
    if connector != "dowel":
        assert (solid(mesh) - solid(front)).volume() - 45_000 == pytest.approx(
            2 * grown * deep, rel=0.01
        )


def test_the_play_is_on_every_side() -> None:
    """A pin moved sideways by less than its play touches nothing, by more it does."""
    front, back = halves(block(60, 30, 50), diameter_mm=6, length_mm=8, clearance_mm=0.3)
    pins = solid(back) - solid(block(200, 200, 200)).translate(
        TURN.apply([0, 0, -100.001]).tolist()
    )
    for turn in np.linspace(0, 2 * np.pi, 7):
        side = TURN.apply([np.cos(turn), np.sin(turn), 0])
        assert (pins.translate((0.29 * side).tolist()) ^ solid(front)).volume() < 1e-6
        assert (pins.translate((0.34 * side).tolist()) ^ solid(front)).volume() > 0.01


def test_pins_stand_far_apart_and_keep_their_wall() -> None:
    mesh = block(60, 30, 50)
    front, _ = halves(mesh, diameter_mm=6, length_mm=8, clearance_mm=0.2, wall_mm=2)
    holes = solid(mesh) ^ (solid(block(60, 30, 50)) - solid(front))
    holes ^= solid(block(59, 29, 49)).translate(TURN.apply([0, 0, 24.51]).tolist())
    found = [
        TURN.inv().apply(np.array(h.to_mesh64().vert_properties)[:, :3]) for h in holes.decompose()
    ]
    assert len(found) == 2
    middles = [(h.min(axis=0) + h.max(axis=0)) / 2 for h in found]
    assert np.linalg.norm(np.subtract(*middles)) > 40
    for hole in found:
        assert 30 - np.abs(hole[:, 0]).max() >= 2 - 0.01
        assert 15 - np.abs(hole[:, 1]).max() >= 2 - 0.01


def test_the_face_of_the_cut_is_named() -> None:
    front, back = halves(block(60, 30, 50), diameter_mm=6, clearance_mm=0.2)
    corners = front.points_mm[front.triangles[front.boundaries["cut"]]]
    twice = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert twice.sum(axis=0) / 2 @ NORMAL == pytest.approx(-(1800 - 2 * np.pi * 3.2**2), rel=2e-3)
    assert len(back.boundaries["cut"])


def test_what_does_not_fit_is_refused_or_told() -> None:
    with pytest.raises(NoRoom, match=r"at most 6\.[3-6] mm does"):
        halves(block(60, 10, 50), diameter_mm=8)
    with pytest.raises(NoRoom, match="none does with this wall"):
        halves(block(60, 2, 50), diameter_mm=2)
    with pytest.raises(NoRoom, match="take a shorter"):
        halves(block(60, 30, 12), diameter_mm=5, length_mm=6)
    front, _ = halves(block(18, 10, 50), diameter_mm=5, count=3)
    assert number(front, "pins") < 3
    assert [f.code for f in front.findings] == ["fewer_pins"]


def test_thickness_follows_the_room() -> None:
    front, _ = halves(block(60, 12, 50))
    assert number(front, "pin_diameter") == pytest.approx(4, abs=0.3)
    assert number(front, "pin_length") == pytest.approx(4.8, abs=0.4)


def test_a_cut_with_a_hole_and_islands_is_no_obstacle() -> None:
    legs = [trimesh.creation.annulus(8, 16, 60), trimesh.creation.cylinder(7, 60)]
    legs[1].apply_translation((40, 3, 0))
    shape = trimesh.util.concatenate(legs)
    mesh = SurfaceMesh(TURN.apply(shape.vertices) + SHIFT, shape.faces, "1.2.3")
    front, back = halves(mesh, count=4, diameter_mm=4)
    assert number(front, "pins") == 4
    assert is_watertight(front)
    assert is_watertight(back)
    assert (solid(front) ^ solid(back)).volume() < 1e-3


def test_a_real_shape_is_split_anywhere() -> None:
    rng = np.random.default_rng(5)
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=30)
    bumps = 1 + 0.2 * np.sin(3 * sphere.vertices[:, 0] / 10) * np.cos(sphere.vertices[:, 1] / 9)
    mesh = SurfaceMesh(sphere.vertices * bumps[:, None], sphere.faces, "1.2.3")
    whole = enclosed_mm3(mesh)
    for _ in range(2):
        at = {"point_mm": tuple(rng.uniform(-6, 6, 3)), "normal": tuple(rng.normal(size=3))}
        front, back = halves(mesh, **at)
        assert solid_faults(front) == solid_faults(back) == ()
        pins = number(front, "pins") * np.pi / 4 * number(front, "pin_diameter") ** 2
        assert enclosed_mm3(front) + enclosed_mm3(back) == pytest.approx(
            whole, abs=pins * number(front, "pin_length") * 0.2
        )


def test_the_same_cut_gives_the_same_bytes() -> None:
    one, _ = halves(block(60, 30, 50))
    other, _ = halves(replace(block(60, 30, 50)))
    assert np.array_equal(one.points_mm, other.points_mm)
    assert np.array_equal(one.triangles, other.triangles)
