import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from tests.workstation.dicom_phantom import (
    AXIAL,
    COLUMNS,
    ROWS,
    SLICES,
    SPACING,
    make_slice,
    positions,
    slice_points,
    values_at,
)
from workstation.dicom.files import read, scan


def item(**values):
    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return Sequence([data])


def enhanced(places, kinds, slopes):
    """An enhanced MR whose frames run through ``places`` once per kind, in mixed order."""
    data = make_slice(places[0], modality="MR")
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(data, name)
    shared = Dataset()
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=list(AXIAL))
    shared.PixelMeasuresSequence = item(PixelSpacing=list(SPACING), SliceThickness=2.0)
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames, pixels = [], []
    for k in np.random.default_rng(5).permutation(len(places) * len(kinds)):
        place, kind = places[k % len(places)], int(k // len(places))
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=list(place))
        frame.PixelValueTransformationSequence = item(
            RescaleSlope=slopes[kind], RescaleIntercept=kind, RescaleType="US"
        )
        frame.MRImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", kinds[kind], "M"])
        frames.append(frame)
        truth = values_at(slice_points(place, AXIAL))
        pixels.append(np.rint((truth - kind) / slopes[kind]).astype("<i2"))
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data.NumberOfFrames = len(frames)
    data.PixelData = np.stack(pixels).tobytes()
    return data


def test_frames_are_placed_sorted_and_rescaled_one_by_one(tmp_path):
    enhanced(positions(), ["T1", "PHASE"], [1.0, 0.25]).save_as(tmp_path / "one")
    volumes = scan([tmp_path]).volumes
    assert [v.status for v in volumes] == ["ok", "ok"]
    assert [len(v.files) for v in volumes] == [1, 1]
    for scanned in volumes:
        volume = read(scanned)
        assert volume.geometry.size == (COLUMNS, ROWS, SLICES)
        k, j, i = np.indices(volume.array.shape)
        truth = values_at(volume.geometry.to_world(np.stack([i, j, k], axis=-1)))
        assert np.abs(volume.array - truth).max() < 0.6


def test_a_frame_that_nobody_describes_is_refused(tmp_path):
    data = enhanced(positions(), ["T1"], [1.0])
    data.PerFrameFunctionalGroupsSequence.pop()
    data.save_as(tmp_path / "one")
    (volume,) = scan([tmp_path]).volumes
    assert volume.status == "refused"
    assert volume.findings[0].code == "multi_frame"


@pytest.mark.parametrize("name", ["PlanePositionSequence"])
def test_frames_without_a_place_are_refused(tmp_path, name):
    data = enhanced(positions(), ["T1"], [1.0])
    delattr(data.PerFrameFunctionalGroupsSequence[2], name)
    data.save_as(tmp_path / "one")
    assert {v.status for v in scan([tmp_path]).volumes} == {"refused"}
