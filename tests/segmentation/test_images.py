"""The edges: every format returns what went in, on oblique and left-handed grids."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from scipy.spatial.transform import Rotation

from segmentation.images import (
    UnusableImage,
    labels_from_sitk,
    labels_from_vtk,
    read_labels,
    read_volume,
    to_sitk,
    to_vtk,
    volume_from_sitk,
    volume_from_vtk,
    write_labels,
    write_volume,
)
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from tests.segmentation.test_volume import geometries

AXES = Rotation.from_euler("xyz", [17, -28, 63], degrees=True).as_matrix()
LEFT_HANDED = AXES * [1, -1, 1]
PERMUTED = AXES[:, [2, 0, 1]]
RNG = np.random.default_rng(5)


def grid(axes: np.ndarray = LEFT_HANDED, size: tuple[int, int, int] = (6, 5, 4)) -> ImageGeometry:
    return ImageGeometry(
        size, (0.571, 0.7, 1.6), (-123.456, 77.7, -301.123), tuple(axes.ravel()), "1.2.840.9"
    )


def volume(axes: np.ndarray = LEFT_HANDED) -> Volume:
    return Volume(np.arange(120, dtype=np.int16).reshape(4, 5, 6) - 50, grid(axes))


def label_map(axes: np.ndarray = LEFT_HANDED) -> LabelMap:
    array = np.zeros((4, 5, 6), np.uint16)
    array[1, 2, 1:5], array[2, 4, 0] = 3, 700
    return LabelMap(
        array,
        grid(axes),
        {3: Label("left lobe = big", (10, 20, 30), "10200004"), 700: Label("tumour", (1, 2, 255))},
    )


@pytest.mark.parametrize("axes", [LEFT_HANDED, AXES, PERMUTED, np.diag([-1.0, -1, 1])])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_volume_files_return_what_went_in(tmp_path: Path, ending: str, axes: np.ndarray) -> None:
    path, before = tmp_path / f"ct{ending}", volume(axes)
    write_volume(before, path)
    after = read_volume(path, "1.2.840.9")
    assert np.array_equal(after.array, before.array)
    assert after.array.dtype == np.int16
    assert after.geometry.same_grid(before.geometry, tolerance_mm=1e-4)
    assert not after.findings
    assert os.listdir(tmp_path) == [path.name]


@given(geometries())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_geometry_survives_the_libraries(tmp_path: Path, one: ImageGeometry) -> None:
    array = np.arange(np.prod(one.shape), dtype=np.float32).reshape(one.shape)
    before = Volume(array, one, "MR intensity")
    for after in (
        volume_from_sitk(to_sitk(before), "1.2.3", "MR intensity"),
        volume_from_vtk(to_vtk(before), "1.2.3", "MR intensity"),
    ):
        assert np.array_equal(after.array, before.array)
        assert after.geometry == before.geometry
    write_volume(before, tmp_path / "one.nii.gz")
    read = read_volume(tmp_path / "one.nii.gz", "1.2.3")
    assert np.array_equal(read.array, array)
    assert read.geometry.same_grid(one, 1e-3)


def test_nifti_is_ras_on_disk(tmp_path: Path) -> None:
    """Bytes of the header itself, so that reader and writer cannot share an error."""
    write_volume(volume(), tmp_path / "ct.nii")
    header = (tmp_path / "ct.nii").read_bytes()[:352]
    rows = np.frombuffer(header[280:328], "<f4").reshape(3, 4)
    expected = np.diag([-1.0, -1, 1, 1]) @ volume().geometry.affine
    assert np.allclose(rows, expected[:3], atol=1e-4)
    assert np.frombuffer(header[252:256], "<i2").min() > 0


def test_world_points_agree_with_both_libraries() -> None:
    before, index = volume(), (5, 1, 3)
    world = before.geometry.to_world(index)
    assert np.allclose(to_sitk(before).TransformIndexToPhysicalPoint(index), world)
    image = to_vtk(before)
    point = [0.0, 0.0, 0.0]
    image.TransformIndexToPhysicalPoint(*index, point)
    assert np.allclose(point, world)
    assert image.GetScalarComponentAsDouble(*index, 0) == before.array[3, 1, 5]


def test_a_nifti_header_at_odds_with_itself_is_reported(tmp_path: Path) -> None:
    write_volume(volume(), tmp_path / "ct.nii")
    raw = bytearray((tmp_path / "ct.nii").read_bytes())
    rows = np.frombuffer(bytes(raw[280:328]), "<f4").reshape(3, 4).copy()
    rows[0, 3] += 10
    raw[280:328] = rows.tobytes()
    (tmp_path / "moved.nii").write_bytes(raw)
    assert not read_volume(tmp_path / "ct.nii").findings
    (finding,) = read_volume(tmp_path / "moved.nii").findings
    assert finding.code == "nifti_transforms_differ"
    assert "10.0 mm" in finding.sentence


@pytest.mark.parametrize("ending", [".seg.nrrd", ".nrrd", ".mha"])
def test_label_files_keep_names_colours_codes_and_frame(tmp_path: Path, ending: str) -> None:
    before = label_map()
    write_labels(before, tmp_path / f"seg{ending}")
    after = read_labels(tmp_path / f"seg{ending}")
    assert np.array_equal(after.array, before.array)
    assert after.array.dtype == np.uint16
    assert dict(after.labels) == dict(before.labels)
    assert after.geometry.frame_uid == "1.2.840.9"
    assert after.geometry.same_grid(before.geometry)


def test_nifti_labels_get_names_and_the_frame_of_the_image(tmp_path: Path) -> None:
    write_labels(label_map(), tmp_path / "seg.nii.gz")
    after = read_labels(tmp_path / "seg.nii.gz", "1.2.840.9")
    assert np.array_equal(after.array, label_map().array)
    assert [label.name for label in after.labels.values()] == ["label 3", "label 700"]
    assert after.geometry.frame_uid == "1.2.840.9"


def test_a_file_without_frame_gets_one_of_its_own(tmp_path: Path) -> None:
    write_volume(volume(), tmp_path / "a.nii.gz")
    write_volume(Volume(volume().array + 1, grid()), tmp_path / "b.nii.gz")
    first, again, other = (read_volume(tmp_path / f"{n}.nii.gz") for n in "aab")
    assert first.geometry.frame_uid == again.geometry.frame_uid != other.geometry.frame_uid
    assert len(first.geometry.frame_uid) <= 64


def test_another_frame_than_the_file_names_is_reported(tmp_path: Path) -> None:
    write_labels(label_map(), tmp_path / "seg.nrrd")
    after = read_labels(tmp_path / "seg.nrrd", "9.9")
    assert after.geometry.frame_uid == "9.9"
    assert [finding.code for finding in after.findings] == ["frame_replaced"]


def test_segments_of_slicer_are_read(tmp_path: Path) -> None:
    image = to_sitk(label_map())
    for key, value in {
        "Segment0_Name": "Liver",
        "Segment0_LabelValue": "3",
        "Segment0_Color": "0.5 0.25 1",
        "Segment1_Name": "Tumour",
        "Segment1_LabelValue": "700",
    }.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(tmp_path / "x.seg.nrrd"))
    labels = read_labels(tmp_path / "x.seg.nrrd", "1").labels
    assert labels[3] == Label("Liver", (128, 64, 255))
    assert labels[700].name == "Tumour"


@pytest.mark.parametrize("value", [0.5, -1.0, 65536.0, float("nan")])
def test_what_is_not_a_label_is_refused(tmp_path: Path, value: float) -> None:
    array = np.zeros((4, 5, 6), np.float32)
    write_volume(Volume(array, grid()), tmp_path / "good.nrrd")
    assert read_labels(tmp_path / "good.nrrd").array.dtype == np.uint8
    array[1, 2, 3] = value
    write_volume(Volume(array, grid()), tmp_path / "bad.nrrd")
    with pytest.raises(UnusableImage, match=r"bad\.nrrd.*labels must"):
        read_labels(tmp_path / "bad.nrrd")


def test_files_that_are_no_volume_are_refused(tmp_path: Path) -> None:
    plain = sitk.GetImageFromArray(np.zeros((4, 5, 6, 2), np.uint8), isVector=True)
    sitk.WriteImage(plain, str(tmp_path / "vector.nrrd"))
    time = sitk.GetImageFromArray(np.zeros((3, 4, 5, 6), np.uint8), isVector=False)
    sitk.WriteImage(time, str(tmp_path / "time.nii.gz"))
    flat = sitk.GetImageFromArray(np.zeros((5, 6), np.uint8))
    sitk.WriteImage(flat, str(tmp_path / "flat.mha"))
    (tmp_path / "text.nii.gz").write_text("not an image")
    for name, words in {
        "vector.nrrd": "several values",
        "time.nii.gz": "dimensions",
        "flat.mha": "dimensions",
        "text.nii.gz": "cannot be read",
        "absent.nrrd": "no such file",
        "image.png": "ending",
    }.items():
        with pytest.raises(UnusableImage, match=words):
            read_labels(tmp_path / name)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_cut_off_or_changed_nifti_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"image{ending}"
    noise = np.random.default_rng(5).integers(-999, 999, (9, 8, 7), dtype=np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path))
    whole = path.read_bytes()
    assert (read_volume(path).array == noise).all()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnusableImage, match=r"not whole.*copy it again"):
        read_volume(path)
    if ending == ".nii.gz":
        path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 64]) + whole[-19:])
        with pytest.raises(UnusableImage, match="not whole"):
            read_volume(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_voxels_without_a_number_are_told(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"image{ending}"
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    array[1, 2, 3], array[0, 0, 1] = np.nan, np.inf
    image = sitk.GetImageFromArray(array)
    image.SetOrigin((1.0, 2.0, 3.0))
    sitk.WriteImage(image, str(path))
    volume = read_volume(path)
    assert volume.array[1, 2, 3] == 0
    assert volume.array[0, 0, 1] == 0
    assert volume.array[2, 3, 4] == 59
    assert "2 of 60" in next(f for f in volume.findings if f.code == "not_numbers").sentence
    sitk.WriteImage(image * np.nan, str(path))
    with pytest.raises(UnusableImage, match="no voxel holds a number"):
        read_volume(path)


def test_one_time_point_is_a_volume(tmp_path: Path) -> None:
    image = sitk.JoinSeries([to_sitk(volume(np.eye(3)))])
    sitk.WriteImage(image, str(tmp_path / "one.nii.gz"))
    after = read_volume(tmp_path / "one.nii.gz", "1.2.840.9")
    assert after.geometry.same_grid(grid(np.eye(3)), 1e-4)


def test_a_file_without_place_is_refused(tmp_path: Path) -> None:
    """Each format with its own way to be silent about position."""
    write_volume(volume(), tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[252:256] = bytes(4)
    (tmp_path / "a.nii").write_bytes(raw)
    body = np.zeros(8, np.uint8).tobytes()
    nrrd = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nspacings: 1 1 1\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(nrrd + body)
    meta = b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mha").write_bytes(meta + b"ElementDataFile = LOCAL\n" + body)
    for name in ("a.nii", "a.nrrd", "a.mha"):
        with pytest.raises(UnusableImage, match="where its voxels lie"):
            read_volume(tmp_path / name)


def test_ras_nrrd_is_turned(tmp_path: Path) -> None:
    header = (
        b"NRRD0004\ntype: uchar\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 3 1\n"
        b"space directions: (2,0,0) (0,3,0) (0,0,4)\nkinds: domain domain domain\n"
        b"space origin: (10,20,30)\nencoding: raw\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header + bytes(range(6)))
    found = read_volume(tmp_path / "a.nrrd").geometry
    assert np.allclose(found.to_world([1, 0, 0]), [-12, -20, 30])
    assert np.allclose(found.to_world([0, 2, 0]), [-10, -26, 30])


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "ct.nrrd"
    write_volume(volume(), path)
    before = path.read_bytes()
    with pytest.raises(Exception):  # noqa: B017 - whatever the writer makes of it
        write_volume(Volume(np.zeros((4, 5, 6), np.float16), grid()), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["ct.nrrd"]
    with pytest.raises(UnusableImage, match="ending"):
        write_volume(volume(), tmp_path / "ct.jpg")


def test_library_labels_are_checked() -> None:
    image = to_sitk(label_map())
    assert labels_from_sitk(image, "1").labels.keys() == {3, 700}
    after = labels_from_vtk(to_vtk(label_map()), "1.2.840.9", label_map().labels)
    assert np.array_equal(after.array, label_map().array)
    assert after.geometry == label_map().geometry
    with pytest.raises(UnusableImage, match="between 0"):
        labels_from_sitk(sitk.Cast(image, sitk.sitkInt16) * -1, "1")
