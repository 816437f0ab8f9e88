"""Good DICOM series with a damaged header, and the judge that looks for silent errors.

The phantom's values follow from where they lie in the patient, so every voxel of every volume
that is accepted can be held against two truths: the headers of the files as they are (always),
and the series before it was damaged (unless a finding of the series warns the user).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from scipy.ndimage import binary_erosion

from segmentation.volume import Volume
from tests.workstation.dicom_phantom import (
    AXIAL,
    OBLIQUE,
    SAGITTAL,
    make_slice,
    normal,
    positions,
    slice_points,
    values_at,
)
from tests.workstation.test_dicom_multiframe import enhanced
from workstation.dicom.files import DicomError, Scan, ScannedVolume, read, scan

Mutation = Callable[[random.Random, list[Dataset]], list[Dataset]]
TOLERANCE = 0.75  # of value; one voxel's diagonal is worth more than ten
HIDDEN = 1.5  # 0.16 mm: a place moved by 0.1 mm can stay within 0.05 mm of an even stack


# Good series -------------------------------------------------------------------------


def _stack(orientation, step, count=8, modality="CT", **kind) -> list[Dataset]:
    return [
        make_slice(place, orientation, number=k + 1, modality=modality, **kind)
        for k, place in enumerate(positions(count, step=step))
    ]


def _along(orientation, spacing=2.5):
    return tuple(spacing * normal(orientation))


def _phases() -> list[Dataset]:
    series = []
    for time in (1, 2):
        for data in _stack(AXIAL, (0, 0, 2.5), 6):
            data.TemporalPositionIdentifier = time
            data.InstanceNumber += 100 * time
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = (
                f"1.2.3.{time}.{data.InstanceNumber}"
            )
            series.append(data)
    return series


SERIES: dict[str, Callable[[], list[Dataset]]] = {
    "axial CT": lambda: _stack(AXIAL, (0, 0, 2.5)),
    "sagittal CT": lambda: _stack(SAGITTAL, _along(SAGITTAL)),
    "oblique MR": lambda: _stack(OBLIQUE, _along(OBLIQUE, 1.5), modality="MR"),
    "tilted CT": lambda: _stack(AXIAL, (0, 0.6, 2.5)),
    "two phases": _phases,
    "enhanced MR": lambda: [enhanced(positions(7), ["M"], [0.5])],
}


# Damage ------------------------------------------------------------------------------


def _some(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    count = rng.choice((1, 1, 1, 2, len(series) // 2))
    return rng.sample(series, max(1, min(count, len(series))))


def _frames(data: Dataset) -> list[Dataset]:
    return list(data.get("PerFrameFunctionalGroupsSequence") or ())


def _owners(rng: random.Random, series: list[Dataset], keyword: str) -> list[Dataset]:
    """Return some of the data sets, at any depth, that hold ``keyword``."""
    found: list[Dataset] = []

    def look(data: Dataset) -> None:
        if keyword in data:
            found.append(data)
        for element in data:
            if element.VR == "SQ":
                for item in element.value:
                    look(item)

    for data in series:
        look(data)
    return rng.sample(found, rng.randint(1, min(3, len(found)))) if found else []


def _edit(keyword: str, change: Callable[[random.Random, list[float]], object]) -> Mutation:
    def mutate(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
        for owner in _owners(rng, series, keyword):
            value = getattr(owner, keyword)
            several = isinstance(value, MultiValue | list)
            try:
                plain = [float(v) for v in (value if several else [value])]
            except (TypeError, ValueError):  # damaged already
                continue
            new = change(rng, plain)
            if new is None:
                delattr(owner, keyword)
            else:
                _force(owner, keyword, new)
        return series

    return mutate


def _force(owner: Dataset, keyword: str, value: object) -> None:
    element = owner[keyword]
    if element.VR == "DS":
        texts = value if isinstance(value, list) else [value]
        value = [t if isinstance(t, str) else f"{t:.9g}"[:16] for t in texts]
        owner[keyword]._value = value  # past the library's own checks
        return
    setattr(owner, keyword, value)


def _shift(rng: random.Random, p: list[float]) -> list[float]:
    size = rng.choice((0.06, 0.1, 0.3, 1.0, 2.5, 10, 250))
    direction = np.array([rng.gauss(0, 1) for _ in range(3)])
    return list(np.add(p, size * direction / np.linalg.norm(direction)))


def _shift_one_axis(rng: random.Random, p: list[float]) -> list[float]:
    p[rng.randrange(3)] += rng.choice((-1, 1)) * rng.choice((0.1, 0.5, 1.25, 2.5, 5, 40))
    return p


def _turn(rng: random.Random, p: list[float]) -> list[float]:
    angle = np.deg2rad(rng.choice((0.2, 1, 5, 45, 90, 180)))
    axis = np.array([rng.gauss(0, 1) for _ in range(3)])
    axis /= np.linalg.norm(axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return [*(turn @ p[:3]), *(turn @ p[3:])]


RUBBISH = ("nan", "inf", "-inf", "1e400", "", "x", "0x10", "1,5", "--1", "9" * 16)


def _rubbish(rng: random.Random, p: list[float]) -> object:
    texts: list[object] = list(p)
    texts[rng.randrange(len(p))] = rng.choice(RUBBISH)
    return texts


def _fewer(rng: random.Random, p: list[float]) -> object:
    return p[:-1] if rng.random() < 0.5 else [*p, 0.0]


def _without_slices(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    for data in series:
        frames = _frames(data)
        if frames:
            del data.PerFrameFunctionalGroupsSequence[rng.randrange(len(frames))]
            return series
    kept = list(series)
    for _ in range(rng.choice((1, 1, 2, 3))):
        kept.pop(rng.randrange(1, len(kept) - 1))
    return kept


def _copies(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    for data in _some(rng, series):
        copy = deepcopy(data)
        if rng.random() < 0.5:
            copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
            copy.InstanceNumber = int(copy.InstanceNumber or 0) + rng.choice((0, 1, 50))
        if rng.random() < 0.5:
            copy.PixelData = copy.PixelData[::-1]
        series = [*series, copy]
    return series


def _swap_places(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    owners = _owners(rng, series, "ImagePositionPatient")
    if len(owners) > 1:
        a, b = owners[:2]
        a.ImagePositionPatient, b.ImagePositionPatient = (
            b.ImagePositionPatient,
            a.ImagePositionPatient,
        )
    return series


def _swap_pixel_spacing(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    for owner in _owners(rng, series, "PixelSpacing"):
        owner.PixelSpacing = list(owner.PixelSpacing)[::-1]
    return series


def _delete_any(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    for data in _some(rng, series):
        owner = rng.choice([data, *_frames(data)[:3]])
        if len(owner):
            del owner[rng.choice([e.tag for e in owner])]
    return series


def _set_any(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    numbers = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel")
    name = rng.choice((*numbers, "PixelRepresentation", "NumberOfFrames", "InstanceNumber"))
    for data in _some(rng, series):
        setattr(data, name, rng.choice((0, 1, 2, 7, 8, 9, 10, 11, 12, 14, 15, 16, 32, 255, 65535)))
    return series


def _set_text(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    choices = {
        "PhotometricInterpretation": ("MONOCHROME1", "RGB", "PALETTE COLOR", "", "YBR_FULL"),
        "ImageType": ("DERIVED\\SECONDARY", "ORIGINAL\\PRIMARY\\LOCALIZER", "", "MOSAIC"),
        "Modality": ("MR", "PT", "", "SEG", "OT"),
        "SeriesInstanceUID": ("1.2.4", "", "x", "1.2.3.4"),
        "FrameOfReferenceUID": ("1.2.98", "", "1.2.99.1"),
        "PatientID": ("P2", "", "P1 "),
        "RescaleType": ("US", "OD", "HU", ""),
        "SpecificCharacterSet": ("GB18030", "ISO_IR 999", "ISO 2022 IR 87", ""),
        "TemporalPositionIdentifier": ("3", "", "1"),
        "EchoNumbers": ("2", "", "0"),
        "SOPInstanceUID": ("1.2.3.9.1", "", "x"),
    }
    name = rng.choice(list(choices))
    for data in _some(rng, series):
        value = rng.choice(choices[name])
        setattr(data, name, value.split("\\") if "\\" in value else value)
    return series


def _pixels(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    for data in _some(rng, series):
        raw = data.PixelData
        cut = rng.randrange(len(raw))
        data.PixelData = rng.choice((raw[:cut], raw[: cut // 2 * 2], raw + raw[:64], b""))
    return series


def _harmless(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    """Change what must not matter; order and numbers most of all."""
    numbers = [data.get("InstanceNumber", 1) for data in series]
    rng.shuffle(numbers)
    for data, number in zip(series, numbers):
        if data.get("TemporalPositionIdentifier") is None:
            data.InstanceNumber = number
        data.SliceLocation = rng.uniform(-100, 100)
        data.SpacingBetweenSlices = rng.choice((-3.0, 0.0, 9.0))
        data.GantryDetectorTilt = rng.uniform(-30, 30)
        data.PositionReferenceIndicator = "SN"
        if "SliceThickness" in data:
            data.SliceThickness = rng.choice((0.0, 1.0, 9.0))
    rng.shuffle(series)
    return series


def _shear(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    """Move each slice by a number of times the same step, as a wrong tilt would."""
    step = np.array([rng.uniform(-0.5, 0.5) for _ in range(3)])
    for k, data in enumerate(series):
        if "ImagePositionPatient" in data:
            place = np.add([float(v) for v in data.ImagePositionPatient], k * step)
            _force(data, "ImagePositionPatient", list(place))
    return series


def _rescale(rng: random.Random, series: list[Dataset]) -> list[Dataset]:
    for owner in _owners(rng, series, "RescaleSlope"):
        owner.RescaleSlope = rng.choice((0.5, 2, 0, -1, 1.0001, 1000))
        if rng.random() < 0.3:
            owner.RescaleIntercept = rng.choice((0, -1024, 1e6))
    return series


@dataclass(frozen=True)
class Kind:
    """One kind of damage; ``all_alike`` marks what no reader can know to be wrong."""

    mutate: Mutation
    all_alike: bool = False


KINDS: dict[str, Kind] = {
    "harmless": Kind(_harmless),
    "place shifted": Kind(_edit("ImagePositionPatient", _shift)),
    "place shifted along an axis": Kind(_edit("ImagePositionPatient", _shift_one_axis)),
    "place zero": Kind(_edit("ImagePositionPatient", lambda r, p: [0.0, 0.0, 0.0])),
    "place absent": Kind(_edit("ImagePositionPatient", lambda r, p: None)),
    "place rubbish": Kind(_edit("ImagePositionPatient", _rubbish)),
    "place of other length": Kind(_edit("ImagePositionPatient", _fewer)),
    "places swapped": Kind(_swap_places, True),
    "turned": Kind(_edit("ImageOrientationPatient", _turn)),
    "turn rubbish": Kind(_edit("ImageOrientationPatient", _rubbish)),
    "turn absent": Kind(_edit("ImageOrientationPatient", lambda r, p: None)),
    "axes swapped": Kind(_edit("ImageOrientationPatient", lambda r, p: p[3:] + p[:3])),
    "axis negated": Kind(
        _edit("ImageOrientationPatient", lambda r, p: [-v for v in p[:3]] + p[3:])
    ),
    "axes stretched": Kind(_edit("ImageOrientationPatient", lambda r, p: [1.01 * v for v in p])),
    "pixel spacing scaled": Kind(
        _edit("PixelSpacing", lambda r, p: [r.choice((0.5, 0.99, 1.01, 2)) * v for v in p])
    ),
    "pixel spacing rubbish": Kind(_edit("PixelSpacing", _rubbish)),
    "pixel spacing not positive": Kind(
        _edit("PixelSpacing", lambda r, p: [r.choice((0, -1.25)), p[1]])
    ),
    "pixel spacing absent": Kind(_edit("PixelSpacing", lambda r, p: None)),
    "pixel spacing swapped": Kind(_swap_pixel_spacing),
    "slices missing": Kind(_without_slices),
    "copies": Kind(_copies),
    "rescale": Kind(_rescale),
    "an element deleted": Kind(_delete_any),
    "a number set": Kind(_set_any),
    "a text set": Kind(_set_text),
    "pixels cut": Kind(_pixels),
    "sheared": Kind(_shear, True),
}


def damaged(seed: int) -> tuple[str, str, list[Dataset], list[Dataset]]:
    """Return series name, kind of damage, the series before and after it."""
    rng = random.Random(seed)
    name = rng.choice(list(SERIES))
    kind = rng.choice(list(KINDS))
    series = SERIES[name]()
    before = deepcopy(series)
    series = KINDS[kind].mutate(rng, series)
    return name, kind, before, series


# The judge ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What became of one damaged series: "right", "flagged", "refused" or "WRONG"."""

    outcome: str
    why: str = ""


