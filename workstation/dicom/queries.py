"""What is asked of a PACS and what it answers, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from pydicom.dataset import Dataset

LIMIT = 500


@dataclass(frozen=True)
class StudyQuery:
    """Which studies; what is empty matches everything.

    Texts may hold the wildcards ``*`` and ``?``. Dates are inclusive. Not more than
    ``limit`` answers are taken.

    Raises:
        ValueError: when a text cannot be sent or the dates are in the wrong order.
    """

    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_uid: str = ""
    modality: str = ""
    description: str = ""
    date_from: date | None = None
    date_to: date | None = None
    limit: int = LIMIT

    def __post_init__(self) -> None:
        _require_plain(self)
        if self.date_from and self.date_to and self.date_from > self.date_to:
            raise ValueError(f"{self.date_from} is after {self.date_to}; swap the dates")

    def identifier(self) -> Dataset:
        """Return the C-FIND identifier of the study root model (PS3.4 C.6.2.1)."""
        wanted = _identifier("STUDY", self)
        wanted.PatientID = self.patient_id
        wanted.PatientName = self.patient_name
        wanted.PatientBirthDate = wanted.PatientSex = ""
        wanted.AccessionNumber = self.accession_number
        wanted.StudyInstanceUID = self.study_uid
        wanted.ModalitiesInStudy = self.modality
        wanted.StudyDescription = self.description
        wanted.StudyDate = _range(self.date_from, self.date_to)
        wanted.StudyTime = ""
        wanted.NumberOfStudyRelatedSeries = None
        wanted.NumberOfStudyRelatedInstances = None
        return wanted


@dataclass(frozen=True)
class SeriesQuery:
    """Which series of one study; what is empty matches everything.

    Raises:
        ValueError: without a study, or when a text cannot be sent.
    """

    study_uid: str
    series_uid: str = ""
    modality: str = ""
    description: str = ""
    limit: int = LIMIT

    def __post_init__(self) -> None:
        _require_plain(self)
        if not self.study_uid:
            raise ValueError("series are searched within one study; give its UID")

    def identifier(self) -> Dataset:
        """Return the C-FIND identifier of the study root model (PS3.4 C.6.2.1)."""
        wanted = _identifier("SERIES", self)
        wanted.StudyInstanceUID = self.study_uid
        wanted.SeriesInstanceUID = self.series_uid
        wanted.Modality = self.modality
        wanted.SeriesDescription = self.description
        wanted.SeriesNumber = None
        wanted.BodyPartExamined = ""
        wanted.NumberOfSeriesRelatedInstances = None
        return wanted


@dataclass(frozen=True)
class InstanceQuery:
    """Which instances of one series: all of them, but not more than ``limit``.

    Raises:
        ValueError: without a study and a series.
    """

    study_uid: str
    series_uid: str
    limit: int = 10_000

    def __post_init__(self) -> None:
        _require_plain(self)
        if not (self.study_uid and self.series_uid):
            raise ValueError("instances are searched within one series; give study and series UID")

    def identifier(self) -> Dataset:
        """Return the C-FIND identifier of the study root model (PS3.4 C.6.2.1)."""
        wanted = _identifier("IMAGE", self)
        wanted.StudyInstanceUID = self.study_uid
        wanted.SeriesInstanceUID = self.series_uid
        wanted.SOPInstanceUID = wanted.SOPClassUID = ""
        wanted.InstanceNumber = None
        return wanted


@dataclass(frozen=True)
class FoundStudy:
    """One study that a node has; what the node does not tell is empty or None."""

    study_uid: str
    patient_id: str
    patient_name: str
    birth_date: date | None
    sex: str
    study_date: date | None
    description: str
    accession_number: str
    modalities: tuple[str, ...]
    series_count: int | None
    instance_count: int | None

    @classmethod
    def of(cls, answer: Dataset) -> FoundStudy:
        """Read a C-FIND or QIDO-RS answer."""
        return cls(
            study_uid=_text(answer, "StudyInstanceUID"),
            patient_id=_text(answer, "PatientID"),
            patient_name=_text(answer, "PatientName"),
            birth_date=_date(answer, "PatientBirthDate"),
            sex=_text(answer, "PatientSex"),
            study_date=_date(answer, "StudyDate"),
            description=_text(answer, "StudyDescription"),
            accession_number=_text(answer, "AccessionNumber"),
            modalities=tuple(sorted(filter(None, _text(answer, "ModalitiesInStudy").split("\\")))),
            series_count=_count(answer, "NumberOfStudyRelatedSeries"),
            instance_count=_count(answer, "NumberOfStudyRelatedInstances"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; dates are ISO 8601."""
        return _json(self)


