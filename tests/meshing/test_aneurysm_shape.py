"""The shape of domes whose measures are known exactly."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from meshing.aneurysm_evened import evened
from meshing.aneurysm_neck import neck_of
from meshing.aneurysm_shape import _moved, _numbers, shape_of
from meshing.surface import SurfaceMesh
from tests.meshing.sacs import TILT, placed

SPHERE = 1 - 2 ** (-1 / 3)


def cap(
    profile: list[tuple[float, float]], stretch: tuple[float, float] = (1, 1), sides: int = 72
) -> tuple[SurfaceMesh, np.ndarray]:
    """A dome turned about z: (radius, height) from its neck to its tip; closed by a flat disc."""
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.cos(angle) * stretch[0], np.sin(angle) * stretch[1]], axis=1)
    rings = [np.column_stack([r * circle, np.full(sides, z)]) for r, z in profile[:-1]]
    tip, middle = [0, 0, profile[-1][1]], [0, 0, profile[0][1]]
    points = placed(np.concatenate([*rings, [tip], [middle]]))
    n, after = np.arange(sides), (np.arange(sides) + 1) % sides
    wall = []
    for k in range(len(rings) - 1):
        a, b = k * sides, (k + 1) * sides
        wall += [np.stack([a + n, a + after, b + after], 1), np.stack([a + n, b + after, b + n], 1)]
    last = (len(rings) - 1) * sides
    wall.append(np.stack([last + n, last + after, np.full(sides, len(points) - 2)], 1))
    film = np.stack([after, n, np.full(sides, len(points) - 1)], 1)
    cells = np.concatenate([*wall, film])
    parts = {
        "wall": np.arange(len(cells) - sides),
        "neck": np.arange(len(cells) - sides, len(cells)),
    }
    return SurfaceMesh(points, cells, "1.2.3", boundaries=parts), points[:sides]


def shape(profile, stretch=(1, 1), vessel_mm=None):
    dome, rim = cap(profile, stretch)
    none = (np.zeros((1, 3)), np.ones(1))
    neck = neck_of(rim, rim[0], dome.points_mm.mean(axis=0), "1.2.3", none, "made")
    assert np.allclose(neck.normal, TILT[:, 2], atol=1e-6)
    return shape_of(dome, neck, vessel_mm).values


def sphere(radius: float, neck_radius: float, steps: int = 60) -> list[tuple[float, float]]:
    start = np.arcsin(neck_radius / radius)
    polar = np.linspace(np.pi - start, 0, steps)
    return [(radius * np.sin(p), radius * np.cos(p)) for p in polar]


def test_half_a_ball_is_the_measure_of_all_indices():
    values = shape(sphere(4.0, 4.0), vessel_mm=2.5)
    assert values["nonsphericity_index"] == pytest.approx(0, abs=3e-3)
    assert values["ellipticity_index"] == pytest.approx(0, abs=3e-3)
    assert values["undulation_index"] == pytest.approx(0, abs=1e-6)
    assert values["aspect_ratio"] == pytest.approx(0.5, rel=5e-3)
    assert values["size_ratio"] == pytest.approx(4 / 2.5, rel=1e-3)
    assert values["size"] == pytest.approx(8, rel=1e-3)
    assert values["bottleneck_factor"] == pytest.approx(1, rel=2e-2)


def test_a_whole_ball_has_the_published_nonsphericity():
    values = shape(sphere(4.0, 0.05))
    assert values["nonsphericity_index"] == pytest.approx(SPHERE, abs=1e-3)
    assert round(SPHERE, 4) == 0.2063
    assert values["height"] == pytest.approx(8, rel=1e-3)
    assert values["aneurysm_angle"] == pytest.approx(90, abs=0.2)


def test_half_an_ellipsoid_has_its_ellipticity():
    # Half of a prolate ellipsoid with radius 2 and height 4.
    polar = np.linspace(np.pi / 2, 0, 60)
    values = shape([(2 * np.sin(p), 4 * np.cos(p)) for p in polar])
    eccentric = np.sqrt(1 - (2 / 4) ** 2)
    area = np.pi * 2**2 * (1 + 4 / (2 * eccentric) * np.arcsin(eccentric))
    volume = 2 / 3 * np.pi * 2**2 * 4
    expected = 1 - (18 * np.pi) ** (1 / 3) * volume ** (2 / 3) / area
    assert values["ellipticity_index"] == pytest.approx(expected, abs=3e-3)
    assert values["nonsphericity_index"] == pytest.approx(expected, abs=3e-3)
    assert values["aspect_ratio"] == pytest.approx(1.0, rel=5e-3)


def test_a_waist_shows_in_the_undulation():
    # Two cones, tip to neck, that meet at half their width: the hull is a cylinder with a tip.
    values = shape([(3, 0), (1.5, 3), (3, 6), (0, 6)])
    frustum = np.pi * 3 / 3 * (3**2 + 3 * 1.5 + 1.5**2)
    cylinder = np.pi * 3**2 * 6
    assert values["undulation_index"] == pytest.approx(1 - 2 * frustum / cylinder, abs=1e-3)
    assert values["bottleneck_factor"] == pytest.approx(1, rel=5e-2)


def leaning(rough_mm: float = 0.0, seed: int = 0):
    """A dome that leans by 40 degrees, whose wall is rough, and its neck."""
    dome, rim = cap(sphere(3.0, 3.0))
    lean = np.tan(np.radians(40))
    local = (dome.points_mm - placed([[0, 0, 0]])) @ TILT
    local[:, 0] += lean * local[:, 2] * 2
    local[:, 2] *= 2
    noise = np.random.default_rng(seed).normal(0, rough_mm, len(local))
    local[72:-1] *= (1 + noise / np.linalg.norm(local, axis=1).clip(1e-9))[72:-1, None]
    moved = SurfaceMesh(placed(local), dome.triangles, "1.2.3", boundaries=dome.boundaries)
    none = (np.zeros((1, 3)), np.ones(1))
    return moved, neck_of(rim, rim[0], moved.points_mm.mean(axis=0), "1.2.3", none, "made")


def test_a_leaning_dome_tells_its_angle_and_height():
    values = shape_of(*leaning(), None).values
    assert values["height"] == pytest.approx(6, rel=2e-3)
    assert values["height_maximum"] > 6 / np.cos(np.radians(40))
    assert values["aneurysm_angle"] < 50


def test_the_band_of_the_angle_holds_it_though_the_farthest_corner_jumps():
    true = shape_of(*leaning(), None).values["aneurysm_angle"]
    found = []
    for seed in range(8):
        dome, neck = leaning(0.08, seed)
        whole = shape_of(dome, neck, None)
        moved = _moved(dome, neck, None, (), 0.125)
        numbers = {n.quantity: n for n in _numbers(whole, moved, whole, None, (), 0.25)}
        found.append(numbers["aneurysm_angle"])
    off = np.array([abs(n.value - true) for n in found])
    inside = sum(n.low <= true <= n.high for n in found)
    assert off.max() > 1
    assert inside >= 7


@pytest.mark.parametrize(("steps", "sides"), [(24, 48), (40, 72)])
def test_steps_of_a_wall_are_evened_out_and_its_shape_stays(steps, sides):
    dome, _ = cap(sphere(3.0, 2.0, steps), (1.0, 1.2), sides)
    wall = dome.triangles[dome.boundaries["wall"]]
    used = np.unique(wall)
    even = evened(dome.points_mm, wall, 0.7)
    assert np.linalg.norm(even - dome.points_mm, axis=1).max() < 0.03
    rough = dome.points_mm.copy()
    rough[used] += 0.05 * np.random.default_rng(2).normal(size=(len(used), 3))
    again = evened(rough, wall, 0.7)
    hulls = [ConvexHull(points[used]).volume for points in (dome.points_mm, rough, again)]
    assert hulls[1] > 1.03 * hulls[0]
    assert hulls[2] == pytest.approx(hulls[0], rel=0.013)
    film = np.setdiff1d(np.arange(len(rough)), used)
    assert np.array_equal(again[film], rough[film])
