"""Siemens mosaics taken apart, and CSA headers that lie."""

import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from tests.workstation.dicom_phantom import (
    AXIAL,
    COLUMNS,
    OBLIQUE,
    ROWS,
    SPACING,
    assert_true_everywhere,
    make_slice,
    normal,
    only,
    positions,
    refusal,
    slice_points,
    values_at,
)
from workstation.dicom.files import read, scan, thumbnail
from workstation.dicom.mosaic import csa_values

COUNT, SIDE, STEP_MM = 5, 3, 2.5


def csa(tags, second=True):
    """A CSA header with ``tags``, name to texts, in its second or first form."""
    blob = b"SV10\4\3\2\1" if second else b""
    blob += struct.pack("<II", len(tags), 77)
    first = len(next(iter(tags.values())))
    for name, texts in tags.items():
        blob += struct.pack("<64si4siii", name.encode(), 1, b"FD\0\0", 3, len(texts), 77)
        for text in texts:
            raw = text.encode() + b"\0"
            length = len(raw)
            blob += struct.pack("<iiii", length if second else length + first, length, 77, length)
            blob += raw + bytes(-length % 4)
    return blob


def header(direction, count=COUNT):
    texts = [f"{v:.8f}" for v in direction]
    return {
        "EchoColumnPosition": ["1"],
        "NumberOfImagesInMosaic": [str(count)],
        "SliceNormalVector": [*texts, "", ""],
    }


def mosaic(orientation=AXIAL, sign=1, time=0, second=True, blob=None):
    """A mosaic of five slices, padded to nine tiles; times differ by 1000."""
    places = positions(COUNT, step=sign * STEP_MM * normal(orientation))
    data = make_slice(places[0], orientation, number=time + 1, modality="MR")
    tiled = np.zeros((SIDE * ROWS, SIDE * COLUMNS), "<i2")
    for k, place in enumerate(places):
        row, column = k // SIDE * ROWS, k % SIDE * COLUMNS
        values = values_at(slice_points(place, orientation)) + 1000 * time
        tiled[row : row + ROWS, column : column + COLUMNS] = np.rint(values)
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    data.Rows, data.Columns = tiled.shape
    x, y = np.reshape(orientation, (2, 3))
    corner = np.array(places[0])
    corner -= (SIDE - 1) / 2 * (COLUMNS * SPACING[1] * x + ROWS * SPACING[0] * y)
    data.ImagePositionPatient = [f"{v:.6f}" for v in corner]
    data.SpacingBetweenSlices, data.SliceThickness = STEP_MM, STEP_MM
    data.AcquisitionNumber = time + 1
    data.AcquisitionTime = f"1200{time:02d}.500000"
    data.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    tags = header(sign * normal(orientation))
    data.add_new(0x00291010, "OB", csa(tags, second) if blob is None else blob)
    data.PixelData = tiled.tobytes()
    return data


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("second", [True, False])
def test_every_tile_lies_where_the_scanner_says(tmp_path, orientation, sign, second):
    mosaic(orientation, sign, second=second).save_as(tmp_path / "one")
    scanned = only(tmp_path)
    assert scanned.status == "ok"
    assert scanned.geometry.size == (COLUMNS, ROWS, COUNT)
    assert len(scanned.files) == 1
    assert_true_everywhere(read(scanned))
    assert thumbnail(scanned).shape[1] == 96


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
def test_other_encodings_hold_the_same_tiles(tmp_path, syntax):
    data = mosaic()
    if syntax == RLELossless:
        data.compress(syntax)
    else:
        data.file_meta.TransferSyntaxUID = syntax
    data.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    data.add_new(0x0019100A, "US", COUNT)
    data.save_as(tmp_path / "one", enforce_file_format=True)
    assert_true_everywhere(read(only(tmp_path)))


def test_times_are_volumes_in_order(tmp_path):
    with zipfile.ZipFile(tmp_path / "times.zip", "w") as archive:
        for time in (2, 0, 1):
            mosaic(time=time).save_as(tmp_path / "part")
            archive.write(tmp_path / "part", f"{9 - time}.dcm")
            (tmp_path / "part").unlink()
    volumes = scan([tmp_path]).volumes
    assert [(v.part.kind, v.part.number, v.part.count) for v in volumes] == [
        ("time", 1, 3),
        ("time", 2, 3),
        ("time", 3, 3),
    ]
    assert [(v.part.value, v.part.unit) for v in volumes] == [(0, "ms"), (1000, "ms"), (2000, "ms")]
    lows = [int(read(v).array.min()) for v in volumes]
    assert np.diff(lows).tolist() == [1000, 1000]


def lacking(name):
    tags = header(normal(AXIAL))
    del tags[name]
    return csa(tags)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"SV10",
        csa(header(normal(AXIAL)))[:-40],
        csa(header(normal(AXIAL), count=7000)),
        csa(header(normal(AXIAL), count=-5)),
        csa(header((1.0, 0, 0))),
        csa(header((float("nan"), 0, 0))),
        lacking("NumberOfImagesInMosaic"),
        lacking("SliceNormalVector"),
        csa({"NumberOfImagesInMosaic": ["9" * 5000], "SliceNormalVector": ["0", "0", "1"]}),
    ],
)
def test_a_mosaic_whose_header_does_not_tell_is_refused_by_name(tmp_path, blob):
    mosaic(blob=blob).save_as(tmp_path / "one")
    assert refusal(tmp_path) == "mosaic"


def test_a_mosaic_without_slice_distance_is_refused(tmp_path):
    data = mosaic()
    del data[Tag("SpacingBetweenSlices")]
    data.save_as(tmp_path / "one")
    assert refusal(tmp_path) == "mosaic"


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=12), st.booleans())
def test_a_damaged_csa_header_is_an_error_and_no_more(changes, second):
    blob = bytearray(csa(header(normal(AXIAL)), second))
    for place, byte in changes:
        blob[place % len(blob)] = byte
    try:
        found = csa_values(bytes(blob))
    except (ValueError, struct.error):
        return
    assert sum(map(len, found.values())) <= len(blob)
