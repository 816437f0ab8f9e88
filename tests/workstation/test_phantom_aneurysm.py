"""The synthetic head: vessels and sac where the shapes are, bright, and on the left."""

import numpy as np
import pydicom
import pytest

from workstation.dicom.files import read, scan
from workstation.phantom import HEAD_MRA, head, write_dicom
from workstation.phantom.aneurysm import BLOOD, SAC, within_vessels


@pytest.fixture(scope="module")
def patient():
    return head(spacing_mm=(1.0, 1.0, 1.2))


def test_the_sac_lies_on_the_left_where_its_shape_is(patient):
    k, j, i = np.nonzero(patient.truth.array == 2)
    centre = patient.truth.geometry.to_world((i.mean(), j.mean(), k.mean()))
    assert centre[0] > 10, "x runs to the patient's left"
    assert np.linalg.norm(centre - SAC.centre_mm) < 1.0
    assert np.count_nonzero(patient.truth.array == 2) * patient.truth.geometry.voxel_ml == (
        pytest.approx(0.123, abs=0.02)
    )


def test_blood_is_brighter_than_everything_else(patient):
    image, mask = patient.volume.array, within_vessels(patient.vessels, patient.volume.geometry)
    sac = patient.truth.array == 2
    assert np.median(image[sac]) == pytest.approx(BLOOD, rel=0.15)
    assert np.percentile(image[~mask & ~sac], 99) < 0.7 * np.median(image[mask])


def test_without_its_sac_the_same_head_is_healthy(patient):
    healthy = head(spacing_mm=(1.0, 1.0, 1.2), with_sac=False)
    assert not (healthy.truth.array == 2).any()
    sac = patient.truth.array == 2
    assert np.median(healthy.volume.array[sac]) < 0.5 * np.median(patient.volume.array[sac])


def test_it_is_written_as_an_mr_angiography_that_reads_back_exactly(patient, tmp_path):
    files = write_dicom(patient, tmp_path, examination=HEAD_MRA)
    first = pydicom.dcmread(files[0])
    assert (first.Modality, first.PatientName) == ("MR", "SYNTHETIC^HEAD")
    (volume,) = scan([tmp_path]).volumes
    assert volume.status == "ok"
    assert volume.synthetic
    back = read(volume)
    assert np.array_equal(back.array, patient.volume.array)
    assert back.geometry.spacing_mm == pytest.approx(patient.volume.geometry.spacing_mm)
    assert back.geometry.origin_mm == pytest.approx(patient.volume.geometry.origin_mm)
