"""Segmentations: onto the source frames and back, whatever the order and direction of slices."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import DataElement

from segmentation.contract import FrameMismatch
from segmentation.images import read_labels
from segmentation.volume import ImageGeometry, Label, LabelMap
from tests.workstation import dicom_phantom as phantom
from tests.workstation.test_dicom_multiframe import enhanced
from workstation.dicom import segmentation_object
from workstation.dicom.files import scan
from workstation.dicom.label_source import read_label_source
from workstation.dicom.layers import chosen
from workstation.dicom.objects import UnfaithfulObject, cielab_of, lenient, rgb_of
from workstation.dicom.segmentation_object import (
    Drawn,
    LabelOutsideSource,
    onto_slices,
    require_same_voxels,
    segments_of,
    write_segmentation,
)
from workstation.dicom.segmentation_reading import read_segmentation, segment_frames
from workstation.dicom.sources import DicomError

ORIGIN = np.array((-8.0, 4.0, 30.0))
STEP_MM = 2.5
LABELS = {
    3: Label("left_kidney", (10, 200, 30), "18639004"),
    7: Label("tumor", (232, 197, 71), "4147007"),
}


def along(step) -> list:
    return [tuple(ORIGIN + k * np.asarray(step)) for k in range(phantom.SLICES)]


STACKS = {
    "axial": (along((0, 0, STEP_MM)), phantom.AXIAL),
    "reversed": (along((0, 0, -STEP_MM)), phantom.AXIAL),
    "sagittal": (along(STEP_MM * phantom.normal(phantom.SAGITTAL)), phantom.SAGITTAL),
    "oblique": (along(STEP_MM * phantom.normal(phantom.OBLIQUE)), phantom.OBLIQUE),
    "tilted": (along((0.4, 0.9, STEP_MM)), phantom.AXIAL),
}


def series(folder: Path, stack="axial", edit=lambda data, k: None, seed=3):
    """Write the stack as files in shuffled order and scan it."""
    places, orientation = STACKS[stack]
    places = list(places)
    random.Random(seed).shuffle(places)
    phantom.write(folder, places, orientation, edit=edit)
    (volume,) = scan([folder]).volumes
    assert volume.status != "refused"
    return volume


def labelled(volume, seed=0) -> LabelMap:
    """Noise of two labels in all slices but one: any flip, shift or swap shows."""
    array = np.zeros(volume.geometry.shape, np.uint8)
    noise = np.random.default_rng(seed)
    for k, (i, j) in enumerate(np.rint(volume.stack.offsets).astype(int)):
        if k != 2:
            array[k, j : j + phantom.ROWS, i : i + phantom.COLUMNS] = noise.choice(
                [0, 0, 3, 7], (phantom.ROWS, phantom.COLUMNS)
            )
    return LabelMap(array, volume.geometry, LABELS)


@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("stack", STACKS)
def test_what_is_written_comes_back_voxel_for_voxel(tmp_path, stack, form):
    volume = series(tmp_path / "ct", stack)
    labels = labelled(volume)
    write_segmentation(labels, volume, tmp_path / "seg.dcm", form=form)
    back = read_segmentation(tmp_path / "seg.dcm")
    assert back.geometry.same_grid(volume.geometry)
    assert len(back.layers) == 1
    for label in LABELS.values():
        assert np.array_equal(back.mask(label.name), labels.mask(label.name))
    assert list(back.labels.values()) == list(LABELS.values())
    assert not back.findings


@pytest.mark.parametrize("stack", STACKS)
def test_every_frame_lies_on_the_slice_that_it_names(tmp_path, stack):
    """Compared with the headers themselves, not with what the reader makes of them."""
    volume = series(tmp_path / "ct", stack)
    labels = labelled(volume)
    write_segmentation(labels, volume, tmp_path / "seg.dcm")
    originals = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, (tmp_path / "ct").iterdir())}
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    shared = seg.SharedFunctionalGroupsSequence[0]
    for item, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        image = item.DerivationImageSequence[0].SourceImageSequence[0]
        original = originals[image.ReferencedSOPInstanceUID]
        assert image.ReferencedSOPClassUID == original.SOPClassUID
        position = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        assert np.allclose(position, np.array(original.ImagePositionPatient, float), atol=1e-4)
        turned = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
        assert np.allclose(turned, np.array(original.ImageOrientationPatient, float), atol=1e-6)
        points = phantom.slice_points(position, turned)[pixels.astype(bool)]
        index = np.rint(volume.geometry.to_index(points)).astype(int)
        segment = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        value = list(LABELS)[segment - 1]
        if stack != "tilted":  # there a pixel centre lies between the voxels of the grid
            assert (labels.array[tuple(index.T[::-1])] == value).all()


def test_a_tilted_slice_takes_the_voxels_nearest_to_its_pixels(tmp_path):
    volume = series(tmp_path / "ct", "tilted")
    labels = labelled(volume)
    grid = volume.geometry
    for frame, s in zip(onto_slices(labels, volume), volume.slices):
        points = phantom.slice_points(s.position_mm, s.orientation)
        index = grid.to_index(points)
        # Ties aside, the voxel is the nearest one.
        sure = np.abs(index - np.floor(index) - 0.5).min(axis=-1) > 1e-6
        i, j, k = np.rint(index[sure]).astype(int).T
        assert np.array_equal(frame[sure], labels.array[k, j, i])


def test_a_label_of_another_grid_takes_the_nearest_voxel(tmp_path):
    volume = series(tmp_path / "ct", "oblique")
    grid = volume.geometry
    other = grid.resampled([s / 2 for s in grid.spacing_mm])
    k, j, i = np.indices(other.shape)
    points = other.to_world(np.stack([i, j, k], axis=-1))
    at = np.rint(grid.to_index(points) + 1e-9).astype(int)
    wanted = labelled(volume)
    fine = LabelMap(wanted.array[at[..., 2], at[..., 1], at[..., 0]], other, LABELS)
    found = onto_slices(fine, volume)
    assert np.array_equal(found, wanted.array)


def test_what_would_be_lost_is_refused(tmp_path):
    volume = series(tmp_path / "ct", "tilted")
    array = labelled(volume).array.copy()
    array[0, -1, 3] = 7  # empty corner of the orthogonal grid, where no slice is
    with pytest.raises(LabelOutsideSource, match="1 label voxels"):
        write_segmentation(LabelMap(array, volume.geometry, LABELS), volume, tmp_path / "s.dcm")
    beside = ImageGeometry(
        volume.geometry.size, (1, 1, 1), (500, 0, 0), np.eye(3).ravel(), "1.2.99"
    )
    with pytest.raises(LabelOutsideSource, match=r"100\.0 %"):
        write_segmentation(LabelMap(array, beside, LABELS), volume, tmp_path / "s.dcm")
    assert not list(tmp_path.glob("*.dcm"))


def test_a_series_without_a_frame_of_reference_keeps_its_own(tmp_path):
    volume = series(tmp_path / "ct", edit=lambda data, k: delattr(data, "FrameOfReferenceUID"))
    labels = labelled(volume)
    path = write_segmentation(labels, volume, tmp_path / "seg.dcm")
    back = read_segmentation(path)
    assert back.geometry.same_grid(labels.geometry)
    assert np.array_equal(back.mask("tumor"), labels.mask("tumor"))


def test_bad_labels_and_series_are_refused(tmp_path):
    volume = series(tmp_path / "ct")
    labels = labelled(volume)
    geometry = ImageGeometry(
        volume.geometry.size,
        volume.geometry.spacing_mm,
        volume.geometry.origin_mm,
        volume.geometry.direction,
        "9.9",
    )
    with pytest.raises(FrameMismatch, match="register"):
        write_segmentation(LabelMap(labels.array, geometry), volume, tmp_path / "s.dcm")
    empty = LabelMap(np.zeros_like(labels.array), volume.geometry, LABELS)
    with pytest.raises(ValueError, match="no voxel"):
        write_segmentation(empty, volume, tmp_path / "s.dcm")
    next((tmp_path / "ct").iterdir()).unlink()
    with pytest.raises(DicomError, match="changed or vanished"):
        write_segmentation(labels, volume, tmp_path / "s.dcm")


def test_the_check_sees_one_wrong_voxel_and_a_swapped_slice(tmp_path):
    volume = series(tmp_path / "ct")
    labels = labelled(volume)
    path = write_segmentation(labels, volume, tmp_path / "seg.dcm", form="LABELMAP")

    def require(array):
        drawn = [Drawn(LabelMap(array, volume.geometry, LABELS))]
        require_same_voxels(path, segments_of(drawn, volume, "LABELMAP"), volume)

    require(labels.array)
    wrong = labels.array.copy()
    wrong[4, 5, 6] = {0: 3, 3: 7, 7: 0}[int(wrong[4, 5, 6])]
    with pytest.raises(UnfaithfulObject, match="slice 5"):
        require(wrong)
    with pytest.raises(UnfaithfulObject):
        require(labels.array[::-1])


def test_a_file_that_fails_its_check_never_appears(tmp_path, monkeypatch):
    volume = series(tmp_path / "ct")
    path = tmp_path / "seg.dcm"
    path.write_bytes(b"what was there before")

    def flipped(segments, *rest):
        return original([replace(s, frames=s.frames[:, :, ::-1]) for s in segments], *rest)

    original = segmentation_object._segmentation
    monkeypatch.setattr(segmentation_object, "_segmentation", flipped)
    with pytest.raises(UnfaithfulObject):
        write_segmentation(labelled(volume), volume, path)
    assert path.read_bytes() == b"what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct", "seg.dcm"]


def test_patient_study_and_marks_come_from_the_source(tmp_path):
    def greek(data, k):
        data.SpecificCharacterSet = "ISO_IR 126"
        data.PatientName = "Διονυσιος"
        # What archives hold is not always what the standard allows.
        data.add(DataElement(0x00100040, "CS", "odd", validation_mode=config.IGNORE))
        data.AccessionNumber = "A7"
        data.StudyDate = "20240102"

    volume = series(tmp_path / "ct", edit=greek)
    automatic = Drawn(labelled(volume), "AUTOMATIC", "net 3")
    write_segmentation(automatic, volume, tmp_path / "a.dcm")
    write_segmentation(Drawn(labelled(volume, 1), "MANUAL"), volume, tmp_path / "b.dcm")
    with lenient():
        seg, other = pydicom.dcmread(tmp_path / "a.dcm"), pydicom.dcmread(tmp_path / "b.dcm")
        assert seg.PatientSex == "odd"
    assert str(seg.PatientName) == "Διονυσιος"
    assert (seg.PatientID, seg.AccessionNumber) == ("P1", "A7")
    assert (seg.StudyInstanceUID, seg.StudyDate) == ("1.2", "20240102")
    assert seg.FrameOfReferenceUID == "1.2.99"
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == phantom.SLICES
    assert seg.ContentQualification == "RESEARCH"
    assert seg.SeriesDescription.startswith("SYNTHETIC ")  # the tiny series says so
    assert seg.QualityControlSubject == "YES"
    one, again = seg.SegmentSequence[0], other.SegmentSequence[0]
    assert (one.SegmentAlgorithmType, one.SegmentAlgorithmName) == ("AUTOMATIC", "net 3")
    assert again.SegmentAlgorithmType == "MANUAL"
    assert one.TrackingUID == again.TrackingUID
    assert one.TrackingUID != seg.SegmentSequence[1].TrackingUID
    assert seg.SOPInstanceUID != other.SOPInstanceUID


@pytest.mark.parametrize("kind", [0, 1])
def test_frames_of_an_enhanced_series_are_referred_to_by_number(tmp_path, kind):
    folder = tmp_path / "mr"
    folder.mkdir()
    enhanced(phantom.positions(), ["T1", "PHASE"], [1.0, 0.25]).save_as(folder / "one")
    volume = scan([folder]).volumes[kind]
    labels = labelled(volume)
    path = write_segmentation(labels, volume, tmp_path / "seg.dcm")
    places = {(s.sop_uid, s.frame): k for k, s in enumerate(volume.slices)}
    found = segment_frames(path)
    assert {places[frame.reference] for frame in found} == {0, 1, 3, 4, 5}
    for frame in found:
        value = list(LABELS)[frame.segment - 1]
        expected = labels.array[places[frame.reference]] == value
        assert np.array_equal(frame.mask(frame.segment), expected)


def test_colours_return_exactly():
    colours = np.random.default_rng(5).integers(0, 256, (200, 3))
    assert all(rgb_of(cielab_of(c)) == tuple(c) for c in colours)
    assert cielab_of((255, 255, 255))[0] == 65535


# ---------------------------------------------------------------- files of other makers


def test_a_segment_is_chosen_by_name_then_code(tmp_path):
    volume = series(tmp_path / "ct")
    path = write_segmentation(labelled(volume), volume, tmp_path / "seg.dcm")
    tumor = read_label_source(path, "tumor", frame_uid="1.2.99", patient_id="P1")
    assert np.array_equal(tumor.mask("tumor"), labelled(volume).mask("tumor"))
    data = pydicom.dcmread(path)
    data.SegmentSequence[1].SegmentLabel = "Lesion, segment VI"
    data.save_as(path)
    by_code = read_label_source(path, "tumor")
    assert np.array_equal(by_code.mask(), tumor.mask())
    assert by_code.labels[1].name == "tumor"
    assert [f.code for f in by_code.findings] == ["structure_chosen"]
    by_hand = read_label_source(path, "spleen", structure="left_kidney")
    assert np.array_equal(by_hand.mask("spleen"), labelled(volume).mask("left_kidney"))
    for named in ("", "Left_kidney"):
        with pytest.raises(DicomError, match="left_kidney, Lesion, segment VI; none is called"):
            read_label_source(path, "spleen", structure=named)
    with pytest.raises(DicomError, match="another patient"):
        read_label_source(path, "tumor", patient_id="P2")
    with pytest.raises(FrameMismatch):
        read_label_source(path, "tumor", frame_uid="1.2.98")


def test_left_out_slices_count_by_the_stated_distance(tmp_path):
    """Segments in every second slice only must not become twice as thick."""
    volume = series(tmp_path / "ct")
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[::2, 2:5, 3:9] = 1
    labels = LabelMap(array, volume.geometry, {1: Label("x")})
    path = write_segmentation(labels, volume, tmp_path / "seg.dcm")
    assert read_segmentation(path).layers[0].volume_ml() == pytest.approx(labels.volume_ml())
    data = pydicom.dcmread(path)
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    del measures.SpacingBetweenSlices
    measures.SliceThickness = 3.3
    data.save_as(path)
    (finding,) = read_segmentation(path).findings
    assert finding.code == "slice_distance_assumed"


def test_damage_is_named(tmp_path):
    volume = series(tmp_path / "ct")
    path = write_segmentation(labelled(volume), volume, tmp_path / "seg.dcm")
    whole = pydicom.dcmread(path)

    def damaged(change):
        data = pydicom.dcmread(path)
        change(data)
        data.save_as(tmp_path / "bad.dcm")
        with pytest.raises(DicomError) as caught:
            read_segmentation(tmp_path / "bad.dcm")
        return str(caught.value)

    def move(data):
        place = data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
        place.ImagePositionPatient = [0, 0, 31.7]

    assert "end early" in damaged(lambda d: setattr(d, "PixelData", whole.PixelData[:20]))
    assert "claims" in damaged(lambda d: setattr(d, "NumberOfFrames", 4000))
    assert "claims" in damaged(lambda d: d.PerFrameFunctionalGroupsSequence.pop())
    assert "grid" in damaged(move)
    assert "damaged" in damaged(lambda d: d.pop("SegmentSequence"))
    with pytest.raises(DicomError, match="not a DICOM segmentation"):
        read_segmentation(next((tmp_path / "ct").iterdir()))
    (tmp_path / "text.dcm").write_text("nothing")
    with pytest.raises(DicomError):
        read_segmentation(tmp_path / "text.dcm")


def test_a_fractional_segment_is_cut_at_one_half(tmp_path):
    volume = series(tmp_path / "ct")
    array = np.zeros(volume.geometry.shape, np.uint8)
    array[1, 2:6, 3:9] = 1
    path = write_segmentation(
        LabelMap(array, volume.geometry, {1: Label("x")}), volume, tmp_path / "seg.dcm"
    )
    data = pydicom.dcmread(path)
    values = np.zeros((1, phantom.ROWS, phantom.COLUMNS), np.uint8)
    values[0, 2:6, 3:9] = 50
    values[0, 7, 7] = 49
    data.SegmentationType, data.SegmentationFractionalType = "FRACTIONAL", "PROBABILITY"
    data.MaximumFractionalValue = 100
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelData = values.tobytes()
    data.save_as(path)
    back = read_segmentation(path)
    assert [f.code for f in back.findings] == ["fractional"]
    assert back.mask(1).sum() == 4 * 6


def real_segmentations(real_data) -> Path:
    return real_data / "dicom_seg_dcmqi" / "data" / "segmentations"


def test_real_segmentation_equals_its_label_file(real_data):
    folder = real_segmentations(real_data)
    found = read_segmentation(folder / "liver.dcm")
    truth = read_labels(folder / "liver_seg.nrrd", found.geometry.frame_uid)
    assert found.geometry.same_grid(truth.geometry)
    assert np.array_equal(found.mask("Liver"), truth.mask())
    assert found.labels[1] == Label("Liver", (221, 130, 101), "10200004")


def test_real_overlapping_segments_are_all_kept(real_data):
    path = real_segmentations(real_data) / "partial_overlaps.dcm"
    found = read_segmentation(path)
    assert [label.name for label in dict(sorted(found.labels.items())).values()] == [
        "GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"
    ]  # fmt: skip
    stored = pydicom.dcmread(path)
    for n in found.labels:
        frames = [
            p
            for p, item in zip(stored.pixel_array, stored.PerFrameFunctionalGroupsSequence)
            if item.SegmentIdentificationSequence[0].ReferencedSegmentNumber == n
        ]
        assert found.mask(n).sum() == sum(int(f.sum()) for f in frames) > 0
    assert [f.code for f in found.findings] == ["structures_overlap"]
    with pytest.raises(DicomError, match=r"GREEN, LIGHT_BLUE.*none is called 'spleen'"):
        chosen(found.labels, "spleen")
