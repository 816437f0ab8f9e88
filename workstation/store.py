"""Results on disk: one value per content key, whole or absent.

A value is a JSON record plus, for arrays, a data file beside it. The record is renamed into
place last, so its presence is what makes the value exist.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from segmentation.volume import EarlierEdits, EditLog
from workstation.formats import FORMATS, digest_value, kind_of, size_of
from workstation.value_format import DamagedValue, Format, Record


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary name beside ``path``, flush to disk, then rename.

    The ending is kept, so writers that choose a format by it work. Nothing half-written is
    ever seen under ``path``, and nothing is left behind when ``write`` fails.
    """
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.name[-40:], dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
        sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in ``folder`` and the folders in it."""
    for part in [*folder.glob(".part-*"), *folder.glob("*/.part-*")]:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def write_json(path: Path, record: Any) -> None:
    """Write JSON atomically; numbers that are not finite are refused."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


class ResultStore(MutableMapping[str, Any]):
    """Content key to value, in a folder, with the values used last kept in memory."""

    def __init__(self, folder: Path, memory_bytes: int = 2_000_000_000) -> None:
        self.folder = folder
        self.memory_bytes = memory_bytes
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._turn = threading.RLock()  # a job stores results while the window reads others

    def record(self, key: str) -> Record:
        """Return the JSON record of a value, without its arrays.

        Raises:
            KeyError: if there is none, or what is there is not whole.
        """
        try:
            record: Record = json.loads((self.folder / f"{key}.json").read_text("utf-8"))
            form = FORMATS[record["kind"]]
            size = self._data_path(key, form).stat().st_size if form.ending else 0
            whole = size == record["bytes"]
        except (FileNotFoundError, ValueError, TypeError):
            whole = False
        if not whole:
            raise KeyError(key)
        return record

    def _data_path(self, key: str, form: Format) -> Path:
        return self.folder / f"{key}{form.ending}"

    def __contains__(self, key: object) -> bool:
        with suppress(KeyError):
            return bool(self.record(str(key)))
        return False

    def __getitem__(self, key: str) -> Any:
        with self._turn:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        record = self.record(key)
        form = FORMATS[record["kind"]]
        path = self._data_path(key, form)
        try:
            value = form.read(record, path)
        except (RuntimeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as e:
            raise DamagedValue(f"{path} is damaged; delete it and run the plan again") from e
        return self._keep(key, value)

    def remember(self, key: str, value: Any) -> None:
        """Hold in memory a value that is on disk already and at hand."""
        if key in self:
            self._keep(key, value)

    def in_memory(self, key: str) -> Any:
        """Return the value of ``key`` if it needs no look at the disk, or None."""
        with self._turn:
            return self._kept.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        kind = kind_of(value)
        form = FORMATS[kind]
        if isinstance(value, EditLog) and value.earlier and value.earlier.digest not in self:
            self[value.earlier.digest] = value.earlier.load()
        self.folder.mkdir(parents=True, exist_ok=True)
        record = form.record(value) | {"kind": kind, "digest": digest_value(value), "bytes": 0}
        if form.ending:
            path = self._data_path(key, form)
            write_atomically(path, lambda part: form.write(value, part))
            record["bytes"] = path.stat().st_size
        write_json(self.folder / f"{key}.json", record)
        self._keep(key, value)

    def __delitem__(self, key: str) -> None:
        record = self.record(key)
        (self.folder / f"{key}.json").unlink()
        with self._turn:
            self._kept.pop(key, None)
        with suppress(FileNotFoundError):
            self._data_path(key, FORMATS[record["kind"]]).unlink()

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in sorted(self.folder.glob("[!.]*.json")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _keep(self, key: str, value: Any) -> Any:
        """Hold a value in memory, and return it as it is held."""
        if isinstance(value, EditLog) and value.earlier is not None:
            # Held by this store alone, so that its limit on memory counts for the whole chain.
            earlier = value.earlier.digest
            value = replace(value, earlier=EarlierEdits(earlier, partial(self._edits, earlier)))
        with self._turn:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._kept_bytes() > self.memory_bytes:
                self._kept.popitem(last=False)
        return value

    def _edits(self, key: str) -> EditLog:
        """Return the hand edits that later ones continue."""
        try:
            edits: EditLog = self[key]
        except KeyError as error:
            path = self.folder / f"{key}.json"
            raise DamagedValue(f"{path} is damaged; restore the case's backup") from error
        return edits

    def _kept_bytes(self) -> int:
        return sum(map(size_of, self._kept.values()))
