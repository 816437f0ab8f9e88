"""Traps that other readers fall into: mixed orientations, reused UIDs, encodings, alphabets."""

import gdcm
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.workstation.dicom_phantom import (
    AXIAL,
    COLUMNS,
    OBLIQUE,
    ROWS,
    SAGITTAL,
    SLICES,
    SPACING,
    assert_true_everywhere,
    codes,
    fill,
    normal,
    only,
    positions,
    refusal,
    slice_points,
    values_at,
    write,
)
from tests.workstation.test_dicom_multiframe import enhanced, item
from workstation.dicom.files import DicomError, read, scan
from workstation.dicom.pixels import decode
from workstation.dicom.sources import find_sources

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_coronal_stack_lies_where_the_header_says(tmp_path, sign):
    write(tmp_path, positions(step=sign * 2.5 * normal(CORONAL)), CORONAL)
    assert_true_everywhere(read(only(tmp_path)))


def test_two_orientations_in_one_series_are_two_volumes(tmp_path):
    def renamed(data, k):
        data.SOPInstanceUID = f"1.2.8.{k}"

    write(tmp_path, positions())
    write(tmp_path, positions(5, step=3 * normal(OBLIQUE)), OBLIQUE, edit=renamed)
    volumes = scan([tmp_path]).volumes
    assert sorted(v.geometry.size[2] for v in volumes) == [5, SLICES]
    for v in volumes:
        assert_true_everywhere(read(v))


def test_negative_spacings_are_refused(tmp_path):
    def edit(data, k):
        data.PixelSpacing = ["-0.75", "1.25"]

    write(tmp_path, positions(), edit=edit)
    assert refusal(tmp_path) == "pixel_spacing"


def test_spacing_tags_are_never_believed(tmp_path):
    def edit(data, k):
        data.SpacingBetweenSlices, data.SliceThickness = -7.0, 9.0
        data.SliceLocation, data.InstanceNumber = -k, 100 - 7 * (k % 3) - k

    write(tmp_path, positions(), edit=edit)
    volume = read(only(tmp_path))
    assert volume.geometry.spacing_mm[2] == pytest.approx(2.5)
    assert_true_everywhere(volume)


