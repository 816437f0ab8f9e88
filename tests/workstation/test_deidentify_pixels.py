"""Pixels that may show identity: what is held back, blackened and warned about."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    SecondaryCaptureImageStorage,
)

from tests.workstation import dicom_phantom as phantom
from tests.workstation.deidentified import order, vouched
from workstation.dicom.burned_in import (
    Rectangle,
    black_out,
    clear_unused_bits,
    may_be_accepted,
    reason_to_look,
    shows_head,
)
from workstation.dicom.deidentify_files import deidentify_files
from workstation.dicom.sources import DicomError


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda d: setattr(d, "BurnedInAnnotation", "YES"), "says that text"),
        (lambda d: setattr(d, "Modality", "US"), "modality US"),
        (lambda d: setattr(d, "Modality", "OT"), "modality OT"),
        (lambda d: setattr(d, "ImageType", ["DERIVED", "SECONDARY"]), "not an original"),
        (lambda d: d.pop("ImageType"), "not an original"),
        (lambda d: d.pop("Rows"), "no image"),
        (lambda d: setattr(d, "SOPClassUID", EncapsulatedPDFStorage), "a document"),
    ],
)
def test_what_does_not_vouch_for_its_pixels_needs_a_look(edit, reason):
    data = phantom.make_slice((0, 0, 0))
    vouched(data)
    assert reason_to_look(data) == ""
    edit(data)
    assert reason in reason_to_look(data)


def test_original_slices_that_say_nothing_leave_with_a_warning(tmp_path):
    phantom.write(tmp_path / "in", phantom.positions(2))
    outcome = deidentify_files([tmp_path / "in"], tmp_path / "out", order())
    assert (outcome.written, outcome.quarantined) == (2, [])
    assert any("do not say whether text" in warning for warning in outcome.warnings)
    (first, _) = (pydicom.dcmread(p) for p in (tmp_path / "out").rglob("*.dcm"))
    assert "BurnedInAnnotation" not in first


def test_held_back_until_somebody_looked(tmp_path):
    def capture(data, k):
        data.SOPClassUID = SecondaryCaptureImageStorage

    phantom.write(tmp_path / "in", phantom.positions(2), edit=capture)
    held = deidentify_files([tmp_path / "in"], tmp_path / "out", order())
    assert (held.written, len(held.quarantined)) == (0, 2)
    assert not (tmp_path / "out").exists()
    one = held.quarantined[0].path
    looked = deidentify_files([tmp_path / "in"], tmp_path / "out", order(accepted=(one,)))
    assert (looked.written, len(looked.quarantined)) == (1, 1)
    (path,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(path).BurnedInAnnotation == "NO"
    folder = str(tmp_path / "in")
    assert deidentify_files([tmp_path / "in"], tmp_path / "b", order(accepted=(folder,))).written
    other = str(tmp_path / "i")
    assert not deidentify_files([tmp_path / "in"], tmp_path / "c", order(accepted=(other,))).written


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [0, 1])
def test_a_part_is_blackened_and_nothing_else(bits, planar):
    data = phantom.make_slice((0, 0, 0))
    kind = np.uint8 if bits == 8 else np.uint16
    shape = (2, 3, 10, 14) if planar else (2, 10, 14, 3)
    pixels = np.random.default_rng(1).integers(1, 200, shape).astype(kind)
    data.BitsAllocated = data.BitsStored = bits
    data.PixelRepresentation, data.SamplesPerPixel = 0, 3
    data.PlanarConfiguration, data.NumberOfFrames = planar, 2
    data.PhotometricInterpretation = "RGB"
    data.PixelData = pixels.tobytes()
    black_out(data, (Rectangle(2, 1, 5, 3),))
    if planar:
        pixels[:, :, 1:4, 2:7] = 0
    else:
        pixels[:, 1:4, 2:7] = 0
    assert data.PixelData == pixels.tobytes()


@pytest.mark.parametrize(
    ("photometric", "value"), [("MONOCHROME2", -(2**15)), ("MONOCHROME1", 2**15 - 1)]
)
def test_black_is_black_on_the_screen(photometric, value):
    data = phantom.make_slice((0, 0, 0))
    data.PhotometricInterpretation = photometric
    black_out(data, (Rectangle(13, 9, 1, 1),))
    stored = np.frombuffer(data.PixelData, "<i2").reshape(10, 14)
    assert stored[9, 13] == value
    assert (stored == value).sum() == 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("signed", [0, 1])
def test_an_overlay_in_unused_bits_is_cleared(signed, order):
    data = phantom.make_slice((0, 0, 0))
    if order == ">":
        data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        data._read_little = False
    data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, signed
    values = np.arange(140, dtype="u2") * 29 % 4096
    carried = np.where(signed & (values > 2047), values | 0xF000, values).astype("u2")
    for clean in (values, carried):  # both are usual ways to store the same values
        data.PixelData = clean.astype(f"{order}u2").tobytes()
        before = data.PixelData
        assert not clear_unused_bits(data)
        assert data.PixelData == before
    data.PixelData = (values | ((np.arange(140) % 3 == 0) << 14)).astype(f"{order}u2").tobytes()
    assert clear_unused_bits(data)
    assert data.PixelData == values.astype(f"{order}u2").tobytes()


def test_an_overlay_in_compressed_pixels_never_leaves():
    data = phantom.make_slice((0, 0, 0))
    vouched(data)
    data.add_new(0x60000102, "US", 15)
    assert "an overlay" in reason_to_look(data)
    assert may_be_accepted(data)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
    assert not may_be_accepted(data)


def test_what_cannot_be_blackened_is_named():
    data = phantom.make_slice((0, 0, 0))
    with pytest.raises(DicomError, match="outside the image of 14 x 10"):
        black_out(data, (Rectangle(10, 0, 5, 1),))
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
    with pytest.raises(DicomError, match="compressed"):
        black_out(data, (Rectangle(0, 0, 1, 1),))


@pytest.mark.parametrize(
    ("part", "described", "head"),
    [
        ("HEAD", "", True),
        ("BRAIN", "", True),
        ("ABDOMEN", "", False),
        ("ABDOMEN", "MPRAGE", True),
        ("", "t1 mprage sag", True),
        ("", "", None),
        ("", "liver", None),
    ],
)
def test_heads_are_known_by_what_is_said(part, described, head):
    data = phantom.make_slice((0, 0, 0))
    data.BodyPartExamined, data.SeriesDescription = part, described
    assert shows_head(data) is head


def test_a_face_is_never_passed_over_in_silence(tmp_path):
    def head(data, k):
        vouched(data)
        data.BodyPartExamined = "HEAD"

    phantom.write(tmp_path / "in", phantom.positions(2), edit=head)
    outcome = deidentify_files([tmp_path / "in"], tmp_path / "out", order())
    assert "a face can be drawn" in outcome.warnings[0]
    for path in (tmp_path / "out").rglob("*.dcm"):
        assert pydicom.dcmread(path).RecognizableVisualFeatures == "YES"
