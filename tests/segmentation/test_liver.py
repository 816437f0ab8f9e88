"""The proposed liver against a synthetic patient, silver labels and real anatomy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from segmentation.abdomen import read_abdomen
from segmentation.images import read_volume
from segmentation.liver import propose_liver
from segmentation.volume import ImageGeometry, LabelMap, Volume
from workstation.dicom.files import read, scan
from workstation.phantom import Phantom


@pytest.fixture(scope="module")
def patient(coarse_patient: Phantom) -> Phantom:
    return coarse_patient


@pytest.fixture(scope="module")
def liver(patient: Phantom) -> LabelMap:
    return propose_liver(patient.volume)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def codes(labels: LabelMap) -> set[str]:
    return {finding.code for finding in labels.findings}


def test_volume_and_shape_are_those_of_the_patient(patient, liver):
    assert liver.volume_ml("liver") == pytest.approx(patient.exact_ml["liver"], rel=0.01)
    assert overlap(liver.mask("liver"), patient.mask("liver")) > 0.975
    assert liver.labels[1].code == "10200004"


def test_it_is_one_piece_with_its_tumour_and_without_neighbours(patient, liver):
    assert ndimage.label(liver.mask())[1] == 1
    assert np.count_nonzero(liver.mask() & patient.mask("tumor")) == pytest.approx(
        np.count_nonzero(patient.mask("tumor")), rel=0.01
    )
    for name in ("heart", "stomach", "spleen", "right_kidney", "bone"):
        inside = np.count_nonzero(liver.mask() & patient.mask(name))
        assert inside < 0.005 * np.count_nonzero(liver.mask()), name


def flipped(volume: Volume, *image_axes: int) -> Volume:
    """The same patient stored in the opposite order along ``image_axes``."""
    g = volume.geometry
    corner, axes = np.zeros(3), g.axes.copy()
    for axis in image_axes:
        corner[axis] = g.size[axis] - 1
        axes[:, axis] *= -1
    x, y, z = (float(v) for v in g.to_world(corner))
    geometry = replace(g, origin_mm=(x, y, z), direction=tuple(axes.ravel()))
    return Volume(np.flip(volume.array, [2 - axis for axis in image_axes]), geometry)


def test_storage_order_and_padding_below_air_do_not_matter(patient, liver):
    array = patient.volume.array.astype(np.int16, copy=True)
    array[:, :3] = -3024
    array[:, :, -3:] = -2000
    other = propose_liver(flipped(Volume(array, patient.volume.geometry), 0, 2))
    assert overlap(np.flip(other.mask(), (0, 2)), liver.mask()) > 0.995


def between(volume: Volume, start: int, stop: int) -> Volume:
    """The slices from ``start`` up to ``stop``."""
    g = volume.geometry
    return Volume(
        volume.array[start:stop], g.cropped((0, 0, start), (g.size[0], g.size[1], stop - start))
    )


def test_a_scan_that_ends_inside_the_liver_says_so(patient, liver):
    first = int(np.flatnonzero(liver.mask().any(axis=(1, 2)))[0])
    upper = propose_liver(between(patient.volume, first + 15, len(liver.array)))
    assert "liver_cut_off" in codes(upper)
    assert not {"liver_cut_off", "liver_little"} & codes(liver)
    assert overlap(upper.mask(), liver.mask()[first + 15 :]) > 0.97
    tip = propose_liver(between(patient.volume, 0, first + 12))
    assert {"liver_cut_off", "liver_little"} <= codes(tip)
    assert overlap(tip.mask(), liver.mask()[: first + 12]) > 0.95


def test_what_lies_above_or_below_the_liver_is_refused(patient):
    slices = np.flatnonzero(patient.mask("liver").any(axis=(1, 2)))
    for start, stop in ((0, int(slices[0])), (int(slices[-1]) + 1, len(patient.truth.array))):
        with pytest.raises(ValueError, match="no liver was found"):
            propose_liver(between(patient.volume, start, stop))


def test_what_is_no_ct_or_has_no_liver_is_refused(patient):
    with pytest.raises(ValueError, match="CT in HU"):
        propose_liver(replace(patient.volume, quantity="MR intensity"))
    box = ImageGeometry((60, 60, 40), (3, 3, 3), (-90, -90, 0), np.eye(3).ravel(), "1")
    with pytest.raises(ValueError, match="no body"):
        propose_liver(Volume(np.full(box.shape, -1000, np.int16), box))
    water = np.full(box.shape, -1000, np.int16)
    water[:, 10:50, 10:50] = 0
    with pytest.raises(ValueError, match="no spine"):
        propose_liver(Volume(water, box))


def test_landmarks_lie_where_the_patient_has_them(patient):
    found = read_abdomen(patient.volume)
    k = len(found.hu) // 2
    x, y, _ = found.geometry.to_world((found.spine_i[k], found.spine_front_j[k], k))
    bones = patient.volume.geometry.to_world(np.argwhere(patient.mask("bone"))[:, ::-1])
    middle = np.median(bones[np.abs(bones[:, 0] - x) < 15], axis=0)
    assert abs(x - middle[0]) < 5
    assert y < middle[1]
    assert found.lung.any()


def test_progress_runs_to_the_end_and_may_stop_the_work(patient):
    class Stop(Exception):
        pass

    seen = []

    def stopping(fraction: float, message: str = "") -> None:
        seen.append(fraction)
        if fraction > 0.2:
            raise Stop

    with pytest.raises(Stop):
        propose_liver(patient.volume, progress=stopping)
    assert seen == sorted(seen)


def test_silver_labels_of_an_unenhanced_scan(real_data):
    folder = real_data / "totalsegmentator_example"
    volume = read_volume(folder / "example_ct_sm.nii.gz")
    silver = read_volume(folder / "example_seg.nii.gz")
    found = propose_liver(volume)
    assert overlap(found.mask(), silver.array == 5) > 0.9
    assert {"liver_unenhanced", "liver_cut_off"} <= codes(found)


def test_a_head_has_no_liver(real_data):
    (head,) = scan([real_data / "head_ct_cptac_C3N-01192.zip"]).volumes
    with pytest.raises(ValueError, match="no liver was found"):
        propose_liver(read(head))