@pytest.mark.parametrize(
    "name", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
def test_a_series_without_geometry_is_refused(tmp_path, name):
    def edit(data, k):
        delattr(data, name)

    write(tmp_path, positions(), edit=edit)
    assert refusal(tmp_path) == "no_position"


def test_one_image_uid_on_all_slices_loses_none(tmp_path):
    def edit(data, k):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"

    write(tmp_path, positions(), edit=edit)
    volume = only(tmp_path)
    assert volume.geometry.size[2] == SLICES
    assert_true_everywhere(read(volume))


def test_a_series_uid_of_two_studies_makes_two_volumes(tmp_path):
    def other(data, k):
        data.StudyInstanceUID, data.SOPInstanceUID = "1.7", f"1.7.{k}"
        fill(data, np.full((ROWS, COLUMNS), 7.0))

    write(tmp_path, positions())
    write(tmp_path, positions(), edit=other)
    volumes = scan([tmp_path]).volumes
    assert {(v.status, v.identity.study_uid) for v in volumes} == {("ok", "1.2"), ("ok", "1.7")}
    assert len({v.key for v in volumes}) == 2


def test_a_series_uid_in_two_frames_of_reference_makes_two_volumes(tmp_path):
    def other(data, k):
        data.FrameOfReferenceUID, data.SOPInstanceUID = "1.2.98", f"1.7.{k}"

    write(tmp_path, positions())
    write(tmp_path, positions(), edit=other)
    frames = {v.geometry.frame_uid for v in scan([tmp_path]).volumes}
    assert frames == {"1.2.99", "1.2.98"}


def test_b_values_and_directions_are_volumes_of_their_own(tmp_path):
    directions = {1: ["1", "0", "0"], 2: ["0", "1", "0"]}

    def edit(data, k):
        n = k // SLICES
        data.DiffusionBValue = 1000.0 if n else 0.0
        data.SOPInstanceUID = f"1.2.6.{k}"
        if n:
            data.DiffusionGradientOrientation = [float(v) for v in directions[n]]
        fill(data, np.full((ROWS, COLUMNS), 10.0 * n))

    write(tmp_path, positions() * 3, edit=edit, modality="MR")
    volumes = scan([tmp_path]).volumes
    assert [(v.part.kind, v.part.number, v.part.count) for v in volumes] == [
        ("b-value", 1, 2),
        ("direction", 1, 2),
        ("direction", 2, 2),
    ]
    assert sorted(int(read(v).array[0, 0, 0]) for v in volumes) == [0, 10, 20]


# ------------------------------------------------------------------ enhanced images


def test_frames_are_split_by_stack(tmp_path):
    data = enhanced(positions(), ["T1"], [1.0])
    turned = enhanced(positions(step=2.5 * normal(SAGITTAL)), ["T1"], [1.0])
    frames = list(data.PerFrameFunctionalGroupsSequence)
    for frame in turned.PerFrameFunctionalGroupsSequence:
        frame.PlaneOrientationSequence = item(ImageOrientationPatient=list(SAGITTAL))
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        truth = values_at(slice_points([float(v) for v in place], SAGITTAL))
        frames.append(frame)
        data.PixelData += np.rint(truth).astype("<i2").tobytes()
    for n, frame in enumerate(frames):
        frame.FrameContentSequence = item(StackID=str(1 + n // SLICES))
    data.PerFrameFunctionalGroupsSequence = frames
    data.NumberOfFrames = len(frames)
    data.save_as(tmp_path / "one")
    volumes = scan([tmp_path]).volumes
    assert [v.status for v in volumes] == ["ok", "ok"]
    assert ["stack 1" in v.description for v in volumes] == [True, False]
    for v in volumes:
        image = read(v)
        k, j, i = np.indices(image.array.shape)
        truth = values_at(image.geometry.to_world(np.stack([i, j, k], axis=-1)))
        assert np.abs(image.array - truth).max() < 0.6


def test_an_enhanced_ct_is_in_hounsfield_units(tmp_path):
    data = enhanced(positions(), ["AXIAL"], [1.0])
    data.Modality = "CT"
    for frame in data.PerFrameFunctionalGroupsSequence:
        frame.CTImageFrameTypeSequence = frame.MRImageFrameTypeSequence
        del frame.MRImageFrameTypeSequence
        frame.PixelValueTransformationSequence[0].RescaleType = "HU"
    data.save_as(tmp_path / "one")
    volume = read(only(tmp_path))
    assert volume.quantity == "HU"
    assert_true_everywhere(volume)


def test_frames_at_one_place_are_told_apart_by_rescale(tmp_path):
    data = enhanced(positions(), ["T1", "T1"], [1.0, 0.25])
    data.save_as(tmp_path / "one")
    volumes = scan([tmp_path]).volumes
    assert [v.status for v in volumes] == ["ok", "ok"]
    assert all("rescale" in v.description for v in volumes)


# ------------------------------------------------------------------ encodings


def transcoded(path, syntax):
    """Encode the pixels of a file anew with an independent toolkit."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless]
)
@pytest.mark.parametrize("signed", [True, False])
def test_every_compression_holds_the_same_image(tmp_path, syntax, signed):
    def edit(data, k):
        if not signed:
            data.PixelRepresentation, data.RescaleIntercept = 0, -1000
            fill(data, values_at(slice_points(positions()[k], AXIAL)))

    for path in write(tmp_path, positions(), edit=edit):
        # The decoder takes both kinds of JPEG 2000 streams under either name.
        transcoded(path, JPEG2000Lossless if syntax == HTJ2KLossless else syntax)
        if syntax == HTJ2KLossless:
            data = dcmread(path)
            data.file_meta.TransferSyntaxUID = syntax
            data.PixelData = encapsulate(list(generate_frames(data.PixelData)))
            data.save_as(path)
        assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert_true_everywhere(read(only(tmp_path)))


def test_high_throughput_blocks_decode(real_data):
    sources, _ = find_sources([real_data / "dicom_zoo" / "pydicom" / "HTJ2KLossless_08_RGB.dcm"])
    assert codes(only(sources[0].path))[0] == "colour"
    with pytest.raises(DicomError, match=r"array of shape \(\d+, \d+, 3\)"):
        list(decode(sources[0], [None], False))


# ------------------------------------------------------------------ alphabets


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("GB18030", "王^小东"),
        ("GBK", "王^小东"),
        ("ISO_IR 126", "Διονυσιος^Πέτρος"),
        ("ISO_IR 100", "Ñuñez^Peña"),
        ("ISO_IR 144", "Люкceмбypг^Анна"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東=Ελένη"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_of_every_alphabet_are_decoded(tmp_path, charset, name):
    def edit(data, k):
        data.SpecificCharacterSet, data.PatientName = charset, name

    write(tmp_path, positions(3), edit=edit)
    assert only(tmp_path).patient.name == name


def test_slices_that_differ_in_geometry_alone_warn_of_each_other(tmp_path):
    def turn(data, k):
        if k > 3:
            data.PixelSpacing = list(SPACING)[::-1]

    write(tmp_path, positions(8), edit=turn)
    volumes = scan([tmp_path]).volumes
    assert [len(v.slices) for v in volumes] == [4, 4]
    assert all("mixed_geometry" in codes(v) for v in volumes)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PixelRepresentation", None), ("PixelRepresentation", 3), ("BitsStored", None)],
)
def test_pixels_of_unknown_form_are_refused(tmp_path, name, value):
    def damage(data, k):
        if k == 2:
            delattr(data, name) if value is None else setattr(data, name, value)

    write(tmp_path, positions(), edit=damage)
    assert refusal(tmp_path) == "pixel_format"


def test_more_pixels_than_the_header_describes_are_told(tmp_path):
    def lengthen(data, k):
        if k == 2:
            data.PixelData += data.PixelData[:40]

    write(tmp_path, positions(), edit=lengthen)
    volume = only(tmp_path)
    assert "excess_pixels" in codes(volume)
    assert_true_everywhere(read(volume))


def test_stored_bits_that_differ_between_slices_are_told(tmp_path):
    def widen(data, k):
        if k == 2:
            data.BitsStored, data.HighBit = 12, 11

    write(tmp_path, positions(), edit=widen)
    assert "pixel_form_varies" in codes(only(tmp_path))


def test_a_pixel_spacing_beyond_any_scanner_is_refused(tmp_path):
    def stretch(data, k):
        data.PixelSpacing = ["0.75", "9999999999999999"]

    write(tmp_path, positions(1), edit=stretch)
    assert refusal(tmp_path) == "pixel_spacing"
