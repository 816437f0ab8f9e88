"""Letters on known shapes are readable from outside, as deep and high as asked."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from meshing.faults import solid_faults
from meshing.lettering import NoPlaceForText, letter
from meshing.nearest import NearestOnSurface
from meshing.outlines import text_outlines
from meshing.surface import SurfaceMesh, enclosed_mm3, is_watertight

SHIFT = np.array([31.3, -17.7, 204.1])


def placed(shape: trimesh.Trimesh, turn: Rotation | None = None) -> SurfaceMesh:
    points = np.array(shape.vertices)
    return SurfaceMesh(
        (turn.apply(points) if turn else points) + SHIFT, shape.faces, "1.2.3", "part", (9, 8, 7)
    )


def at(*place: float) -> tuple[float, float, float]:
    x, y, z = (SHIFT + place).tolist()
    return x, y, z


def head() -> SurfaceMesh:
    return placed(trimesh.creation.icosphere(subdivisions=4, radius=40))


# What one sees of a capital L, from the middle of its extent, in heights: stroke and foot are
# at its left and below, and its upper right is empty.
HIGH_MM = 5.0
INKED = [(-0.25, 0.3), (-0.25, -0.3), (-0.25, -0.43), (0.2, -0.43)]
BLANK = [(0.2, 0.3), (0.2, 0.0), (0.2, -0.25), (0.35, 0.43), (0.5, 0.0)]


@pytest.mark.parametrize(
    ("raised", "towards", "right", "up"),
    [
        # seen from the front, the patient's left is right
        (True, (0, -1, 0), (1, 0, 0), (0, 0, 1)),
        (False, (0, -1, 0), (1, 0, 0), (0, 0, 1)),
        (True, (0, 1, 0), (-1, 0, 0), (0, 0, 1)),
        # seen from the left, the back is right
        (False, (1, 0, 0), (0, 1, 0), (0, 0, 1)),
        # from above, nose up, the patient's left is left
        (True, (0, 0, 1), (-1, 0, 0), (0, -1, 0)),
    ],
)
def test_letters_are_read_from_outside(
    raised: bool,
    towards: tuple[float, float, float],
    right: tuple[float, float, float],
    up: tuple[float, float, float],
) -> None:
    mesh = head()
    click = tuple(SHIFT + 41 * np.array(towards))
    made = letter(mesh, text="L", click_mm=click, raised=raised, height_mm=HIGH_MM, depth_mm=1)
    assert is_watertight(made)
    nearest = NearestOnSurface(made)
    across = np.cross(up, towards)
    assert np.allclose(across, right)
    for spots, inked in ((INKED, True), (BLANK, False)):
        aside = HIGH_MM * np.array(spots) @ np.array([right, up], float)
        depth = np.sqrt(40**2 - np.linalg.norm(aside, axis=1) ** 2)
        on_old = SHIFT + aside + depth[:, None] * np.array(towards)
        half_way = (0.5 if raised else -0.5) * np.array(towards)
        filled = nearest.signed_mm(on_old + half_way) < 0
        assert (filled == (inked == raised)).all()


@pytest.mark.parametrize("raised", [True, False])
def test_letters_have_their_height_and_depth(raised: bool) -> None:
    turn = Rotation.from_euler("xyz", (20, -35, 50), degrees=True)
    mesh = placed(trimesh.creation.box((60, 30, 20)), turn)
    click, up = tuple(SHIFT + turn.apply([0, 0, 10.3])), tuple(turn.apply([0, 1.0, 0]))
    made = letter(mesh, text="HH", click_mm=click, up=up, raised=raised, height_mm=8, depth_mm=0.7)
    change = enclosed_mm3(made) - enclosed_mm3(mesh)
    ink = sum(_area(p) for p in text_outlines("HH", 8))
    assert change == pytest.approx((1 if raised else -1) * abs(ink) * 0.7, rel=1e-3)
    local = turn.inv().apply(made.points_mm - SHIFT)
    inner = local[np.abs(local[:, :2]).max(axis=1) < 14]
    assert np.ptp(inner[:, 1]) == pytest.approx(8, abs=1e-3)
    levels = np.unique(inner[inner[:, 2] > 0, 2].round(4))
    assert levels[-1 if raised else 0] == pytest.approx(10.7 if raised else 9.3, abs=1e-3)
    assert (made.name, made.colour, made.frame_uid) == ("part", (9, 8, 7), "1.2.3")


def _area(loop: np.ndarray) -> float:
    x, y = loop.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_a_line_of_text_follows_the_curve() -> None:
    made = letter(head(), text="Müller R 4711", click_mm=at(0, -40, 0), height_mm=5)
    away = np.linalg.norm(made.points_mm - SHIFT, axis=1)
    assert away.min() == pytest.approx(40 - 0.6, abs=0.12)


@pytest.mark.parametrize("raised", [True, False])
def test_letters_leave_a_sound_solid(raised: bool) -> None:
    mesh = head()
    x, y, z = (mesh.points_mm - SHIFT).T / 4
    bumps = 1 + 0.02 * np.sin(x) * np.cos(y) * np.sin(z + 1)
    organ = replace(mesh, points_mm=(mesh.points_mm - SHIFT) * bumps[:, None] + SHIFT)
    made = letter(organ, text="R 4711", click_mm=at(9, -39, 5), height_mm=6, raised=raised)
    assert solid_faults(made) == ()


def test_what_does_not_fit_is_refused() -> None:
    front = at(0.0, -40, 0)
    with pytest.raises(NoPlaceForText, match=r"turns away|runs off"):
        letter(head(), text="A name far too long for it", click_mm=front, height_mm=8)
    plate = placed(trimesh.creation.box((60, 1.2, 30)))
    with pytest.raises(NoPlaceForText, match=r"only 1\.2 mm, where 1\.4 mm"):
        letter(plate, text="R", click_mm=at(0, -0.6, 0))
    assert is_watertight(letter(plate, text="R", click_mm=at(0, -0.6, 0), raised=True))
    with pytest.raises(ValueError, match="字"):
        letter(head(), text="字", click_mm=front)
    with pytest.raises(ValueError, match="without letters"):
        letter(head(), text="  ", click_mm=front)
    with pytest.raises(NoPlaceForText, match="give another"):
        letter(head(), text="R", click_mm=front, up=(0, -1, 0))


def test_the_same_text_gives_the_same_bytes() -> None:
    one = letter(head(), text="R", click_mm=at(0, -40, 0))
    other = letter(replace(head()), text="R", click_mm=at(0, -40, 0))
    assert np.array_equal(one.points_mm, other.points_mm)
    assert np.array_equal(one.triangles, other.triangles)
