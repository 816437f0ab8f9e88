"""The proposed veins against tubes of known radius and a synthetic patient."""

import numpy as np
import pytest
from scipy import ndimage

from segmentation.contract import FrameMismatch
from segmentation.edges import local_level, stalks
from segmentation.vessels import balanced_threshold, propose_vessels
from segmentation.volume import ImageGeometry, LabelMap, Volume

GRID = ImageGeometry((80, 70, 36), (0.9, 0.9, 2.0), (-40, -30, 10), np.eye(3).ravel(), "1")
PARENCHYMA_HU, BLOOD_HU = 105, 165


def distance_to_axis_mm(x_mm: float, y_mm: float) -> np.ndarray:
    """Distance from a line along z at an LPS place, on four sub-samples per voxel edge."""
    fine = GRID.resampled([s / 4 for s in GRID.spacing_mm])
    x = fine.origin_mm[0] + np.arange(fine.size[0]) * fine.spacing_mm[0]
    y = fine.origin_mm[1] + np.arange(fine.size[1]) * fine.spacing_mm[1]
    return np.hypot(x[None, :] - x_mm, y[:, None] - y_mm)


def scanned(radii_mm: dict[tuple[float, float], float], noise_hu: float) -> Volume:
    """Tubes along z in a block of liver, with partial volume, blur and noise."""
    inside = np.zeros(distance_to_axis_mm(0, 0).shape, bool)
    for place, radius in radii_mm.items():
        inside |= distance_to_axis_mm(*place) < radius
    n, m = GRID.size[1], GRID.size[0]
    share = inside.reshape(n, 4, m, 4).mean(axis=(1, 3))
    hu = PARENCHYMA_HU + (BLOOD_HU - PARENCHYMA_HU) * np.repeat(share[None], GRID.size[2], 0)
    hu = ndimage.gaussian_filter(hu, [0, 0.7, 0.7])
    hu += np.random.default_rng(5).normal(0, noise_hu, hu.shape)
    return Volume(np.rint(hu).astype(np.int16), GRID)


LIVER = LabelMap(np.ones(GRID.shape, np.uint8), GRID)


@pytest.mark.parametrize("noise_hu", [0.0, 10.0])
def test_volume_of_tubes_is_free_of_the_blur(noise_hu):
    radii = {(-12.0, -2.0): 5.0, (12.0, 4.0): 3.2}
    found = propose_vessels(scanned(radii, noise_hu), LIVER)
    height_mm = GRID.size[2] * GRID.spacing_mm[2]
    exact_ml = sum(np.pi * r * r for r in radii.values()) * height_mm / 1000
    assert found.volume_ml("vessels") == pytest.approx(exact_ml, rel=0.03)


def test_nothing_is_found_in_plain_noise():
    found = propose_vessels(scanned({}, 12.0), LIVER)
    assert not found.mask().any()
    assert [finding.code for finding in found.findings] == ["no_vessels"]


