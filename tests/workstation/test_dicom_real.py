"""The reader on published DICOM that is known to mislead other readers."""

import json
import time
import zipfile

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from workstation.dicom.decoder import stored_values
from workstation.dicom.files import DicomError, accept, read, scan
from workstation.dicom.sources import find_sources


@pytest.fixture(scope="module")
def zoo(real_data):
    return real_data / "dicom_zoo"


def only(path):
    (volume,) = scan([path]).volumes
    return volume


@pytest.mark.parametrize(
    ("name", "size", "spacing"),
    [
        ("liver_ct_3dircadb01.zip", (512, 512, 129), (0.57, 0.57, 1.6)),
        ("head_ct_cptac_C3N-01192.zip", (512, 512, 160), (0.4746, 0.4746, 1.25)),
        ("brain_mr_oblique_SAG-anon.zip", (256, 256, 192), (0.859, 0.859, 0.9)),
    ],
)
def test_plain_series(real_data, name, size, spacing):
    scanned = only(real_data / name)
    assert (scanned.status, scanned.geometry.size) == ("ok", size)
    assert scanned.geometry.spacing_mm == pytest.approx(spacing, abs=1e-3)
    volume = read(scanned)
    assert volume.array.dtype == np.int16
    middle = scanned.slices[size[2] // 3]
    data = pydicom.dcmread(middle.source.open())
    truth = data.pixel_array * float(data.get("RescaleSlope", 1))
    truth = truth + float(data.get("RescaleIntercept", 0))
    np.testing.assert_array_equal(volume.array[size[2] // 3], truth)
    place = volume.geometry.to_world((0, 0, size[2] // 3))
    np.testing.assert_allclose(place, data.ImagePositionPatient, atol=0.05)


def test_a_lost_slice_is_interpolated_and_the_others_are_themselves(real_data, tmp_path):
    whole = only(real_data / "brain_mr_oblique_SAG-anon.zip").slices[60:84]
    for k, s in enumerate(whole):
        if k != 9:
            (tmp_path / f"{k}.dcm").write_bytes(s.source.read_bytes())
    refused = only(tmp_path)
    assert (refused.status, refused.findings[0].code) == ("refused", "missing_slices")
    volume = read(accept(refused, ["interpolate_missing"]))
    truth = [pydicom.dcmread(s.source.open()) for s in whole]
    for k, data in enumerate(truth):
        place = volume.geometry.to_world((0, 0, k))
        np.testing.assert_allclose(place, data.ImagePositionPatient, atol=0.05)
        if k != 9:
            np.testing.assert_array_equal(volume.array[k], data.pixel_array)
    mean = (truth[8].pixel_array.astype(float) + truth[10].pixel_array) / 2
    assert np.abs(volume.array[9] - mean).max() <= 0.5
    assert np.corrcoef(volume.array[9].ravel(), truth[9].pixel_array.ravel())[0, 1] > 0.9


def test_tilted_ct_agrees_with_the_independent_deskew(zoo, tmp_path):
    scanned = only(zoo / "ct_tilt_philips")
    assert scanned.status == "repaired"
    assert scanned.geometry.size == (512, 600, 54)
    assert scanned.geometry.spacing_mm[2] == pytest.approx(2.3708, abs=1e-4)
    with zipfile.ZipFile(zoo / "ref.zip") as archive:
        path = archive.extract("ref/dcm_qa_ct/head201_tilt_corrected.nii.gz", tmp_path)
    reference = sitk.Cast(sitk.ReadImage(path), sitk.sitkFloat32)
    volume = read(scanned)
    image = sitk.GetImageFromArray(volume.array.astype(np.float32))
    image.SetSpacing(volume.geometry.spacing_mm)
    image.SetOrigin(volume.geometry.origin_mm)
    image.SetDirection(volume.geometry.direction)
    ours = sitk.GetArrayFromImage(
        sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear, -9999.0)
    )
    theirs = sitk.GetArrayFromImage(reference)
    both = (ours > -9998) & (theirs > -1000)
    assert both.mean() > 0.4
    assert np.corrcoef(ours[both], theirs[both])[0, 1] > 0.9999
    assert np.median(np.abs(ours[both] - theirs[both])) < 1


def test_philips_field_map_is_two_volumes(zoo):
    volumes = scan([zoo / "enhanced_mr" / "In" / "Philips"]).volumes
    assert [v.geometry.size for v in volumes] == [(64, 64, 32)] * 2
    low, high = sorted(float(read(v).array.min()) for v in volumes)
    assert low < -400
    assert high == 0


def assert_equals_reference(volume, path, time=0, tolerance=0.0):
    """Every voxel of ``volume`` has the value that another converter puts at its place."""
    image = sitk.ReadImage(path)
    if image.GetDimension() == 4:
        image = image[..., time]
    reference = sitk.GetArrayFromImage(image)
    k, j, i = np.indices(reference.shape)
    matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    points = np.stack([i, j, k], axis=-1) @ matrix.T + image.GetOrigin()
    index = volume.geometry.to_index(points)
    whole = np.rint(index).astype(int)
    assert np.abs((index - whole) * volume.geometry.spacing_mm).max() < 0.001
    assert sorted(reference.shape) == sorted(volume.array.shape)
    i, j, k = np.moveaxis(whole, -1, 0)
    np.testing.assert_allclose(volume.array[k, j, i], reference, rtol=0, atol=tolerance)


def reference_in(zoo, folder, name):
    with zipfile.ZipFile(zoo / "ref.zip") as archive:
        return archive.extract(f"ref/dcm_qa_enh/Ref/{name}.nii", folder)


def test_a_field_map_is_in_hertz(zoo, tmp_path):
    volumes = scan([zoo / "enhanced_mr" / "In" / "Philips"]).volumes
    (field,) = (v for v in volumes if v.slices[0].quantity == "MR value (Hz)")
    path = reference_in(zoo, tmp_path, "Philips_WIP_B0_NS_801_e2_fieldmaphz")
    assert_equals_reference(read(field), path, tolerance=0.01)


def test_siemens_enhanced_times_equal_their_reference(zoo, tmp_path):
    volumes = scan([zoo / "enhanced_mr" / "In" / "Siemens"]).volumes
    assert [v.geometry.size for v in volumes] == [(64, 64, 6)] * 4
    assert [(v.status, v.part.number, v.part.value) for v in volumes] == [
        ("ok", n + 1, 500.0 * n) for n in range(4)
    ]
    path = reference_in(zoo, tmp_path, "Siemens_REST1_w_SMS_PF7-8_6")
    for n, volume in enumerate(volumes):
        assert_equals_reference(read(volume), path, n)


def test_a_mosaic_through_another_archive_is_the_same(zoo):
    plain = scan([zoo / "dcm_qa_agfa" / "Siemens"]).volumes
    other = scan([zoo / "dcm_qa_agfa" / "Agfa"]).volumes
    assert [v.geometry.size for v in plain] == [(64, 64, 25)] * 4
    for a, b in zip(plain, other, strict=True):
        assert (a.geometry, a.part) == (b.geometry, b.part)
    np.testing.assert_array_equal(read(plain[3]).array, read(other[3]).array)


@pytest.mark.parametrize(
    ("folder", "name", "reference"),
    [
        *(("dcm_qa_ts", str(n), n) for n in range(1, 10)),
        ("dcm_qa_12bit", "12bitUnsigned", 2),
        ("dcm_qa_12bit", "12bitUnsigned_0x0F0F", 3),
        ("dcm_qa_12bit", "12bitSigned_0x0F0F", 4),
    ],
)
def test_mosaics_equal_their_reference(zoo, folder, name, reference):
    scanned = only(zoo / folder / "In" / f"{name}.dcm")
    assert scanned.status == "ok"
    assert_equals_reference(read(scanned), zoo / folder / "Ref" / f"{reference}.nii")


@pytest.mark.parametrize(
    ("series", "reference", "parts"),
    [
        ("20180918Si/mr_0003", "EPI_PE=AP_3", 2),
        ("20180918Si/mr_0004", "EPI_PE=PA_4", 2),
        ("20180918Si/mr_0005", "EPI_PE=RL_5", 2),
        ("20180918Si/mr_0006", "EPI_PE=LR_6", 2),
        ("20180918GE/mr_0005", "DCM2NIIX_regression_test_5", 10),
        ("20180918GE/mr_0006", "DCM2NIIX_regression_test_6", 10),
    ],
)
def test_time_series_equal_their_reference(zoo, tmp_path, series, reference, parts):
    with zipfile.ZipFile(zoo / "dcm_qa_nih.zip") as archive:
        for name in archive.namelist():
            if f"In/{series}/" in name or name.endswith(f"Ref/{reference}.nii"):
                archive.extract(name, tmp_path)
    volumes = scan([tmp_path / "dcm_qa_nih" / "In"]).volumes
    assert [(v.part.kind, v.part.number, v.part.count) for v in volumes] == [
        ("time", n + 1, parts) for n in range(parts)
    ]
    for n in (0, parts - 1):
        path = tmp_path / "dcm_qa_nih" / "Ref" / f"{reference}.nii"
        assert_equals_reference(read(volumes[n]), path, n)


def test_all_transfer_syntaxes_decode_alike(zoo):
    sources, _ = find_sources([zoo / "ts_mosaic_transfer_syntaxes"])
    images = [next(stored_values(s, [None]))[0] for s in sources if s.name.endswith(".dcm")]
    assert len(images) == 9
    assert all(np.array_equal(image, images[0]) for image in images[1:])


@pytest.mark.parametrize(
    ("name", "reference"),
    [("12bitUnsigned", 2), ("12bitUnsigned_0x0F0F", 3), ("12bitSigned_0x0F0F", 4)],
)
def test_twelve_bits_are_cleaned(zoo, name, reference):
    sources, _ = find_sources([zoo / "dcm_qa_12bit" / "In" / f"{name}.dcm"])
    truth = sitk.GetArrayFromImage(
        sitk.ReadImage(zoo / "dcm_qa_12bit" / "Ref" / f"{reference}.nii")
    )
    unused_tile = np.zeros(64 * 64)
    values = next(stored_values(sources[0], [None]))[0].ravel()
    np.testing.assert_array_equal(
        np.sort(values), np.sort(np.concatenate([truth.ravel(), unused_tile]))
    )


@pytest.mark.parametrize("name", ["0", "24", "67", "72", "87", "121", "566", "1690", "1820"])
def test_mutants_are_refused_and_the_process_lives(zoo, name):
    begin = time.perf_counter()
    volumes = scan([zoo / "mutants" / f"{name}.dcm"]).volumes
    for volume in volumes:
        with pytest.raises(DicomError):
            read(volume)
    assert time.perf_counter() - begin < 10


def test_nothing_in_the_zoo_is_silently_wrong(zoo):
    found = scan([zoo / "pydicom"])
    json.dumps(found.to_json())
    accepted = [v for v in found.volumes if v.status != "refused"]
    assert len(accepted) >= 10
    for scanned in accepted:
        volume = read(scanned)
        for k, s in enumerate(scanned.slices):
            place = volume.geometry.to_world((*scanned.stack.offsets[k], k))
            np.testing.assert_allclose(place, s.position_mm, atol=0.05)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE",
        "MR_small_bigendian",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
        "MR_small_padded",
    ],
)
def test_every_encoding_of_one_slice_is_the_same(zoo, name):
    plain = read(only(zoo / "pydicom" / "MR_small.dcm")).array
    np.testing.assert_array_equal(read(only(zoo / "pydicom" / f"{name}.dcm")).array, plain)
