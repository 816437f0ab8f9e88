"""Labels as a DICOM Segmentation on exactly the frames of the series they were drawn on.

The label is put back onto the source slices (PS3.3 A.51): a volume that was deskewed from a
tilted stack is resampled, by nearest neighbour, to where each slice really lies. The written
file is opened again with the reader of `segmentation_reading` and compared voxel by voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)
from pydicom.valuerep import DSfloat

from segmentation.contract import FrameMismatch, Progress, share, silent
from segmentation.volume import Array, Label, LabelMap
from workstation.dicom.geometry import Stack
from workstation.dicom.objects import (
    MAKER,
    Origin,
    UnfaithfulObject,
    cielab_of,
    describe,
    origin_of,
    reference_sources,
    reference_to,
    series_description,
    software_version,
    stable_uid,
    tracking_uid,
    write_checked,
)
from workstation.dicom.segmentation_reading import TISSUE_CODE, SegmentFrame, segment_frames
from workstation.dicom.slices import Slice
from workstation.dicom.sources import DicomError
from workstation.dicom.values import text
from workstation.dicom.volumes import ScannedVolume

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription

AlgorithmType = Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"]
Form = Literal["BINARY", "LABELMAP"]

SERIES_NUMBER = 9001
TISSUE = Code(TISSUE_CODE, "SCT", "Tissue")
"""What a structure without a code of its own is said to be."""
_ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_SOME_FAMILY = Code("123110", "DCM", "Artificial Intelligence")
_STAND_IN = stable_uid("stand-in of a slice while a segmentation is made")
_BLANK = """
    PatientID PatientName PatientBirthDate PatientSex StudyID StudyDate StudyTime
    AccessionNumber ReferringPhysicianName
