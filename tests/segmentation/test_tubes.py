"""Bright vessels: a branching tube of known course among a bright sheet and noise."""

import numpy as np
import pytest
from scipy import ndimage

from segmentation.images import read_volume
from segmentation.tubes import propose_bright_vessels, tube_response
from segmentation.volume import ImageGeometry, Volume
from tests.segmentation.thorax import thorax

STEP_MM = 0.6
SIZE = (80, 70, 60)
GRID = ImageGeometry(SIZE, (STEP_MM,) * 3, (-20, 10, 5), np.eye(3).ravel(), "1")


def angiogram(*, noise=8.0, with_vessels=True):
    """A Y of tubes (radius 1.5 and 0.9 mm) beside a bright sheet of skin; MR intensity."""
    k, j, i = (n * STEP_MM for n in np.indices(GRID.shape))
    stem = (np.hypot(j - 20, k - 18) < 1.5) & (i < 24)
    arms = np.zeros_like(stem)
    for side in (-1, 1):
        arms |= (np.hypot(j - 20 - side * 0.5 * (i - 24), k - 18) < 0.9) & (i >= 24) & (i < 44)
    vessels = stem | arms
    image = np.where(np.abs(k - 31) < 0.9, 300.0, 100.0)  # a sheet
    if with_vessels:
        image[vessels] = 350
    image = ndimage.gaussian_filter(image, 0.6)
    image += np.random.default_rng(1).normal(0, noise, image.shape)
    return Volume(np.rint(image).astype(np.int16), GRID, "MR intensity"), vessels


def overlap(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_tubes_are_found_and_sheets_are_not():
    volume, vessels = angiogram()
    found = propose_bright_vessels(volume)
    assert overlap(found.mask(), vessels) > 0.85
    _, count = ndimage.label(found.mask(), np.ones((3, 3, 3)))
    assert count == 1
    assert not found.mask()[48:].any()


def test_response_to_a_tube_is_a_quarter_of_its_contrast():
    k, j, _ = np.indices(GRID.shape) * STEP_MM
    image = 80 * np.exp(-((j - 20) ** 2 + (k - 18) ** 2) / (2 * 1.5**2)).astype(np.float32)
    where = np.zeros(GRID.shape, bool)
    where[30, 33, 40] = True
    value = tube_response(image, where, 1.5, (STEP_MM,) * 3)
    assert value[0] == pytest.approx(20.0, rel=0.05)


def test_a_click_keeps_one_tree():
    volume, vessels = angiogram()
    point = GRID.to_world(np.argwhere(vessels)[0][::-1])
    kept = propose_bright_vessels(volume, click_mm=tuple(point))
    assert overlap(kept.mask(), vessels) > 0.85
    with pytest.raises(ValueError, match="no vessel is within"):
        propose_bright_vessels(volume, click_mm=tuple(GRID.to_world((5, 5, 5))))


def test_no_contrast_is_refused():
    flat = Volume(np.full(GRID.shape, 7, np.int16), GRID, "MR intensity")
    with pytest.raises(ValueError, match="no contrast"):
        propose_bright_vessels(flat)
    with pytest.raises(ValueError, match="contrast medium"):
        propose_bright_vessels(thorax().volume)


def test_ct_leaves_bone_out():
    chest = thorax(contrast=True)
    found = propose_bright_vessels(chest.volume)
    aorta, bone = chest.parts["aorta"], chest.parts["bone"]
    assert np.count_nonzero(found.mask() & aorta) > 0.85 * np.count_nonzero(aorta)
    assert np.count_nonzero(found.mask() & bone) < 0.02 * np.count_nonzero(bone)


def test_circle_of_willis(real_data):
    volume = read_volume(real_data / "brain_mra_chris" / "chris_MRA.nii.gz", quantity="MR")
    found = propose_bright_vessels(volume)
    pieces, _ = ndimage.label(found.mask(), np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    assert sizes.max() > 0.95 * sizes.sum()  # one tree
    assert 2.5 < found.volume_ml() < 6