def judge(folder: Path, seed: int) -> tuple[str, str, Verdict]:
    """Write one damaged series into ``folder``, read it, and hold it against the truth."""
    name, kind, before, after = damaged(seed)
    for n, data in enumerate(after):
        data.save_as(folder / f"{n:03d}", enforce_file_format=False)
    found = scan([folder])
    # What all frames of one file share cannot be known to be wrong.
    own = kind == "rescale" and after[0].Modality == "MR"  # each MR slice may have its own
    all_alike = KINDS[kind].all_alike or own or _shared(before) != _shared(after)
    return name, kind, _judge(found, all_alike, standing_findings(name))


def _shared(series: list[Dataset]) -> str:
    return "".join(str(data.get("SharedFunctionalGroupsSequence")) for data in series)


@cache
def standing_findings(name: str) -> frozenset[str]:
    """Return the codes that the undamaged series carries."""
    with TemporaryDirectory() as folder:
        for n, data in enumerate(SERIES[name]()):
            data.save_as(Path(folder) / f"{n:03d}", enforce_file_format=False)
        volumes = [read(v) for v in scan([Path(folder)]).volumes]
    return frozenset(f.code for volume in volumes for f in volume.findings)


def _judge(found: Scan, all_alike: bool, standing: frozenset[str]) -> Verdict:
    outcome = "refused"
    for scanned in found.volumes:
        if scanned.status == "refused":
            continue
        try:
            volume = read(scanned)
        except DicomError:
            continue
        wrong = _against_headers(scanned, volume)
        if wrong:
            return Verdict("WRONG", f"by its own headers: {wrong}")
        codes = {f.code for f in volume.findings if f.severity in ("warning", "problem")}
        told = bool(codes - standing)
        off = "" if all_alike or told else _against_truth(volume, scanned.status == "repaired")
        if off:
            return Verdict("WRONG", off)
        outcome = "flagged" if told or outcome == "flagged" else "right"
    return Verdict(outcome)


