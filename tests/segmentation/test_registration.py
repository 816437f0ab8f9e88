"""Registration of a made-up body whose true motion is known everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from segmentation.contract import FrameMismatch
from segmentation.registration import move_labels, move_volume, register
from segmentation.transform import Transform
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume

FIXED = ImageGeometry((64, 56, 40), (3, 3, 4), (-90, -80, 10), tuple(np.eye(3).ravel()), "1.2.1")
TILTED = tuple(Rotation.from_euler("x", 10, degrees=True).as_matrix().ravel())
MOVING = ImageGeometry((60, 60, 50), (3.2, 3.2, 3.5), (-80, -75, 0), TILTED, "1.2.2")
BLOBS = np.array(
    [
        [0, 0, 80, 70, 1.0], [30, -20, 70, 16, 2.0], [-35, 10, 95, 20, 1.6],
        [10, 35, 60, 12, 0.4], [-10, -35, 110, 11, 2.6], [25, 20, 110, 14, 0.2],
    ]
)  # fmt: skip


def body(points, inverse=False):
    """Smooth blobs, none of which mirrors another."""
    value = np.zeros(points.shape[:-1])
    for x, y, z, radius, level in BLOBS:
        away = np.linalg.norm((points - (x, y, z)) / (1, 0.8, 0.7), axis=-1)
        inside = 1 / (1 + np.exp((away - radius) / 2))
        value = value * (1 - inside) + level * inside
    return 900 - 300 * value if inverse else 400 * value


def places(grid):
    k, j, i = np.indices(grid.shape)
    return grid.to_world(np.stack([i, j, k], axis=-1))


def pair(way_back, inverse=False):
    """A fixed image, and the moving one under a map from moving to fixed points."""
    fixed = Volume(body(places(FIXED)).astype(np.float32), FIXED)
    moved = body(way_back(places(MOVING)), inverse).astype(np.float32)
    return fixed, Volume(moved, MOVING, "MR intensity" if inverse else "HU")


def rigid(angles=(4, -6, 8), shift=(9, -7, 5)):
    """Return the true map (4x4) from fixed to moving points."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    centre = np.array([0, 0, 80])
    matrix[:3, 3] = centre + shift - matrix[:3, :3] @ centre
    return matrix


def error_mm(found, truth):
    points = np.array([b[:3] for b in BLOBS])
    expected = points @ truth[:3, :3].T + truth[:3, 3]
    return np.linalg.norm(found.apply(points) - expected, axis=1).max()


def backwards(truth):
    inverse = np.linalg.inv(truth)
    return lambda points: points @ inverse[:3, :3].T + inverse[:3, 3]


@pytest.mark.parametrize("inverse", [False, True])
def test_a_rigid_motion_is_found_also_between_modalities(inverse):
    truth = rigid()
    found = register(*pair(backwards(truth), inverse))
    assert error_mm(found, truth) < 0.7
    numbers = {n.quantity: n.value for n in found.numbers}
    assert numbers["similarity"] > numbers["similarity_before"]
    assert np.linalg.det(found.affine[:3, :3]) == pytest.approx(1, abs=1e-6)


def test_the_same_images_give_the_same_map():
    images = pair(backwards(rigid()))
    assert register(*images).matrix == register(*images).matrix


def test_an_affine_motion_is_found():
    truth = rigid((2, 3, -4), (3, 4, -2))
    truth[:3, :3] = truth[:3, :3] @ np.diag([1.06, 0.95, 1.0])
    truth[:3, 3] += (0, 0, 0.2)
    assert error_mm(register(*pair(backwards(truth)), kind="affine"), truth) < 1.0


