"""From the bytes of a FHIR JSON file to its resources; the bytes are hostile until checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from workstation.clinical import ClinicalError

SIZE_CAP_BYTES = 128 << 20
RESOURCE_CAP = 500_000
DEPTH_CAP = 64
DIGITS_CAP = 40
"""No measurement needs more digits in a number."""

BUNDLES = ("collection", "searchset", "transaction", "document", "batch", "message")
CHUNK_BYTES = 1 << 20
MARK = b'"resourceType"'


@dataclass(frozen=True)
class Entry:
    """One resource as parsed JSON, and the address its bundle gives it."""

    resource: dict[str, Any]
    address: str = ""

    @property
    def kind(self) -> str:
        """The type of the resource."""
        return str(self.resource.get("resourceType", ""))

    @property
    def name(self) -> str:
        """The resource as others refer to it, such as "Observation/17"."""
        number = self.resource.get("id")
        return f"{self.kind}/{number}" if isinstance(number, str) and number else self.address


def is_clinical_file(path: Path) -> bool:
    """Tell by content whether ``path`` is a file of FHIR resources in JSON or NDJSON."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(CHUNK_BYTES)
            if head[128:132] == b"DICM" or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
                return False
            read = 0
            while head and read < SIZE_CAP_BYTES:
                if MARK in head:
                    return True
                read += len(head)
                kept = head[-len(MARK) :]
                more = file.read(CHUNK_BYTES)
                head = kept + more if more else b""
            return False
    except OSError:
        return False


def parse(data: bytes, where: str) -> list[Entry]:
    """Return the resources in ``data``: a bundle, one resource, or one resource per line.

    Raises:
        ClinicalError: if it is not readable JSON of FHIR resources, or too large or too deep.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClinicalError(f"{where} is not UTF-8 text; export it anew as JSON") from error
    documents = _documents(text, where)
    found: list[Entry] = []
    for document in documents:
        found += _entries(document, where)
        if len(found) > RESOURCE_CAP:
            raise ClinicalError(
                f"{where} holds more than {RESOURCE_CAP} resources; export one patient only"
            )
    if not found:
        raise ClinicalError(f"{where} holds no FHIR resource; export the patient's record anew")
    return found


def _documents(text: str, where: str) -> Sequence[Any]:
    try:
        return [_load(text)]
    except (ValueError, RecursionError) as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or isinstance(error, RecursionError):
            raise _unreadable(where, error) from error
        try:
            return [_load(line) for line in lines]  # NDJSON
        except (ValueError, RecursionError):
            raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> ClinicalError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return ClinicalError(f"{where} is not readable JSON ({reason}); export it anew")


def _load(text: str) -> Any:
    document = json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_whole,
        object_pairs_hook=_unique,
    )
    _check_depth(document)
    return document


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if len(text) > DIGITS_CAP or not isfinite(value):
        raise ValueError(f"{text[:DIGITS_CAP]} is no number that can be measured")
    return value


def _whole(text: str) -> int:
    if len(text) > DIGITS_CAP:
        raise ValueError(f"{text[:DIGITS_CAP]}... is no number that can be measured")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:DIGITS_CAP]!r} stands twice in one object")
    return found


def _check_depth(document: Any) -> None:
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > DEPTH_CAP:
            raise ValueError(f"it is nested deeper than {DEPTH_CAP} levels")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += [v for v in value.values() if isinstance(v, dict | list)]
            elif isinstance(value, list):
                inner += [v for v in value if isinstance(v, dict | list)]
        level = inner


def _entries(document: Any, where: str) -> Iterator[Entry]:
    if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
        raise ClinicalError(f"{where} is not FHIR: an object has no resourceType; export it anew")
    if document["resourceType"] != "Bundle":
        yield Entry(document)
        return
    if document.get("type") not in BUNDLES:
        raise ClinicalError(
            f"{where} is a bundle of the type {str(document.get('type'))[:40]!r}, which holds no "
            "record; export a collection or a search result"
        )
    entries = document.get("entry", [])
    if not isinstance(entries, list):
        raise ClinicalError(f"{where} is a damaged bundle: its entry is no list; export it anew")
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield Entry(resource, str(entry.get("fullUrl", "")))
        else:
            yield Entry({"resourceType": "entry without a resource"})
