"""Every kind of fault is found where it is, and sound surfaces have none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from meshing.faults import solid_faults
from meshing.surface import SurfaceMesh, from_trimesh


def ball(radius_mm: float, at: tuple[float, float, float] = (0, 0, 0)) -> SurfaceMesh:
    shape = trimesh.creation.icosphere(subdivisions=3, radius=radius_mm)
    return SurfaceMesh(shape.vertices + np.array(at), shape.faces, "1.2.3", "ball")


def both(one: SurfaceMesh, other: SurfaceMesh) -> SurfaceMesh:
    triangles = np.vstack([one.triangles, other.triangles + len(one.points_mm)])
    return replace(one, points_mm=np.vstack([one.points_mm, other.points_mm]), triangles=triangles)


def turned(mesh: SurfaceMesh) -> SurfaceMesh:
    return replace(mesh, triangles=mesh.triangles[:, ::-1])


def without(mesh: SurfaceMesh, near: tuple[float, float, float], count: int) -> SurfaceMesh:
    middle = mesh.points_mm[mesh.triangles].mean(axis=1)
    order = np.argsort(np.linalg.norm(middle - near, axis=1), kind="stable")
    return replace(mesh, triangles=np.delete(mesh.triangles, order[:count], axis=0))


SOUND = [
    ball(20),
    both(ball(20), ball(5, (40, 0, 3))),
    both(ball(20), turned(ball(15))),  # a hollow ball
    both(both(ball(20), turned(ball(15))), ball(6, (1, 2, 3))),  # and a ball in it
]


@pytest.mark.parametrize("mesh", SOUND)
def test_a_sound_surface_has_no_fault(mesh: SurfaceMesh) -> None:
    assert solid_faults(mesh) == ()


@pytest.mark.parametrize(
    ("mesh", "code", "place"),
    [
        (without(ball(20), (20, 0, 0), 4), "open_surface", (20, 0, 0)),
        (turned(ball(20)), "inside_out", None),
        (both(ball(20), ball(6, (8, 2, 3))), "nested", (8, 2, 3)),
        (both(ball(20), turned(ball(6, (40, 0, 3)))), "inside_out", (40, 0, 3)),
        (both(ball(20), ball(6, (20, 2, 3))), "self_intersection", (20, 2, 3)),
        (replace(ball(20), points_mm=ball(20).points_mm / 1000), "absurd_size", None),
        (replace(ball(20), points_mm=ball(20).points_mm * 1000), "absurd_size", None),
        (replace(ball(20), triangles=np.empty((0, 3), int)), "empty_surface", None),
    ],
)
def test_each_fault_is_found_where_it_is(
    mesh: SurfaceMesh, code: str, place: tuple[float, float, float] | None
) -> None:
    found = solid_faults(mesh)
    assert {f.code for f in found} == {code}
    assert all(f.severity == "problem" and f.remedy for f in found)
    if place is not None:
        assert found[0].location_mm is not None
        assert np.linalg.norm(np.subtract(found[0].location_mm, place)) < 7


def test_turned_and_crowded_triangles_are_told_apart() -> None:
    mesh = ball(20)
    cells = mesh.triangles.copy()
    cells[100] = cells[100][::-1]
    (fault,) = solid_faults(replace(mesh, triangles=cells))
    assert fault.code == "turned_triangles"
    here = mesh.points_mm[cells[100]]
    assert np.linalg.norm(here - fault.location_mm, axis=1).min() < 1e-9
    fin = np.vstack([mesh.points_mm, [[0.0, 0.0, 40.0]]])
    extra = [*cells[100][:2][::-1], len(mesh.points_mm)]
    codes = {f.code for f in solid_faults(replace(mesh, points_mm=fin, triangles=[*cells, extra]))}
    assert {"non_manifold", "open_surface"} <= codes


def test_the_largest_hole_comes_first_and_many_are_counted() -> None:
    mesh = without(ball(20), (0, 0, 20), 30)
    for number, point in enumerate(mesh.points_mm[:: len(mesh.points_mm) // 20][:18]):
        mesh = without(mesh, tuple(point), 1)
        assert number < 18
    found = solid_faults(mesh)
    lengths = [float(f.sentence.split("hole, ")[1].split(" mm")[0]) for f in found[:12]]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 2 * lengths[1]
    assert found[12].code == "open_surface_more"


def test_faults_do_not_depend_on_where_the_patient_lies() -> None:
    mesh = both(ball(20), ball(6, (20, 2, 3)))
    shift = np.array([311.3, -170.9, 1204.7])
    here = solid_faults(mesh)
    there = solid_faults(replace(mesh, points_mm=mesh.points_mm + shift))
    assert [f.code for f in here] == [f.code for f in there]
    assert np.subtract(there[0].location_mm, here[0].location_mm) == pytest.approx(shift)


def test_work_can_be_stopped() -> None:
    def stop(fraction: float, message: str = "") -> None:
        if fraction > 0.2:
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match=r"self-intersections|inside"):
        solid_faults(ball(20), progress=stop)


def test_shapes_of_other_libraries_are_sound() -> None:
    make: Callable[[], trimesh.Trimesh] = trimesh.creation.torus
    assert solid_faults(from_trimesh(make(20, 6), frame_uid="")) == ()