@dataclass(frozen=True)
class FoundSeries:
    """One series that a node has; what the node does not tell is empty or None."""

    study_uid: str
    series_uid: str
    modality: str
    number: int | None
    description: str
    body_part: str
    instance_count: int | None

    @classmethod
    def of(cls, answer: Dataset) -> FoundSeries:
        """Read a C-FIND or QIDO-RS answer."""
        return cls(
            study_uid=_text(answer, "StudyInstanceUID"),
            series_uid=_text(answer, "SeriesInstanceUID"),
            modality=_text(answer, "Modality"),
            number=_count(answer, "SeriesNumber"),
            description=_text(answer, "SeriesDescription"),
            body_part=_text(answer, "BodyPartExamined"),
            instance_count=_count(answer, "NumberOfSeriesRelatedInstances"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return _json(self)


@dataclass(frozen=True)
class FoundInstance:
    """One instance that a node has; what the node does not tell is empty or None."""

    instance_uid: str
    class_uid: str
    number: int | None

    @classmethod
    def of(cls, answer: Dataset) -> FoundInstance:
        """Read a C-FIND or QIDO-RS answer."""
        return cls(
            instance_uid=_text(answer, "SOPInstanceUID"),
            class_uid=_text(answer, "SOPClassUID"),
            number=_count(answer, "InstanceNumber"),
        )


def _identifier(level: str, query: StudyQuery | SeriesQuery | InstanceQuery) -> Dataset:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = level
    if any(isinstance(v, str) and not v.isascii() for v in asdict(query).values()):
        wanted.SpecificCharacterSet = "ISO_IR 192"
    return wanted


def _require_plain(query: StudyQuery | SeriesQuery | InstanceQuery) -> None:
    for name, value in asdict(query).items():
        if isinstance(value, str) and ("\\" in value or not value.isprintable()):
            raise ValueError(f"{name} cannot hold a backslash or control character: {value!r}")
    if query.limit < 1:
        raise ValueError("the limit of a search is 1 or more")


def _range(start: date | None, end: date | None) -> str:
    if start is None and end is None:
        return ""
    return "-".join(f"{day:%Y%m%d}" if day else "" for day in (start, end))


def _value(answer: Dataset, keyword: str, read: Callable[[Any], Any], otherwise: Any) -> Any:
    """Read one element; a value that its own type forbids counts as not told."""
    try:
        value = answer.get(keyword)
        return otherwise if value in (None, "") else read(value)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return otherwise


def _text(answer: Dataset, keyword: str) -> str:
    def read(value: Any) -> str:
        many = (
            not isinstance(value, str) and hasattr(value, "__iter__") and keyword != "PatientName"
        )
        return "\\".join(map(str, value)) if many else str(value)

    return str(_value(answer, keyword, read, ""))


def _count(answer: Dataset, keyword: str) -> int | None:
    number: int | None = _value(answer, keyword, int, None)
    return number


def _date(answer: Dataset, keyword: str) -> date | None:
    text = _text(answer, keyword).replace(".", "")
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


def _json(found: FoundStudy | FoundSeries) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in asdict(found).items()}