def wave(points):
    """A smooth displacement of up to 12 mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    bend = 12 * np.sin((y + 80) / 35) * np.sin((z - 10) / 50)
    return np.stack([bend, 0.4 * bend * np.cos(x / 60), 0 * x], axis=-1)


def test_a_bend_is_found_and_does_not_fold():
    fixed, moving = pair(lambda points: points + wave(points))
    bent = register(fixed, moving, kind="deformable", start="as_is", control_mm=55)
    stiff = register(fixed, moving, kind="rigid", start="as_is")
    points = np.array([b[:3] for b in BLOBS])

    def back(found):  # moved points must come back to where they began
        moved = found.apply(points)
        return np.linalg.norm(moved + wave(moved) - points, axis=1).mean()

    assert back(bent) < 1.5 < 4 < back(stiff)
    numbers, stiff_numbers = ({n.quantity: n.value for n in t.numbers} for t in (bent, stiff))
    assert numbers["folded"] == 0
    assert numbers["similarity"] > stiff_numbers["similarity"] > numbers["similarity_before"]
    assert all(finding.code != "not_better" for finding in bent.findings)
    carried = move_volume(moving, bent, fixed)
    agreed = np.corrcoef(carried.array.ravel(), fixed.array.ravel())[0, 1]
    assert agreed > 0.985
    assert carried.geometry == fixed.geometry


def test_labels_travel_with_the_map():
    truth = rigid()
    fixed, moving = pair(backwards(truth))
    ball = np.linalg.norm(backwards(truth)(places(MOVING)) - (30, -20, 70), axis=-1) < 22
    labels = LabelMap(ball.astype(np.uint8) * 3, MOVING, {3: Label("ball")})
    carried = move_labels(labels, register(fixed, moving), fixed)
    expected = np.linalg.norm(places(FIXED) - (30, -20, 70), axis=-1) < 22
    both = np.count_nonzero((carried.array == 3) & expected)
    assert 2 * both / (np.count_nonzero(carried.array) + np.count_nonzero(expected)) > 0.93
    assert carried.labels[3].name == "ball"


MARKS = np.array([(10.0, -20, 30), (-40, 15, 60), (25, 40, -10), (0, 0, 90), (-30, -35, 5)])


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(-40, 40)] * 3), st.tuples(*[st.floats(-50, 50)] * 3))
def test_landmarks_give_the_exact_rigid_map(angles, shift):
    truth = rigid(angles, shift)
    other = MARKS @ truth[:3, :3].T + truth[:3, 3]
    boxes = [
        ImageGeometry((2, 2, 2), (50, 50, 50), (-50, -50, 30), FIXED.direction, uid)
        for uid in ("1.2.1", "1.2.2")
    ]
    found = register(
        *(Volume(np.zeros((2, 2, 2), np.float32), box) for box in boxes),
        kind="landmarks",
        fixed_mm=tuple(map(tuple, MARKS)),
        moving_mm=tuple(map(tuple, other)),
    )
    assert np.allclose(found.affine, truth, atol=1e-6)
    again = found.inverted().apply(found.apply(MARKS))
    assert np.allclose(again, MARKS, atol=1e-6)


def test_the_library_and_our_own_map_agree():
    rng = np.random.default_rng(3)
    grid = ImageGeometry((6, 5, 4), (20, 25, 30), (-50, -50, 20), TILTED, "1.2.1")
    field = rng.normal(0, 3, (4, 5, 6, 3)).astype(np.float32)
    way = Transform("1.2.1", "1.2.2", tuple(rigid().ravel()), grid, field)
    inside = grid.to_world(rng.uniform(0.1, 2.9, (20, 3)))
    theirs = [way.to_sitk().TransformPoint(p.tolist()) for p in inside]
    assert np.allclose(way.apply(inside), theirs, atol=1e-4)


def test_the_jacobian_is_the_local_volume_ratio():
    grid = ImageGeometry((8, 7, 6), (5, 6, 7), (1, 2, 3), TILTED, "1.2.1")
    squeeze = np.diag([0.1, -0.2, 0.3])
    field = (places(grid) - grid.centre_mm()) @ squeeze.T
    way = Transform("1.2.1", "1.2.2", tuple(np.eye(4).ravel()), grid, field)
    assert np.allclose(way.jacobian(), 1.1 * 0.8 * 1.3, atol=1e-3)


def test_what_cannot_be_aligned_says_why():
    fixed, moving = pair(backwards(rigid()))
    with pytest.raises(ValueError, match="same points in both"):
        register(fixed, moving, fixed_mm=((0, 0, 0),))
    with pytest.raises(ValueError, match="three or more pairs"):
        register(fixed, moving, kind="landmarks")
    line = ((0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (20.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="one line"):
        register(fixed, moving, kind="landmarks", fixed_mm=line, moving_mm=line)
    other = Transform("1.2.9", "1.2.2", tuple(np.eye(4).ravel()), FIXED)
    with pytest.raises(FrameMismatch, match="from frame"):
        move_volume(moving, other, fixed)


def test_a_search_can_be_stopped():
    class Stop(Exception):
        pass

    def stop(fraction, message=""):
        if fraction > 0.2:
            raise Stop

    with pytest.raises(Stop):
        register(*pair(backwards(rigid())), progress=stop)