def _against_truth(volume: Volume, tilted: bool) -> str:
    k, j, i = np.indices(volume.array.shape)
    truth = values_at(volume.geometry.to_world(np.stack([i, j, k], axis=-1)))
    known = volume.array != -1024
    if tilted:  # beyond its outermost pixels a sheared slice is continued by less than one
        known = binary_erosion(known, np.ones((1, 3, 3)))
    worst = float(np.abs(volume.array - truth)[known].max(initial=0))
    if worst <= HIDDEN:
        return ""
    return f"a voxel is off by {worst:.1f} of value, and nothing says so"


def _against_headers(scanned: ScannedVolume, volume: Volume) -> str:
    """Compare corners and pixels with what pydicom alone reads from the files."""
    assert scanned.geometry is not None
    for source in scanned.files:
        data = pydicom.dcmread(source.path, force=True)
        for place, turn, spacing, values in _images(data, scanned):
            points = slice_points(place, turn, values.shape[0], values.shape[1], spacing)
            index = volume.geometry.to_index(points)
            near = np.rint(index).astype(int)
            if np.abs(index[..., 2] - near[..., 2]).max() * volume.geometry.spacing_mm[2] > 0.05:
                return "a slice lies beside its plane"
            i, j, k = np.moveaxis(near, -1, 0)
            shape = volume.array.shape
            if min(i.min(), j.min(), k.min()) < 0 or np.any(near.max((0, 1)) >= shape[::-1]):
                return "a slice lies outside the grid"
            inside = np.abs(index - near).max(axis=-1) < 0.02  # elsewhere it was interpolated
            off = np.abs(volume.array[k, j, i] - values)[inside].max(initial=0)
            if off > TOLERANCE:
                return f"a voxel is off by {off:.1f} of value"
    return ""