def test_a_part_with_more_perfusion_is_no_vein():
    """Its noise, as a reconstruction leaves it, hung together in a sponge of 2.3 mL."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=GRID.shape), (0.5, 1, 1))
    k, j, i = np.indices(GRID.shape)
    squared_mm = ((k - 18) * 2.0) ** 2 + ((j - 35) * 0.9) ** 2 + ((i - 55) * 0.9) ** 2
    brighter = 26 * np.exp(-squared_mm / 2 / 12.0**2)
    hu = scanned({(-20.0, -2.0): 4.0}, 0.0).array + 12 * noise / noise.std() + brighter
    found = propose_vessels(Volume(np.rint(hu).astype(np.int16), GRID), LIVER)
    exact_ml = np.pi * 4.0**2 * GRID.size[2] * GRID.spacing_mm[2] / 1000
    assert found.volume_ml("vessels") == pytest.approx(exact_ml, rel=0.03)
    assert not found.mask()[:, :, 40:].any()


def test_veins_stay_inside_the_liver():
    half = LIVER.array.copy()
    half[:, :, 40:] = 0
    found = propose_vessels(
        scanned({(-12.0, -2.0): 5.0, (12.0, 4.0): 5.0}, 8.0), LabelMap(half, GRID)
    )
    assert found.mask()[:, :, :40].any()
    assert not found.mask()[:, :, 40:].any()


def test_the_threshold_keeps_the_integrated_excess():
    share = np.linspace(0, 1, 1001)
    assert balanced_threshold(np.full(1001, 0.55), share) == pytest.approx(0.45, abs=0.002)
    assert balanced_threshold(np.full(1001, 0.99), share) == 0.3


def test_the_local_level_follows_a_ramp_and_ignores_what_is_masked():
    i = np.arange(GRID.size[0])[None, None, :]
    ramp = np.broadcast_to(100.0 + 0.05 * i, GRID.shape).astype(np.float32)
    where = np.broadcast_to(i % 7 != 0, GRID.shape)
    level = local_level(np.where(where, ramp, 9999).astype(np.float32), where, GRID, 12.0)
    assert np.abs(level - ramp)[:, :, 20:60].max() < 0.3


def test_wrong_input_is_refused():
    volume = scanned({}, 0.0)
    with pytest.raises(ValueError, match="liver is empty"):
        propose_vessels(volume, LabelMap(np.zeros(GRID.shape, np.uint8), GRID))
    other = GRID.cropped((0, 0, 0), (80, 70, 30))
    with pytest.raises(FrameMismatch):
        propose_vessels(volume, LabelMap(np.ones(other.shape, np.uint8), other))
    with pytest.raises(ValueError, match="CT in HU"):
        propose_vessels(Volume(volume.array, GRID, "MR intensity"), LIVER)


def test_veins_of_a_synthetic_patient(coarse_patient):
    liver = LabelMap(coarse_patient.mask("liver"), coarse_patient.volume.geometry)
    found = propose_vessels(coarse_patient.volume, liver)
    truth = coarse_patient.mask("vessels")
    both = np.count_nonzero(found.mask() & truth)
    assert 2 * both / (np.count_nonzero(found.mask()) + np.count_nonzero(truth)) > 0.85


def test_a_vein_that_leaves_is_cut_at_its_mouth():
    k, j, i = np.indices(GRID.shape)
    vein = np.hypot(j - 35, 2 / 0.9 * (k - 18)) < 6
    liver = (i < 40) | (vein & (i < 52))  # the proposal follows the vein into the fat
    cut = stalks(vein, ~vein & (i >= 40), liver, GRID)
    assert not cut[:, :, :37].any()
    assert np.count_nonzero(cut & vein) > 0.9 * np.count_nonzero(vein & (i >= 42) & (i < 52))
    assert not stalks(vein & (i < 30), np.zeros_like(vein), i < 40, GRID).any()


def test_a_bright_ball_is_told_from_veins():
    """A lesion that takes up contrast, beside a vein; veins alone are not spoken of."""
    volume = scanned({(-12.0, -2.0): 5.0}, 6.0)
    assert [f.code for f in propose_vessels(volume, LIVER).findings] == ["vessels_proposed"]
    k, j, i = np.indices(GRID.shape)
    x, y, z = np.moveaxis(GRID.to_world(np.stack([i, j, k], -1)), -1, 0)
    ball = np.hypot(np.hypot(x - 14, y - 6), z - 44) < 7.0
    array = volume.array + 60 * ball.astype(np.int16)
    found = propose_vessels(Volume(array, GRID), LIVER)
    (said,) = [f for f in found.findings if f.code == "bright_lump"]
    assert np.linalg.norm(np.subtract(said.location_mm, (14, 6, 44))) < 3.0
    width = float(said.sentence.split(" mm")[0].split()[-1])
    assert width == pytest.approx(14.0, abs=2.5)
