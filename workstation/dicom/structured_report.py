"""Numbers as a DICOM measurement report (PS3.16 TID 1500), and back.

Units are UCUM. A group of numbers about a structure refers to its segment in a Segmentation.
A quantity without a standard code gets one of the private scheme 99HILUM.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementProperties,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from segmentation.contract import Number
from segmentation.volume import Label
from workstation.dicom.datasets import open_dataset
from workstation.dicom.objects import (
    MAKER,
    RESEARCH,
    Origin,
    UnfaithfulObject,
    code_item,
    describe,
    lenient,
    software_version,
    stable_uid,
    tracking_uid,
    write_checked,
)
from workstation.dicom.segmentation_object import codes_of
from workstation.dicom.sources import DicomError, source_of
from workstation.dicom.values import number, text, whole

SERIES_NUMBER = 9002
SCHEME = "99HILUM"
_UCUM = {
    "": "1",
    "mmHg": "mm[Hg]",
    "degrees": "deg",
    "HU": "[hnsf'U]",
    "points": "{points}",
    "years": "a",
    "GiB": "GiBy",
}
_OURS = {ucum: unit for unit, ucum in _UCUM.items()}
_VOLUME = Code("118565006", "SCT", "Volume")
_AREA = Code("42798000", "SCT", "Area")
_DISTANCE = Code("121206", "DCM", "Distance")
_DIAMETER = Code("81827009", "SCT", "Diameter")
_MINIMUM = Code("255605001", "SCT", "Minimum")
_MAXIMUM = Code("56851009", "SCT", "Maximum")
# (quantity, unit) -> concept and how it is derived, where the standard has them.
_STANDARD: dict[tuple[str, str], tuple[Code, Code | None]] = {
    ("volume", "mL"): (_VOLUME, None),
    ("area", "cm2"): (_AREA, None),
    ("minimum", "mm"): (_DISTANCE, _MINIMUM),
    ("largest_diameter", "mm"): (_DIAMETER, _MAXIMUM),
}
_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_COMMENT = CodedConcept("121106", "DCM", "Comment")
_RESEARCH_USE = f"{RESEARCH.capitalize()}, not for clinical decisions."
_DEVICE = CodedConcept("121007", "DCM", "Device")
# Concepts that are looked for in a report (code values are unique over the schemes used).
_GROUP, _TRACKING_ID, _TRACKING_UID = "125007", "112039", "112040"
_DERIVATIONS, _ALGORITHM = ("121401",), "111001"
_UPPER, _LOWER, _SEGMENT = "371886008", "371885007", "121191"
_DEEPEST = 30

_Segments = Mapping[str, tuple[Dataset, Dataset]]
"""Segment label to the header of its Segmentation and its item there."""


@dataclass(frozen=True)
class MeasuredGroup:
    """Numbers about one thing.

    Attributes:
        name: what was measured, such as "liver".
        numbers: with units as this program writes them.
        code: SNOMED CT code of the thing, where one is known.
        uid: by which the thing is tracked over reports; made from the series when empty.
        segment: (SOP instance, segment number) of its Segmentation, in a report that was read.
    """

    name: str
    numbers: tuple[Number, ...]
    code: str = ""
    uid: str = ""
    segment: tuple[str, int] | None = None


@lenient()
def write_report(
    groups: Sequence[MeasuredGroup],
    origin: Origin,
    path: Path,
    *,
    segmentations: Sequence[Path] = (),
    comments: Sequence[str] = (),
    title: str = "Measurements",
) -> Path:
    """Write groups of numbers as a Comprehensive 3D SR after TID 1500; return ``path``.

    A group whose name is that of a segment in ``segmentations`` refers to it. Every report says
    that it is for research only; ``comments`` say what else its reader must know.

    Raises:
        ValueError: if there is no number, or one that is not finite.
        UnfaithfulObject: if the written file does not hold the numbers and comments.
    """
    if not any(group.numbers for group in groups):
        raise ValueError("there is no number, so there is no report to write")
    groups = [group for group in groups if group.numbers]
    comments = [_RESEARCH_USE, *comments]
    headers = [open_dataset(source_of(p), pixels=False) for p in segmentations]
    segments = {str(s.SegmentLabel): (h, s) for h in headers for s in h.SegmentSequence}
    groups = [_referring(group, segments) for group in groups]
    evidence = [_evidence(header) for header in (*origin.headers.values(), *headers)]
    report = MeasurementReport(
        observation_context=_observer(),
        procedure_reported=_PROCEDURE,
        imaging_measurements=[_group(g, origin, segments) for g in groups],
    )
    report[0].ContentSequence.append(_commented(comments))
    data = Comprehensive3DSR(
        evidence=evidence,
        content=report[0],
        series_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=MAKER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set="ISO_IR 192",
    )
    describe(data, origin, "SR", title, SERIES_NUMBER)
    data.CodingSchemeIdentificationSequence = [_scheme()]
    return write_checked(data, path, lambda part: _require_same(groups, comments, part))


def _evidence(header: Dataset) -> Dataset:
    """Return a copy with all that highdicom insists on.

    It judges patient and study more strictly than archives do, so they are left blank here;
    `describe` sets the true values afterwards.
    """
    copy = Dataset()
    copy.update(header)
    for word in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID"):
        setattr(copy, word, "")
    for word in ("AccessionNumber", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(copy, word, "")
    for word in ("PatientAge", "PatientSize", "PatientWeight"):
        copy.pop(word, None)
    return copy


def _scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "Quantities of Hilum"
    item.CodingSchemeResponsibleOrganization = MAKER
    return item


def _observer() -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=stable_uid("device", MAKER, software_version()),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=MAKER,
        serial_number=software_version(),
    )
    return ObservationContext(observer_device_context=ObserverContext(_DEVICE, device))


def _referring(group: MeasuredGroup, segments: _Segments) -> MeasuredGroup:
    """Return the group with a reference to the segment of its name, if there is one."""
    if group.name not in segments:
        return replace(group, segment=None)
    header, segment = segments[group.name]
    return replace(group, segment=(str(header.SOPInstanceUID), int(segment.SegmentNumber)))


def _group(
    group: MeasuredGroup, origin: Origin, segments: _Segments
) -> MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations:
    tracked = TrackingIdentifier(
        uid=group.uid or tracking_uid(origin, group.name), identifier=group.name
    )
    kind = codes_of(Label(group.name, code=group.code))[1] if group.code else None
    measured = [_measurement(n) for n in group.numbers]
    if group.segment is None:
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracked, finding_type=kind, measurements=measured
        )
    header, segment = segments[group.name]
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracked,
        referenced_segment=ReferencedSegment(
            sop_class_uid=header.SOPClassUID,
            sop_instance_uid=header.SOPInstanceUID,
            segment_number=int(segment.SegmentNumber),
            source_series=SourceSeriesForSegmentation(origin.scanned.series_uid),
        ),
        finding_type=kind,
        measurements=measured,
    )


def _commented(comments: Sequence[str]) -> ContainerContentItem:
    """Return the container in which a TID 1500 report holds what is no number."""
    contains = RelationshipTypeValues.CONTAINS
    container = ContainerContentItem(name=_EVALUATIONS, relationship_type=contains)
    container.ContentSequence = ContentSequence(
        [
            TextContentItem(name=_COMMENT, value=text, relationship_type=contains)
            for text in comments
        ]
    )
    return container


def _measurement(number: Number) -> Measurement:
    concept, derivation = _STANDARD.get((number.quantity, number.unit), (None, None))
    unit = ucum_of(number.unit)
    measured = Measurement(
        name=concept or _own_code(number.quantity),
        value=number.value,
        unit=unit,
        derivation=derivation,
        algorithm_id=AlgorithmIdentification(number.source, software_version()),
        properties=_band(number),
    )
    for item in measured[0].ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue in (_UPPER, _LOWER):
            # The library calls an uncertainty dimensionless; it has the number's own unit.
            unit_item = code_item(unit.value, unit.scheme_designator, unit.meaning)
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [unit_item]
    return measured


def _band(number: Number) -> MeasurementProperties | None:
    if number.low is None or number.high is None:
        return None
    return MeasurementProperties(
        upper_measurement_uncertainty=number.high - number.value,
        lower_measurement_uncertainty=number.value - number.low,
    )


def ucum_of(unit: str) -> Code:
    """Return the UCUM code of a unit as this program writes it."""
    return Code(_UCUM.get(unit, unit), "UCUM", unit or "no units")


def _own_code(quantity: str) -> Code:
    value = quantity if len(quantity) <= 16 else sha256(quantity.encode()).hexdigest()[:16]
    return Code(value, SCHEME, quantity.replace("_", " ")[:64])


def _require_same(groups: Sequence[MeasuredGroup], comments: Sequence[str], path: Path) -> None:
    found = read_report(path)
    meant = [(g.name, g.code, g.segment) for g in groups]
    if [(g.name, g.code, g.segment) for g in found] != meant:
        raise UnfaithfulObject(f"{path.name} would not hold the groups that were measured")
    if read_comments(path) != tuple(comments):
        raise UnfaithfulObject(f"{path.name} would not hold the comments on the numbers")
    for group, back in zip(groups, found):
        for one, other in zip(group.numbers, back.numbers, strict=True):
            if not _same(one, other):
                raise UnfaithfulObject(
                    f"{path.name} would hold {other.value} {other.unit} instead of "
                    f"{one.value} {one.unit} for {group.name}.{one.quantity}, or another band"
                )


def _same(one: Number, other: Number) -> bool:
    if (one.quantity, one.unit) != (other.quantity, other.unit):
        return False
    band = (one.low, one.high) if one.low is not None and one.high is not None else (None, None)
    meant, found = (one.value, *band), (other.value, other.low, other.high)
    return all(_close(a, b) for a, b in zip(meant, found))


def _close(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


# ---------------------------------------------------------------- reading


@lenient()
def read_report(path: Path) -> tuple[MeasuredGroup, ...]:
    """Read the measurement groups of a structured report, in order.

    Numbers come with the source that the report names, or with the file's name.

    Raises:
        DicomError: if it is no structured report or is damaged.
        OSError: if there is no such file.
    """
    source = source_of(path)
    try:
        data = open_dataset(source)
        if text(data, "Modality") != "SR" or "ContentSequence" not in data:
            raise DicomError(f"{path.name} is no structured report (SR)")
        return tuple(_read_group(item, path.name) for item in _items(data, _GROUP))
    except DicomError:
        raise
    except Exception as error:  # a damaged report can fail anywhere in its tree
        raise DicomError(f"{path.name} is a damaged report ({error})"[:300]) from error


@lenient()
def read_comments(path: Path) -> tuple[str, ...]:
    """Return the comments of a structured report, in order.

    Raises:
        DicomError: if the file cannot be read.
    """
    try:
        data = open_dataset(source_of(path))
        return tuple(text(item, "TextValue") for item in _items(data, _COMMENT.value))
    except Exception as error:  # a damaged report can fail anywhere in its tree
        raise DicomError(f"{path.name} is a damaged report ({error})"[:300]) from error


def _items(parent: Dataset, concept: str, depth: int = 0) -> Iterator[Dataset]:
    """Yield the content items below ``parent`` that are named by ``concept``."""
    for item in parent.get("ContentSequence") or ():
        if _named(item) == concept:
            yield item
        elif depth < _DEEPEST:
            yield from _items(item, concept, depth + 1)


def _named(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return text(names[0], "CodeValue") if names else ""


def _read_group(group: Dataset, file_name: str) -> MeasuredGroup:
    children = group.get("ContentSequence") or ()
    texts = {_named(item): item for item in children}
    name = text(texts[_TRACKING_ID], "TextValue") if _TRACKING_ID in texts else ""
    uid = text(texts[_TRACKING_UID], "UID") if _TRACKING_UID in texts else ""
    segment = None
    for item in children:
        if _named(item) == _SEGMENT and item.get("ReferencedSOPSequence"):
            reference = item.ReferencedSOPSequence[0]
            n = whole(reference, "ReferencedSegmentNumber")
            segment = (text(reference, "ReferencedSOPInstanceUID"), n)
    measured = [item for item in children if text(item, "ValueType") == "NUM"]
    numbers = (_read_number(item, file_name) for item in measured)
    code = next((_snomed_value(item) for item in children if _named(item) == "121071"), "")
    return MeasuredGroup(name, tuple(n for n in numbers if n), code, uid, segment)


def _snomed_value(item: Dataset) -> str:
    codes = item.get("ConceptCodeSequence")
    is_snomed = codes and text(codes[0], "CodingSchemeDesignator") == "SCT"
    return text(codes[0], "CodeValue") if is_snomed else ""


def _read_number(item: Dataset, file_name: str) -> Number | None:
    value, ucum = _measured(item)
    if value is None:
        return None  # a report may say that something could not be measured
    unit = _OURS.get(ucum, ucum)
    below = {_named(child): child for child in item.get("ContentSequence") or ()}
    up, down = (_measured(below[w])[0] if w in below else None for w in (_UPPER, _LOWER))
    source = text(below[_ALGORITHM], "TextValue") if _ALGORITHM in below else ""
    return Number(
        _quantity(item, unit, below),
        value,
        unit,
        source or file_name,
        None if down is None else value - down,
        None if up is None else value + up,
    )


def _measured(item: Dataset) -> tuple[float | None, str]:
    values = item.get("MeasuredValueSequence")
    if not values:
        return None, ""
    units = values[0].get("MeasurementUnitsCodeSequence")
    exact = number(values[0], "FloatingPointValue")
    value = number(values[0], "NumericValue") if exact is None else exact
    return value, text(units[0], "CodeValue") if units else ""


def _quantity(item: Dataset, unit: str, below: dict[str, Dataset]) -> str:
    derived = next((below[w].ConceptCodeSequence[0] for w in _DERIVATIONS if w in below), None)
    how = text(derived, "CodeValue") if derived is not None else ""
    for (quantity, known), (concept, derivation) in _STANDARD.items():
        wanted = derivation.value if derivation else ""
        if (concept.value, wanted, known) == (_named(item), how, unit):
            return quantity
    concept = item.ConceptNameCodeSequence[0]
    words = text(concept, "CodeMeaning").replace(" ", "_")
    if text(concept, "CodingSchemeDesignator") != SCHEME:  # of our own the case counts
        words = words.lower()
    derived_words = text(derived, "CodeMeaning").lower() if derived is not None else ""
    return f"{words}.{derived_words}" if derived_words else words
