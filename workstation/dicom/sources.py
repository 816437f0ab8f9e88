"""Where DICOM bytes lie: plain files, and members of ZIP archives, read without unpacking.

A ZIP is hostile until its directory has been checked: names that are absolute or climb out
with ``..``, links, encrypted members and members that would inflate beyond the caps are
refused before a byte of them is inflated.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from segmentation.contract import Progress, silent

MEMBER_CAP_BYTES = 2 << 30
ARCHIVE_CAP_BYTES = 16 << 30
ARCHIVE_CAP_FILES = 200_000
RATIO_CAP = 200  # pixels rarely deflate beyond 20:1; an empty slice stays below this
RATIO_FREE_BYTES = 16 << 20  # members smaller than this cannot hurt, whatever their ratio


class DicomError(ValueError):
    """Images that cannot be read; ``remedy`` says what a person can do about it."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence}. {remedy}" if remedy else sentence)
        self.sentence = sentence
        self.remedy = remedy


@dataclass(frozen=True)
class Ignored:
    """A file that is part of no volume, and why.

    ``damaged`` tells that it may have been a slice, of ``series_uid`` where that is known.
    """

    path: str
    reason: str
    damaged: bool = False
    series_uid: str = ""


@dataclass(frozen=True, order=True)
class Member:
    """One file inside a ZIP: its name, and where and how its bytes are packed."""

    name: str
    offset: int
    packed_bytes: int
    deflated: bool
    crc: int


@dataclass(frozen=True, order=True)
class Source:
    """One DICOM file: ``path``, or a ``member`` of the ZIP at ``path``.

    ``size`` is its length in bytes, unpacked; ``changed_ns`` is the modification time of
    ``path``.
    """

    path: Path
    size: int
    changed_ns: int
    member: Member | None = None

    def __str__(self) -> str:
        return f"{self.path}/{self.member.name}" if self.member else str(self.path)

    @property
    def folder(self) -> str:
        """The folder, inside the archive too, that holds the file."""
        return str(PurePosixPath(str(self)).parent)

    @property
    def name(self) -> str:
        """The file name without folders."""
        return PurePosixPath(self.member.name).name if self.member else self.path.name

    def open(self) -> BinaryIO:
        """Return a seekable binary stream of the content; a ZIP member is held in memory.

        Raises:
            OSError: when the file cannot be read.
            DicomError: when the member is damaged.
        """
        return io.BytesIO(self.read_bytes()) if self.member else self.path.open("rb")

    def read_bytes(self) -> bytes:
        """Return the content; raises like `open`."""
        data = self.head(self.size)
        if self.member and (len(data) != self.size or zlib.crc32(data) != self.member.crc):
            raise DicomError(f"{self} is damaged in its archive", "Copy the archive again")
        return data

    def head(self, count: int) -> bytes:
        """Return the first ``count`` bytes; raises like `open`."""
        with self.path.open("rb") as file:
            if self.member is None:
                return file.read(count)
            packed = _packed(file, self.member, count)
        if not self.member.deflated:
            return packed[:count]
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, count) if count else b""
        except zlib.error as error:
            raise DicomError(
                f"{self} is damaged in its archive ({error})", "Copy the archive again"
            ) from error


def _packed(file: BinaryIO, member: Member, count: int) -> bytes:
    file.seek(member.offset)
    local = file.read(30)
    if local[:4] != b"PK\3\4":
        raise DicomError(f"{member.name} is damaged in its archive", "Copy the archive again")
    name_length, extra_length = struct.unpack("<HH", local[26:30])
    file.seek(name_length + extra_length, os.SEEK_CUR)
    # Deflate never grows data by more than a few bytes per thousand.
    return file.read(min(member.packed_bytes, count + count // 500 + 256))


def require_unchanged(sources: Iterable[Source]) -> None:
    """Raise if a file is no longer the one that was scanned.

    Raises:
        DicomError: naming the file.
    """
    for path, stamp in {(s.path, s.changed_ns) for s in sources}:
        if not path.is_file() or path.stat().st_mtime_ns != stamp:
            raise DicomError(f"{path} changed or vanished since it was scanned", "Scan it again")


def find_sources(
    paths: Sequence[Path], progress: Progress = silent
) -> tuple[list[Source], list[Ignored]]:
    """Return the readable files below ``paths`` (folders, files, ZIPs), in a fixed order.

    Raises:
        DicomError: when one of ``paths`` does not exist.
    """
    sources: dict[Source, None] = {}
    ignored: list[Ignored] = []
    for path in paths:
        if not path.exists():
            raise DicomError(f"{path} does not exist", "Check the name of the file or folder")
        for file in _files(path):
            if len(sources) % 100 == 0:
                progress(0.0, f"looking for files, {len(sources)} so far")
            found, refused = _expand(file)
            sources.update(dict.fromkeys(found))
            ignored.extend(refused)
    return list(sources), ignored


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):  # never follows links to folders: no cycles
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _expand(path: Path) -> tuple[list[Source], list[Ignored]]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return [], [Ignored(str(path), "not a regular file")]
        head = _head(path)
        if head[:2] == b"PK" and zipfile.is_zipfile(path):
            return _members(path)
        if head[:4] == b"PK\3\4" and head[128:132] != b"DICM":
            reason = "a damaged or incomplete ZIP archive; copy it again"
            return [], [Ignored(str(path), reason, True)]
        return [source_of(path)], []
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        return [], [Ignored(str(path), f"cannot be read: {error}")]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(132)


def source_of(path: Path) -> Source:
    """Return the plain file at ``path``; raises OSError when it is not there."""
    status = path.stat()
    return Source(path, status.st_size, status.st_mtime_ns)


def _members(path: Path) -> tuple[list[Source], list[Ignored]]:
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    problem = _archive_problem(infos)
    if problem:
        return [], [Ignored(str(path), f"refused ZIP archive: {problem}")]
    stamp = path.stat().st_mtime_ns
    return [
        Source(path, info.file_size, stamp, _member(info))
        for info in sorted(infos, key=lambda info: info.filename)
    ], []


def _member(info: zipfile.ZipInfo) -> Member:
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    return Member(info.filename, info.header_offset, info.compress_size, deflated, info.CRC)


def _archive_problem(infos: Sequence[zipfile.ZipInfo]) -> str:
    if len(infos) > ARCHIVE_CAP_FILES:
        return f"it holds {len(infos)} files, more than {ARCHIVE_CAP_FILES}"
    if sum(info.file_size for info in infos) > ARCHIVE_CAP_BYTES:
        return f"unpacked it would be larger than {ARCHIVE_CAP_BYTES >> 30} GiB"
    if len({info.filename for info in infos}) < len(infos):
        return "two of its members have the same name"
    return next((p for p in map(_member_problem, infos) if p), "")


def _member_problem(info: zipfile.ZipInfo) -> str:
    name = info.filename
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or PureWindowsPath(name).drive or ".." in parts.parts:
        return f"the name {name!r} points outside the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return f"{name!r} is a link"
    if info.flag_bits & 1:
        return f"{name!r} is encrypted; unpack it with its password first"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"{name!r} is packed by method {info.compress_type}; unpack the archive first"
    too_dense = info.file_size > RATIO_CAP * max(info.compress_size, 1)
    if info.file_size > MEMBER_CAP_BYTES or (too_dense and info.file_size > RATIO_FREE_BYTES):
        return f"{name!r} would inflate from {info.compress_size} to {info.file_size} bytes"
    return ""
