"""The frames of an enhanced multi-frame image as slices, each with its own place and rescale."""

from __future__ import annotations

from dataclasses import replace

from pydicom.dataset import Dataset

from workstation.dicom.quantities import with_meaning
from workstation.dicom.slices import Slice
from workstation.dicom.values import number, numbers, text, values

_TYPE_SEQUENCES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
)


def frames_of(file: Slice, header: Dataset, count: int) -> list[Slice]:
    """Return one slice per frame of an enhanced image.

    ``file`` carries what all frames share; ``count`` is how many frames the header claims.
    """
    per_frame = header.PerFrameFunctionalGroupsSequence
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    if len(per_frame) != count and not file.problem[0]:
        sentence = f"it claims {count} frames and describes {len(per_frame)}"
        return [replace(file, problem=("multi_frame", sentence))]
    return [_frame(file, header, n, item, shared) for n, item in enumerate(per_frame)]


def _frame(file: Slice, header: Dataset, index: int, item: Dataset, shared: Dataset) -> Slice:
    def part(*names: str) -> Dataset:
        """The first of the functional groups that the frame, or else all frames, carry."""
        for owner in (item, shared):
            for name in names:
                sequence = owner.get(name)
                if sequence:
                    found: Dataset = sequence[0]
                    return found
        return Dataset()

    content, measures = part("FrameContentSequence"), part("PixelMeasuresSequence")
    transform, kind = part("PixelValueTransformationSequence"), part(*_TYPE_SEQUENCES)
    slope, intercept = number(transform, "RescaleSlope"), number(transform, "RescaleIntercept")
    diffusion = part("MRDiffusionSequence")
    types = values(kind, "FrameType")[:4] or values(header, "ImageType")[:4]
    component = text(kind, "ComplexImageComponent")
    maps = next((g for o in (item, shared) if (g := o.get("RealWorldValueMappingSequence"))), ())
    frame = replace(
        file,
        frame=index,
        instance=index + 1,
        position_mm=numbers(part("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=numbers(part("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        pixel_spacing_mm=numbers(measures, "PixelSpacing", 2),
        thickness_mm=number(measures, "SliceThickness"),
        slope=file.slope if slope is None else slope,
        intercept=file.intercept if intercept is None else intercept,
        key=(
            ("type", "/".join(types)),
            ("component", component),
            ("stack", text(content, "StackID")),
            ("echo", text(part("MREchoSequence"), "EffectiveEchoTime")),
            ("time", text(content, "TemporalPositionIndex")),
            ("b-value", text(diffusion, "DiffusionBValue")),
        ),
        hints=(
            ("file", file.sop_uid),
            ("rescale", f"{slope}, {intercept}"),
            ("FrameAcquisitionNumber", text(content, "FrameAcquisitionNumber")),
            ("cardiac delay", text(part("CardiacSynchronizationSequence"), _DELAY)),
            ("DiffusionDirectionality", text(diffusion, "DiffusionDirectionality")),
            ("gradient", text(_gradient(diffusion), "DiffusionGradientOrientation")),
            ("FrameAcquisitionDateTime", text(content, "FrameAcquisitionDateTime")),
        ),
        problem=_problem(file, slope),
    )
    words = {*types, component.upper()}
    return with_meaning(frame, header, transform if len(transform) else header, maps, words)


_DELAY = "NominalCardiacTriggerDelayTime"


def _gradient(diffusion: Dataset) -> Dataset:
    sequence = diffusion.get("DiffusionGradientDirectionSequence")
    item: Dataset = sequence[0] if sequence else Dataset()
    return item


def _problem(file: Slice, slope: float | None) -> tuple[str, str]:
    if not file.problem[0] and slope == 0:
        return "pixel_format", "its rescale slope is zero"
    return file.problem
