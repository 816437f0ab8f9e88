"""Segmentations of series whose image is not simply their slices: tilted, or with a repair."""

import numpy as np
import pydicom
import pytest

from segmentation.volume import Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from tests.workstation.validators import errors_of
from workstation.dicom.files import accept, scan
from workstation.dicom.segmentation_object import LabelOutsideSource, write_segmentation
from workstation.dicom.segmentation_reading import read_segmentation

LABELS = {1: Label("organ")}


def test_a_real_tilted_series_is_segmented_on_its_own_slices(real_data, tmp_path):
    """Every pixel of a source slice holds the voxel of the straightened image nearest to it."""
    (whole,) = scan([real_data / "dicom_zoo" / "ct_tilt_philips"]).volumes
    (series,) = scan([s.source.path for s in whole.slices[20:28]]).volumes
    grid = series.geometry
    assert series.stack.tilt_degrees == pytest.approx(18.5, abs=0.1)
    k, j, i = np.indices(grid.shape)
    ball = ((i - 200) / 90) ** 2 + ((j - 300) / 60) ** 2 + ((k - 3.2) / 4.5) ** 2 < 1
    path = write_segmentation(LabelMap(ball, grid, LABELS), series, tmp_path / "seg.dcm")
    assert not errors_of(path)
    seg = pydicom.dcmread(path)
    assert seg.NumberOfFrames == 8
    originals = {s.sop_uid: s for s in series.slices}
    resampled = np.zeros(grid.shape, bool)
    for item, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array):
        image = item.DerivationImageSequence[0].SourceImageSequence[0]
        header = pydicom.dcmread(originals[image.ReferencedSOPInstanceUID].source.path)
        place, turned = header.ImagePositionPatient, header.ImageOrientationPatient
        points = phantom.slice_points(
            np.array(place, float), np.array(turned, float), *pixels.shape, header.PixelSpacing
        )
        ci, cj, ck = np.rint(grid.to_index(points)).astype(int).T
        truth = ball[ck, cj, ci].T
        assert np.array_equal(pixels.astype(bool), truth)
        resampled[ck.T, cj.T, ci.T] = truth
    back = read_segmentation(path)
    assert np.allclose(back.geometry.spacing_mm, grid.spacing_mm)
    at = np.rint(grid.to_index(back.geometry.origin_mm)).astype(int)
    assert tuple(at) == (0, 0, 0)
    assert np.array_equal(back.mask("organ"), resampled)
    assert np.count_nonzero(resampled ^ ball) == 0


def repaired(folder, depths, code):
    """A series whose slices lie at ``depths`` mm, after the repair ``code`` was accepted."""
    phantom.write(folder, [(-8.0, 4.0, 30.0 + z) for z in depths])
    (volume,) = scan([folder]).volumes
    assert volume.status == "refused"
    return accept(volume, [code])


def test_a_label_beside_an_interpolated_slice_is_written(tmp_path):
    depths = [2.5 * k for k in range(12) if k != 4]
    series = repaired(tmp_path / "ct", depths, "interpolate_missing")
    grid = series.geometry
    assert grid.size[2] == 12
    array = np.zeros(grid.shape, np.uint8)
    array[[2, 3, 5, 6], 2:6, 3:8] = 1
    array[6, 7, 9] = 1
    path = write_segmentation(LabelMap(array, grid, LABELS), series, tmp_path / "seg.dcm")
    back = read_segmentation(path)
    _, _, first = np.rint(grid.to_index(back.geometry.origin_mm)).astype(int)
    assert first == 2
    assert np.array_equal(back.mask("organ"), array[2:7] == 1)
    array[4, 4, 4] = 1
    with pytest.raises(LabelOutsideSource, match="1 label voxels"):
        write_segmentation(LabelMap(array, grid, LABELS), series, path)
    assert np.array_equal(read_segmentation(path).mask("organ")[2], np.zeros(grid.shape[1:]))


def test_labels_of_an_image_between_uneven_slices_are_refused(tmp_path):
    depths = [0, 2.5, 5.3, 7.5, 10.0, 12.4, 15.0]
    series = repaired(tmp_path / "ct", depths, "resample_spacing")
    array = np.ones(series.geometry.shape, np.uint8)
    with pytest.raises(LabelOutsideSource, match=r"unevenly apart.*write NRRD"):
        write_segmentation(LabelMap(array, series.geometry, LABELS), series, tmp_path / "seg.dcm")


def test_a_series_without_its_damaged_end_is_written(tmp_path):
    series = repaired(tmp_path / "ct", [0, 2.5, 5.0, 7.5, 10.0, 14.1], "leave_out_slice")
    grid = series.geometry
    array = (np.random.default_rng(3).random(grid.shape) < 0.5).astype(np.uint8)
    path = write_segmentation(LabelMap(array, grid, LABELS), series, tmp_path / "seg.dcm")
    back = read_segmentation(path)
    assert back.geometry.same_grid(grid)
    assert np.array_equal(back.mask("organ"), array == 1)
