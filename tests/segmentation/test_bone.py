"""Bone against a chest with known parts and, where it is at hand, real scans."""

import numpy as np
import pytest
from scipy import ndimage

from segmentation.body import NotThisModality
from segmentation.bone import propose_bone
from segmentation.images import read_labels, read_volume
from segmentation.volume import Volume
from tests.segmentation.thorax import thorax

# TotalSegmentator's numbers: vertebrae and sacrum, limbs and girdles, skull, ribs and sternum.
BONES = [*range(25, 51), *range(69, 79), 91, *range(92, 117)]


def overlap(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("contrast", [False, True])
def test_bone_with_its_marrow_but_without_blood_and_canal(contrast):
    chest = thorax(contrast=contrast)
    bone = propose_bone(chest.volume)
    parts = chest.parts
    assert overlap(bone.mask(), parts["bone"]) > 0.88
    assert np.count_nonzero(bone.mask() & parts["marrow"]) > 0.99 * np.count_nonzero(
        parts["marrow"]
    )
    assert not (bone.mask() & parts["table"]).any()
    core = ndimage.binary_erosion(parts["canal"], np.ones((1, 3, 3)), iterations=2)
    assert core.any()
    assert not (bone.mask() & core).any()
    blood = ndimage.binary_erosion(parts["aorta"], np.ones((1, 3, 3)), iterations=1)
    assert np.count_nonzero(bone.mask() & blood) < 0.02 * np.count_nonzero(blood)
    codes = [finding.code for finding in bone.findings]
    assert codes == (["contrast_left_out"] if contrast else [])


def test_same_input_same_bone():
    whole = thorax(contrast=True).volume
    part = whole.geometry.cropped((0, 0, 0), (*whole.geometry.size[:2], 20))
    chest = Volume(whole.array[:20], part)
    assert np.array_equal(propose_bone(chest).array, propose_bone(chest).array)


def test_a_scan_without_bone_says_so():
    chest = thorax()
    soft = np.where(chest.volume.array > 60, 50, chest.volume.array).astype(np.int16)
    bone = propose_bone(Volume(soft, chest.volume.geometry))
    assert not bone.mask().any()
    assert [finding.code for finding in bone.findings] == ["empty_label"]


def test_mr_is_refused():
    chest = thorax()
    with pytest.raises(NotThisModality, match="MR intensity"):
        propose_bone(Volume(chest.volume.array, chest.volume.geometry, "MR intensity"))


def test_silver_bones_of_a_real_ct(real_data):
    folder = real_data / "totalsegmentator_example"
    found = propose_bone(read_volume(folder / "example_ct_sm.nii.gz")).mask()
    silver = read_labels(folder / "example_seg.nii.gz").array
    assert overlap(found, np.isin(silver, BONES)) > 0.90
    assert np.count_nonzero(found & np.isin(silver, [2, 3, 5, 52, 63, 79])) == 0
