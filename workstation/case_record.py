"""What ``case.json`` holds, and the values of a case by content key."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from segmentation.contract import Number
from workstation.clinical import (
    ClinicalFile,
    ClinicalRecord,
    file_findings,
    merged,
    value_records,
)
from workstation.store import ResultStore


def now() -> str:
    """Return the time in UTC as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


SCHEMA = 1


class CaseError(ValueError):
    """A case cannot be opened or changed; the text says why and what to do."""


@dataclass(frozen=True)
class Revision:
    """One entry of the history: what was done, and the plan that resulted.

    ``names`` are those that plans had from then on, and ``variant`` the one that was worked on;
    None in a history that an earlier release wrote.
    """

    label: str
    plan: int
    names: dict[str, int] | None = None
    variant: str = ""


@dataclass(frozen=True)
class Review:
    """That a person looked at a result and accepted it: who, when (ISO, UTC), its digest."""

    by: str
    at: str
    digest: str
    comment: str = ""


@dataclass
class CaseRecord:
    """What ``case.json`` holds."""

    patient: dict[str, str] = field(default_factory=dict)
    study: dict[str, str] = field(default_factory=dict)
    synthetic: bool = False
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    clinical: list[ClinicalFile] = field(default_factory=list)
    reviews: dict[str, Review] = field(default_factory=dict)
    history: list[Revision] = field(default_factory=list)
    position: int = -1
    plan_names: dict[str, int] = field(default_factory=dict)
    variant: str = ""  # the name whose plan is worked on; it goes along with every change
    created: str = field(default_factory=now)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `from_json` reverses it."""
        history = [vars(entry) for entry in self.history]
        clinical = [file.to_json() for file in self.clinical]
        reviews = {key: vars(review) for key, review in self.reviews.items()}
        changed = {"history": history, "clinical": clinical, "reviews": reviews}
        return {"schema": SCHEMA} | vars(self) | changed

    def note(self, label: str, plan: int) -> None:
        """Put an entry behind the present one of the history; what was undone is gone."""
        if self.variant:
            self.plan_names[self.variant] = plan
        kept = self.history[: self.position + 1]
        self.history = [*kept, Revision(label, plan, dict(self.plan_names), self.variant)]
        self.position = len(kept)

    def stand_at(self, position: int) -> None:
        """Make another entry of the history the present one, with the names of then."""
        entry = self.history[position]
        self.position = position
        if entry.names is not None:
            self.plan_names, self.variant = dict(entry.names), entry.variant

    def clinical_record(self) -> ClinicalRecord:
        """Return all clinical data of the case as one record."""
        return merged(file.record for file in self.clinical)

    def clinical_summary(self) -> dict[str, Any]:
        """Return the clinical values and files as `hilum show --json` prints them."""
        return {
            "clinical": value_records(self.clinical_record()),
            "clinical_files": [file.summary() for file in self.clinical],
        }

    def clinical_findings(self) -> list[dict[str, Any]]:
        """Return what a reader of the case must know about its clinical data."""
        return [f.to_json() | {"step": "clinical"} for f in file_findings(self.clinical)]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> CaseRecord:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if it is not that.
        """
        found = TypeAdapter(cls).validate_python(record)
        if not -1 <= found.position < len(found.history):
            raise ValueError(f"there is no entry {found.position} in the history")
        return found


class CaseValues(MutableMapping[str, Any]):
    """Sources and results of a case by content key; new values are results."""

    def __init__(self, sources: ResultStore, results: ResultStore) -> None:
        self.sources = sources
        self.results = results

    def __getitem__(self, key: str) -> Any:
        return self.sources[key] if key in self.sources else self.results[key]

    def in_memory(self, key: str) -> Any:
        """Return the value of ``key`` if it needs no look at the disk, or None."""
        value = self.sources.in_memory(key)
        return self.results.in_memory(key) if value is None else value

    def __contains__(self, key: object) -> bool:
        return key in self.results or key in self.sources

    def __setitem__(self, key: str, value: Any) -> None:
        self.results[key] = value

    def __delitem__(self, key: str) -> None:
        del self.results[key]

    def __iter__(self) -> Iterator[str]:
        yield from self.sources
        yield from self.results

    def __len__(self) -> int:
        return len(self.sources) + len(self.results)

    def record(self, key: str) -> dict[str, Any]:
        """Return a value's JSON record without reading its arrays."""
        return self.sources.record(key) if key in self.sources else self.results.record(key)


def read_record(path: Path) -> CaseRecord:
    """Read ``case.json``.

    Raises:
        CaseError: if it is damaged or was written by a newer release.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
        schema = int(record["schema"])
        if schema <= SCHEMA:
            return CaseRecord.from_json(record)
    except (KeyError, TypeError, ValueError) as error:
        raise CaseError(f"{path} is damaged; restore it from a backup") from error
    raise CaseError(
        f"{path} was written by a newer Hilum (schema {schema}); update Hilum to open it"
    )


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the packages that compute results."""
    names = ("hilum", "numpy", "scipy", "SimpleITK", "scikit-image", "vtk", "pydicom", "trimesh")
    found = {"python": platform.python_version(), "system": platform.system()}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def number_record(output: str, number: Number) -> dict[str, Any]:
    """Return a number's public JSON record under its full name."""
    return {
        "name": number.full_name(output),
        "value": number.value,
        "unit": number.unit,
        "low": number.low,
        "high": number.high,
        "step": output,
        "source": number.source,
    }


def lock_folder(folder: Path) -> FileLock:
    """Lock a case's folder for writing.

    Raises:
        CaseError: if it is open for writing elsewhere.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CaseError(
            f"the case {folder} is open in another window or command; close it there first"
        ) from None
    return lock


def unheard(
    findings: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]], output: str
) -> list[dict[str, Any]]:
    """Return the findings of a step, without those that an earlier one told and handed on."""
    known = [{key: value for key, value in f.items() if key != "step"} for f in told]
    return [{**f, "step": output} for f in findings if dict(f) not in known]
