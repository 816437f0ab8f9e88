"""Eyes that show a fault from outside, and pictures that show what a file lost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from meshing.surface import SurfaceMesh
from workstation.camera import Camera
from workstation.closeup import ADDED, BOTH, LOST, as_printed, closeup, overlay_picture
from workstation.printers import USUAL, Printer, keep_printers, read_printers

CENTRE = np.array([31.0, -17.0, 204.0])


def ball() -> SurfaceMesh:
    shape = trimesh.creation.icosphere(subdivisions=3, radius=30)
    return SurfaceMesh(shape.vertices + CENTRE, shape.faces, "1.2.3")


@pytest.mark.parametrize("towards", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0.6, 0, -0.8)])
def test_a_fault_is_seen_from_outside(towards: tuple[float, float, float]) -> None:
    place = tuple(CENTRE + 30 * np.array(towards))
    camera = closeup(ball(), place, Camera())
    assert camera.focal_mm == place
    sight = np.subtract(camera.eye_mm, place)
    assert sight / np.linalg.norm(sight) @ towards > 0.98
    (shown,) = camera.project([place], (400, 300))
    assert shown[:2] == pytest.approx([200, 150], abs=1e-6)


def test_the_plate_is_below() -> None:
    up = (0.0, 0.6, 0.8)
    camera = as_printed(ball(), up, Camera())
    places = camera.project([CENTRE + 25 * np.array(up), CENTRE - 25 * np.array(up)], (400, 300))
    assert places[0, 1] < places[1, 1]
    assert places[0, 0] == pytest.approx(places[1, 0], abs=1e-6)
    assert np.dot(np.subtract(camera.eye_mm, CENTRE), up) > 0
    seen = camera.project(ball().points_mm, (400, 300))
    assert (seen[:, :2] > 0).all()
    assert (seen[:, 0] < 400).all()


def test_what_a_file_lost_is_red_and_what_it_added_blue() -> None:
    mesh = ball()
    whole = overlay_picture(mesh, mesh)
    colours = {tuple(c) for c in whole.reshape(-1, 3)}
    assert BOTH in colours
    assert not {LOST, ADDED} & colours
    inside = (whole[:, :220] == BOTH).all(axis=2)
    assert inside.sum() == pytest.approx(np.pi / 4 * (220 * 0.88) ** 2, rel=0.02)
    upper = mesh.points_mm[mesh.triangles].mean(axis=1)[:, 2] > CENTRE[2]
    half = replace(mesh, triangles=mesh.triangles[upper])
    lost = (overlay_picture(mesh, half) == LOST).all(axis=2)
    assert lost[120:].any()
    assert not lost[:100].any()
    assert (overlay_picture(half, mesh) == ADDED).all(axis=2)[120:].any()


def test_printers_are_kept_and_nonsense_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "printers.json"
    assert read_printers(file) == USUAL
    ours = (replace(USUAL[0], name="Ours", wall_mm=0.35), USUAL[2])
    keep_printers(file, ours)
    assert read_printers(file) == ours
    file.write_text('{"printers": [{"name": "x"}]}')
    assert read_printers(file) == USUAL
    with pytest.raises(ValueError, match="needs a name"):
        Printer(" ", 1, 1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="-3 mm makes no sense"):
        Printer("x", -3, 1, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="overhang"):
        Printer("x", 3, 1, 1, 1, 1, 91)