def _stored(data: Dataset) -> np.ndarray:
    """Return the stored bits alone (PS3.5 8.1.1), shifted down and with their sign."""
    shape = (len(_frames(data)) or 1, int(data.Rows), int(data.Columns))
    whole = np.frombuffer(data.PixelData, "<u2")[: np.prod(shape)].reshape(shape).astype(np.int64)
    bits = int(data.BitsStored)
    high_bit = int(data.get("HighBit", bits - 1))
    kept = (whole >> (high_bit + 1 - bits)) & ((1 << bits) - 1)
    negative = (data.PixelRepresentation == 1) & (kept >> (bits - 1) == 1)
    values = kept - (negative.astype(np.int64) << bits)
    return values if _frames(data) else values[0]


def _images(data: Dataset, scanned: ScannedVolume) -> Iterator[tuple]:
    numbers = {s.frame for s in scanned.slices if s.sop_uid == str(data.get("SOPInstanceUID", ""))}
    if not _frames(data):
        slope = float(data.get("RescaleSlope") or 1)
        values = _stored(data) * slope + float(data.get("RescaleIntercept") or 0)
        yield (
            [float(v) for v in data.ImagePositionPatient],
            [float(v) for v in data.ImageOrientationPatient],
            [float(v) for v in data.PixelSpacing],
            values,
        )
        return
    shared = data.SharedFunctionalGroupsSequence[0]
    stored = _stored(data)
    for n, frame in enumerate(_frames(data)):
        if n not in numbers:
            continue

        def part(name: str, frame: Dataset = frame) -> Dataset:
            found = frame.get(name) or shared.get(name)
            return found[0] if found else Dataset()

        rescale = part("PixelValueTransformationSequence") or Dataset()
        yield (
            [float(v) for v in part("PlanePositionSequence").ImagePositionPatient],
            [float(v) for v in part("PlaneOrientationSequence").ImageOrientationPatient],
            [float(v) for v in part("PixelMeasuresSequence").PixelSpacing],
            stored[n] * float(rescale.get("RescaleSlope") or 1)
            + float(rescale.get("RescaleIntercept") or 0),
        )