"""
_LOSSY = "LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod"
_MORPHOLOGY = {"4147007": "Mass", "108369006": "Neoplasm"}
_MEANINGS = {"59820001": "Blood vessel", **_MORPHOLOGY}


class LabelOutsideSource(ValueError):
    """A label has voxels where the source series has none."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A label map and how it was drawn; its labels become segments."""

    labels: LabelMap
    algorithm_type: AlgorithmType = "SEMIAUTOMATIC"
    algorithm: str = MAKER


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment: where ``frames`` [slice, row, column] on the source slices hold ``value``."""

    number: int
    label: Label
    frames: Array
    value: int
    drawn: Drawn

    def mask(self, k: int) -> npt.NDArray[np.bool_]:
        """Return its pixels [row, column] on slice ``k``."""
        return np.asarray(self.frames[k] == self.value)


def write_segmentation(
    drawn: LabelMap | Drawn | Sequence[Drawn],
    scanned: ScannedVolume,
    path: Path,
    *,
    form: Form = "BINARY",
    title: str = "Segmentation",
    progress: Progress = silent,
) -> Path:
    """Write label maps as one Segmentation on the frames of ``scanned``; return ``path``.

    Segments of several label maps may overlap and are numbered from 1 in their order. With
    ``form`` "LABELMAP" (smaller, faster, and known to few programs yet) there is one label map,
    which keeps its values. Tracking identifiers are the same for the same name and series.

    Raises:
        FrameMismatch: if labels lie in another frame of reference.
        LabelOutsideSource: if a label voxel lies in no frame of the series.
        DicomError: if the series cannot be referred to.
        ValueError: if no voxel is labelled, or several label maps are to become one.
        UnfaithfulObject: if the written file does not hold the labels.
    """
    if isinstance(drawn, LabelMap | Drawn):
        drawn = [drawn if isinstance(drawn, Drawn) else Drawn(drawn)]
    if form == "LABELMAP" and len(drawn) > 1:
        raise ValueError("a label map holds one result; write each into a file of its own")
    segments = segments_of(drawn, scanned, form)
    origin = origin_of(scanned, share(progress, 0, 3))
    progress(0.4, "writing the segmentation")
    data = _segmentation(segments, origin, form, title)
    _refer(data, origin)
    describe(data, origin, "SEG", title, SERIES_NUMBER)
    data.ContentDescription = series_description(origin, title)
    data.ContentCreatorName = ""
    _state_spacing(data, scanned)

    def check(part: Path) -> None:
        progress(0.8, "checking what was written")
        require_same_voxels(part, segments, scanned)

    write_checked(data, path, check)
    progress(1.0, "done")
    return path


def segments_of(drawn: Sequence[Drawn], scanned: ScannedVolume, form: Form) -> list[Segment]:
    """Return the segments of label maps on the slices of a series.

    Raises:
        FrameMismatch, LabelOutsideSource, DicomError, ValueError: as `write_segmentation`.
    """
    found: list[Segment] = []
    for one in drawn:
        frames, names = onto_slices(one.labels, scanned), dict(one.labels.labels)
        present = np.flatnonzero(np.bincount(one.labels.array.ravel())).tolist()
        names |= {v: Label(f"label {v}") for v in present if v and v not in names}
        for value in sorted(names) if any(present) else ():
            number = value if form == "LABELMAP" else len(found) + 1
            found.append(Segment(number, names[value], frames, value, one))
    if not found:
        raise ValueError("no voxel is labelled, so there is no segmentation to write")
    return found


# ---------------------------------------------------------------- onto the source slices


def onto_slices(labels: LabelMap, scanned: ScannedVolume) -> Array:
    """Return the label values [slice, row, column] on the slices of a series, in z order.

    Raises:
        FrameMismatch: if the labels lie in another frame of reference.
        LabelOutsideSource: if a label voxel lies in none of the slices, or the image was
            interpolated between slices that are unevenly apart.
        DicomError: if the series is refused.
    """
    stack = scanned.stack
    if stack is None:
        raise DicomError("nothing can be written for a series that is refused")
    if labels.geometry.frame_uid != stack.geometry.frame_uid:
        raise FrameMismatch(
            f"the labels lie in frame {labels.geometry.frame_uid} and the series in "
            f"{stack.geometry.frame_uid}; register one to the other first"
        )
    if not np.array_equal(stack.levels, np.rint(stack.levels)):
        raise LabelOutsideSource(
            "the image was interpolated between slices that are unevenly apart, so its labels "
            "lie on none of them; write NRRD or NIfTI instead"
        )
    form = scanned.slices[0].form
    same = labels.geometry.same_grid(stack.geometry)
    if same and not stack.tilted and not stack.interpolated:
        return labels.array
    _require_inside(labels, stack, form.rows, form.columns)
    if same:
        starts = np.rint(stack.offsets).astype(int)
        return np.stack(
            [
                labels.array[k, j : j + form.rows, i : i + form.columns]
                for k, (i, j) in zip(stack.levels.astype(int), starts)
            ]
        )
    return np.stack(
        [_nearest(labels, stack, k, form.rows, form.columns) for k in range(len(stack.order))]
    )


def _nearest(labels: LabelMap, stack: Stack, k: int, rows: int, columns: int) -> Array:
    """Return the label at the centre of each pixel of slice ``k``."""
    i, j = stack.offsets[k]
    step = labels.geometry.inverse_affine @ stack.geometry.affine
    corner = step @ (i, j, stack.levels[k], 1)
    along_row, along_column = np.arange(columns), np.arange(rows)[:, None]
    place = [
        np.rint(corner[n] + step[n, 0] * along_row + step[n, 1] * along_column).astype(int)
        for n in range(3)
    ]
    inside = np.ones((rows, columns), bool)
    for index, size in zip(place, labels.geometry.size):
        inside &= (index >= 0) & (index < size)
    found = np.zeros((rows, columns), labels.array.dtype)
    found[inside] = labels.array[place[2][inside], place[1][inside], place[0][inside]]
    return found


def _require_inside(labels: LabelMap, stack: Stack, rows: int, columns: int) -> None:
    """Raise if the centre of a labelled voxel lies outside the slices, each one voxel thick."""
    step = stack.geometry.inverse_affine @ labels.geometry.affine
    outside = 0
    for k in range(labels.geometry.size[2]):
        j, i = np.nonzero(labels.array[k])
        place = step @ np.stack([i, j, np.full(len(i), k), np.ones(len(i))])
        level = np.rint(place[2])
        slab = np.clip(np.searchsorted(stack.levels, level), 0, len(stack.levels) - 1)
        held = stack.levels[slab] == level
        offset = stack.offsets[slab]
        for axis, size in enumerate((columns, rows)):
            local = place[axis] - offset[:, axis]
            held &= (local >= -0.501) & (local <= size - 0.499)
        outside += int(np.count_nonzero(~held))
    if outside:
        share_lost = 100 * outside / int(np.count_nonzero(labels.array))
        raise LabelOutsideSource(
            f"{outside} label voxels ({share_lost:.1f} %) lie outside the slices of the series "
            "and would be lost; clip the label to the image, or write NRRD instead"
        )


# ---------------------------------------------------------------- the object


def _segmentation(
    segments: Sequence[Segment], origin: Origin, form: Form, title: str
) -> Segmentation:
    # A quarter of a second to load, which most work on files does not need.
    from highdicom import PixelMeasuresSequence
    from highdicom.seg import Segmentation

    spacing = origin.scanned.stack.geometry.spacing_mm if origin.scanned.stack else (1.0, 1.0, 1.0)
    first = origin.scanned.slices[0]
    assert first.pixel_spacing_mm is not None
    kept, pixels = _pixels(segments, form)
    data = Segmentation(
        source_images=[_stand_in(k, origin.scanned.slices[k], origin) for k in kept],
        pixel_array=pixels,
        segmentation_type=form,
        segment_descriptions=[_description(segment, origin) for segment in segments],
        series_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=software_version(),
        device_serial_number=software_version(),
        content_label="SEGMENTATION",
        content_description=title[:64],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=PixelMeasuresSequence(
            pixel_spacing=first.pixel_spacing_mm,
            slice_thickness=first.thickness_mm or spacing[2],
            spacing_between_slices=spacing[2],
        ),
        specific_character_set="ISO_IR 192",
    )
    for item in data.SegmentSequence:
        # highdicom insists on a family of algorithms; ours is none of them, the name must do.
        item.pop("SegmentationAlgorithmIdentificationSequence", None)
    if form == "LABELMAP":  # as small as with JPEG-LS or RLE, which fewer programs read right
        data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return data


def _pixels(segments: Sequence[Segment], form: Form) -> tuple[list[int], Array]:
    """Return the slices that hold a segment, and their pixels as highdicom takes them.

    Segments of one label map go as their numbers; others may overlap and go as a mask each.
    """
    maps = list({id(segment.frames): segment.frames for segment in segments}.values())
    filled = np.any([frames.any(axis=(1, 2)) for frames in maps], axis=0)
    kept = np.flatnonzero(filled).tolist()
    if form == "LABELMAP":
        return kept, maps[0][kept]
    highest = max(segment.number for segment in segments)
    if len(maps) == 1:
        table = np.zeros(int(maps[0].max()) + 1, np.uint8 if highest < 256 else np.uint16)
        for segment in segments:
            if segment.value < len(table):
                table[segment.value] = segment.number
        return kept, table[maps[0][kept]]
    masks = np.empty((len(kept), *maps[0].shape[1:], len(segments)), np.uint8)
    for n, segment in enumerate(segments):
        masks[..., n] = segment.frames[kept] == segment.value
    return kept, masks


def _state_spacing(data: Dataset, scanned: ScannedVolume) -> None:
    """State the slice distance, which highdicom leaves out when the stack is tilted."""
    if scanned.stack is not None:
        spacing_mm = scanned.stack.geometry.spacing_mm[2]
        measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.SpacingBetweenSlices = DSfloat(spacing_mm, auto_format=True)


def _stand_in(k: int, s: Slice, origin: Origin) -> Dataset:
    """Return what highdicom sees of slice ``k``: a blank image at the place of the slice.

    Thus it takes single frames and frames of enhanced images alike, and judges no patient
    data. `_refer` and `describe` put in the true references and descriptions afterwards.
    """
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"{_STAND_IN}.{k + 1}"
    image.StudyInstanceUID = origin.scanned.identity.study_uid
    image.SeriesInstanceUID = origin.scanned.series_uid
    for word in _BLANK.split():
        setattr(image, word, "")
    for word in _LOSSY.split():
        if word in origin.first:
            setattr(image, word, origin.first[word].value)
    image.Modality = origin.scanned.modality
    image.FrameOfReferenceUID = origin.frame_uid
    image.PositionReferenceIndicator = text(origin.first, "PositionReferenceIndicator")
    image.Rows, image.Columns = s.form.rows, s.form.columns
    for word, values in (
        ("ImagePositionPatient", s.position_mm),
        ("ImageOrientationPatient", s.orientation),
        ("PixelSpacing", s.pixel_spacing_mm),
    ):
        setattr(image, word, [DSfloat(v, auto_format=True) for v in values or ()])
    image.SliceThickness = s.thickness_mm
    return image


def _refer(data: Dataset, origin: Origin) -> None:
    """Replace the references to stand-ins by those to the source images and frames."""
    data.SourceImageSequence = reference_sources(data, origin)
    for group in (*data.SharedFunctionalGroupsSequence, *data.PerFrameFunctionalGroupsSequence):
        for derivation in group.get("DerivationImageSequence") or ():
            for image in derivation.SourceImageSequence:
                root, _, k = str(image.ReferencedSOPInstanceUID).rpartition(".")
                if root != _STAND_IN:
                    continue  # segments share the items: this one is done
                s = origin.scanned.slices[int(k) - 1]
                image.update(reference_to(origin.headers[s.source]))
                if s.frame is not None:
                    image.ReferencedFrameNumber = s.frame + 1


def _description(segment: Segment, origin: Origin) -> SegmentDescription:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription

    label, drawn = segment.label, segment.drawn
    category, kind = codes_of(label)
    name = label.name[:64] or f"label {segment.number}"
    identified: dict[str, Any] = {}
    if drawn.algorithm_type != "MANUAL":
        identified["algorithm_identification"] = AlgorithmIdentificationSequence(
            name=drawn.algorithm[:64], version=software_version(), family=_SOME_FAMILY
        )
    item = SegmentDescription(
        segment_number=segment.number,
        segment_label=name,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=drawn.algorithm_type,
        tracking_uid=tracking_uid(origin, label.name),
        tracking_id=name,
        **identified,
    )
    item.RecommendedDisplayCIELabValue = cielab_of(label.colour)
    return item


def codes_of(label: Label) -> tuple[Code, Code]:
    """Return the SNOMED CT category and type of a label; `TISSUE` where it has no code."""
    if not label.code:
        return TISSUE, TISSUE
    words = label.name.replace("_", " ").capitalize()
    kind = Code(label.code, "SCT", _MEANINGS.get(label.code, words)[:64])
    return (_ABNORMAL if label.code in _MORPHOLOGY else _ANATOMY), kind


# ---------------------------------------------------------------- the check


def require_same_voxels(path: Path, segments: Sequence[Segment], scanned: ScannedVolume) -> None:
    """Open a Segmentation and compare each frame with what was meant, by source image.

    Raises:
        UnfaithfulObject: naming the first difference.
    """
    places = {(s.sop_uid, s.frame): k for k, s in enumerate(scanned.slices)}
    seen: dict[tuple[int, int], SegmentFrame] = {}
    for frame in segment_frames(path):
        k = places.get(frame.reference)
        if k is None:
            raise UnfaithfulObject(f"{path.name}: a frame refers to no slice of the series")
        meant = scanned.slices[k].position_mm
        if meant is None or np.abs(np.subtract(frame.placed.position_mm, meant)).max() > 0.001:
            raise UnfaithfulObject(f"{path.name}: a frame lies elsewhere than its source slice")
        for segment in segments:
            if frame.segment in (None, segment.number):
                seen[k, segment.number] = frame
    for segment in segments:
        for k in range(len(scanned.slices)):
            found, mask = seen.get((k, segment.number)), segment.mask(k)
            if found is None:
                same = not mask.any()
            else:
                same = np.array_equal(found.mask(segment.number), mask)
            if not same:
                raise UnfaithfulObject(
                    f"{path.name} would not hold {segment.label.name!r} as it is in slice {k + 1}"
                )
