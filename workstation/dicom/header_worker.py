"""Headers read in a process of its own: ``python -m workstation.dicom.header_worker``.

Parsing holds the interpreter and a hostile header can stall it or eat all memory. Each request
names a batch of files; each file is answered by a line of its own, so that the one which ends
the process is known.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any, BinaryIO

from workstation.dicom.headers import read_header
from workstation.dicom.slices import PatientIdentity, PixelForm, SeriesIdentity, Slice
from workstation.dicom.sources import Ignored, Source
from workstation.dicom.worker import Record, limit_memory, source_from

Header = list[Slice] | Ignored
_OWN = tuple(f.name for f in fields(Slice) if f.name not in ("source", "identity", "form"))


def header_record(found: Header) -> Record:
    """Return what was found in a file as JSON; `header_from` reverses it."""
    if isinstance(found, Ignored):
        return {"ignored": asdict(found)}
    return {"slices": [_slice_record(s) for s in found]}


def _slice_record(s: Slice) -> Record:
    identity = {**vars(s.identity), "patient": vars(s.identity.patient)}
    own = {name: getattr(s, name) for name in _OWN}
    return {"identity": json.dumps(identity), "form": json.dumps(vars(s.form)), **own}


def header_from(record: Record, source: Source, known: dict[str, Any]) -> Header:
    """Return what `header_record` wrote of ``source``.

    ``known`` collects the parts that slices share, so that equal ones are one object.

    Raises:
        TypeError, KeyError, ValueError: for a record that `header_record` did not write.
    """
    if "ignored" in record:
        return Ignored(**record["ignored"])
    return [_slice_from(s, source, known) for s in record["slices"]]


def _slice_from(record: Record, source: Source, known: dict[str, Any]) -> Slice:
    own = {name: _frozen(record[name]) for name in _OWN}
    identity, form = record["identity"], record["form"]
    if identity not in known:
        parts = json.loads(identity)
        known[identity] = SeriesIdentity(
            **{**parts, "patient": PatientIdentity(**parts["patient"])}
        )
    if form not in known:
        known[form] = PixelForm(**json.loads(form))
    return Slice(source, identity=known[identity], form=known[form], **own)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _read(source: Source) -> Header:
    limit_memory(3 * source.size if source.member else 0)  # a member is held whole
    try:
        return read_header(source)
    except BaseException as error:  # nothing that a file does may end a batch
        reason = f"damaged or unreadable DICOM file ({type(error).__name__})"
        return Ignored(str(source), reason, True)


def serve(batches: Iterable[bytes], out: BinaryIO) -> None:
    """Say that this process is ready, then answer the lines of ``batches`` until they end."""
    warnings.simplefilter("ignore")
    out.write(b"{}\n")
    out.flush()
    for line in batches:
        for record in json.loads(line)["sources"]:
            found = _read(source_from(record))
            out.write(json.dumps(header_record(found)).encode() + b"\n")
            out.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
