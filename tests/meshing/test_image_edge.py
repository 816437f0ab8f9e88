"""The edge in the image brings a surface nearer to the truth than its voxels can."""

from dataclasses import replace

import numpy as np
import pytest

from meshing.check import check
from meshing.image_edge import fit_to_image
from meshing.mesh import SurfaceMesh
from meshing.surface import isosurface
from segmentation.contract import FrameMismatch
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from tests.meshing.shapes import grid

AXIS = np.array([1, 0.4, 0.3]) / np.linalg.norm([1, 0.4, 0.3])


def _ball(points: np.ndarray) -> np.ndarray:
    return 9.0 - np.linalg.norm(points - (0.2, -0.3, 0.4), axis=-1)


def _tube(points: np.ndarray) -> np.ndarray:
    along = points @ AXIS
    away = np.linalg.norm(points - along[..., None] * AXIS, axis=-1)
    return np.minimum(3.0 - away, 11.0 - np.abs(along))


def _scene(depth, contrast: float, noise: float) -> tuple[Volume, LabelMap, ImageGeometry]:
    """Return an image with partial volumes, and the label of its voxels' centres."""
    geometry = grid((13, 13, 13), spacing_mm=(0.8, 0.8, 1.2))
    k, j, i = np.indices(geometry.shape)
    index = np.stack([i, j, k], axis=-1).astype(float)
    centre, fill = geometry.centre_mm(), np.zeros(geometry.shape)
    offsets = (np.arange(4) - 1.5) / 4
    for x in offsets:
        for y in offsets:
            for z in offsets:
                fill += depth(geometry.to_world(np.add(index, (x, y, z))) - centre) > 0
    image = 40 + contrast * fill / 64
    image += np.random.default_rng(3).normal(size=image.shape) * noise
    labels = LabelMap(depth(geometry.to_world(index) - centre) > 0, geometry, {1: Label("shape")})
    return Volume(image.astype(np.float32), geometry), labels, geometry


def _error_mm(mesh: SurfaceMesh, geometry: ImageGeometry, depth) -> float:
    points = mesh.points_mm - geometry.centre_mm()
    away = depth(points)
    if depth is _tube:
        away = away[np.abs(points @ AXIS) < 8]
    return float(np.sqrt(np.mean(away**2)))


@pytest.mark.parametrize("depth", [_ball, _tube])
@pytest.mark.parametrize("contrast", [300.0, -200.0])
def test_the_error_falls(depth, contrast: float) -> None:
    volume, labels, geometry = _scene(depth, contrast, 10.0)
    before, after = isosurface(labels), fit_to_image(labels, volume)
    assert check(after).is_sound
    assert _error_mm(after, geometry, depth) < 0.5 * _error_mm(before, geometry, depth)
    numbers = {n.quantity: n.value for n in after.numbers}
    assert 0.1 < numbers["largest_move"] <= 0.916
    assert numbers["clear_edge"] > 95


@pytest.mark.parametrize("depth", [_ball, _tube])
@pytest.mark.parametrize("noise", [30.0, 60.0, 200.0])
def test_noise_does_not_make_it_worse(depth, noise: float) -> None:
    volume, labels, geometry = _scene(depth, 60.0, noise)
    before, after = isosurface(labels), fit_to_image(labels, volume)
    assert check(after).is_sound
    assert _error_mm(after, geometry, depth) < 1.02 * _error_mm(before, geometry, depth)


def test_a_label_in_another_place_stays_near_itself() -> None:
    volume, labels, _ = _scene(_ball, 300.0, 5.0)
    moved = replace(labels, array=np.roll(labels.array, 5, axis=2))
    after = fit_to_image(moved, volume, largest_move_voxels=0.5)
    before = isosurface(moved)
    assert np.linalg.norm(after.points_mm - before.points_mm, axis=1).max() <= 0.5 * 0.916
    flat = replace(volume, array=np.zeros_like(volume.array))
    assert [f.code for f in fit_to_image(labels, flat).findings] == ["faint_edge"]
    elsewhere = replace(volume, geometry=replace(volume.geometry, frame_uid="9"))
    with pytest.raises(FrameMismatch):
        fit_to_image(labels, elsewhere)
