"""Unions, differences and intersections: closed, of the right volume, or an error that says why."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshing import booleans
from meshing.booleans import BooleanFailed, combine_surfaces
from meshing.surface import OpenSurface, SurfaceMesh, enclosed_mm3, is_watertight, volume_ml
from segmentation.contract import FrameMismatch
from tests.meshing.solids import CENTRE, at, ball, box, pear

OPERATIONS = ("union", "difference", "intersection")


def all_of(one: SurfaceMesh, two: SurfaceMesh) -> dict[str, SurfaceMesh]:
    found = {o: combine_surfaces(one, two, operation=o) for o in OPERATIONS}
    for mesh in found.values():
        assert is_watertight(mesh)
        assert (mesh.name, mesh.frame_uid, mesh.colour) == (one.name, one.frame_uid, one.colour)
    return found


def test_boxes_that_overlap() -> None:
    found = all_of(box((10, 20, 30)), box((10, 20, 30), at(4, 5, 6)))
    common = 6 * 15 * 24
    assert enclosed_mm3(found["intersection"]) == pytest.approx(common)
    assert enclosed_mm3(found["difference"]) == pytest.approx(6000 - common)
    assert enclosed_mm3(found["union"]) == pytest.approx(12000 - common)
    low = found["difference"].points_mm.min(axis=0)
    assert low == pytest.approx(CENTRE - [5, 10, 15])  # the part away from the second stays
    assert found["intersection"].points_mm.min(axis=0) == pytest.approx(at(-1, -5, -9))
    share = {n.quantity: n.value for n in found["difference"].numbers}["share"]
    assert share == pytest.approx(100 * (1 - common / 6000))


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(-30, 30)] * 3), st.booleans())
def test_volumes_add_up(shift: tuple[float, float, float], flush: bool) -> None:
    one = pear()
    moved = np.round(shift, -1) if flush else np.asarray(shift)
    two = replace(one, points_mm=one.points_mm + moved)
    a = enclosed_mm3(one)
    try:
        found = all_of(one, two)
    except ValueError as error:
        if "intersection is empty" in str(error) or "nothing of it is left" in str(error):
            return
        raise
    common = enclosed_mm3(found["intersection"])
    assert enclosed_mm3(found["difference"]) + common == pytest.approx(a, rel=1e-3)
    assert enclosed_mm3(found["union"]) + common == pytest.approx(2 * a, rel=1e-3)


def test_faces_in_one_plane() -> None:
    one, two = box((10, 10, 10)), box((10, 10, 10), at(10, 0, 0))
    union = combine_surfaces(one, two)
    assert is_watertight(union)
    assert enclosed_mm3(union) == pytest.approx(2000)
    with pytest.raises(ValueError, match="touch only in a face: their intersection is empty"):
        combine_surfaces(one, two, operation="intersection")
    apart = combine_surfaces(one, two, operation="difference")
    assert [f.code for f in apart.findings] == ["no_overlap"]
    assert enclosed_mm3(apart) == pytest.approx(1000)


def test_what_leaves_nothing_says_why() -> None:
    inner, outer = ball(10), ball(20)
    with pytest.raises(ValueError, match="'ball' lies wholly inside 'ball', so nothing"):
        combine_surfaces(inner, outer, operation="difference")
    shell = combine_surfaces(outer, inner, operation="difference")
    assert is_watertight(shell)
    assert volume_ml(shell) == pytest.approx(volume_ml(outer) - volume_ml(inner))


def test_what_is_no_solid_is_refused() -> None:
    good = ball()
    with pytest.raises(OpenSurface, match="not closed"):
        combine_surfaces(good.reshaped(good.points_mm, good.triangles[1:]), good)
    with pytest.raises(OpenSurface, match="inside out"):
        combine_surfaces(good, good.reshaped(good.points_mm, good.triangles[:, ::-1]))
    with pytest.raises(OpenSurface, match="empty"):
        combine_surfaces(good, good.reshaped(np.empty((0, 3)), np.empty((0, 3), np.int64)))
    with pytest.raises(FrameMismatch, match=r"1\.2\.3"):
        combine_surfaces(good, replace(good, frame_uid="9"))


def test_voxels_where_the_exact_way_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booleans, "_exactly", lambda *_: None)
    one, two = pear(), ball(15, at(20, 5, -3))
    found = {o: combine_surfaces(one, two, operation=o, voxel_mm=0.5) for o in OPERATIONS}
    monkeypatch.undo()
    for operation, mesh in found.items():
        assert is_watertight(mesh)
        assert "voxels of 0.5 mm" in mesh.findings[0].sentence
        exact = combine_surfaces(one, two, operation=operation)
        assert enclosed_mm3(mesh) == pytest.approx(enclosed_mm3(exact), rel=5e-3)
        # Voxels round the edges, but nothing moves.
        assert mesh.points_mm.min(axis=0) == pytest.approx(exact.points_mm.min(axis=0), abs=0.6)


def test_parts_that_do_not_add_up_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    exactly = booleans._exactly

    def short(mesh: SurfaceMesh, tool: SurfaceMesh, union: bool) -> booleans.Division:
        done = exactly(mesh, tool, union)
        assert done is not None
        return replace(done, inside=ball(1.0))

    monkeypatch.setattr(booleans, "_exactly", short)
    monkeypatch.setattr(booleans, "_by_voxels", lambda m, t, u, v, p: short(m, t, u))
    with pytest.raises(BooleanFailed, match="do not add up"):
        combine_surfaces(pear(), ball(), operation="intersection")


def test_the_same_again() -> None:
    one, two = (combine_surfaces(pear(), ball()) for _ in range(2))
    assert np.array_equal(one.points_mm, two.points_mm)
    assert np.array_equal(one.triangles, two.triangles)
