"""A folder that received DICOM instances are written to, byte for byte as they came.

Each file appears whole or not at all, and none is ever overwritten.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pynetdicom.dsutils import split_dataset

from workstation.dicom.nodes import NetworkError

CAP_BYTES = 2 << 30
RESERVE_BYTES = 1 << 30
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_PIECE = 1 << 20


class Refused(NetworkError):
    """An instance that is not taken in; ``status`` is the C-STORE status (PS3.4 B.2.3)."""

    def __init__(self, status: int, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence, remedy)
        self.status = status


OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000


@dataclass(frozen=True)
class Retrieved:
    """What a retrieval brought: ``files`` that are new, and those that were ``known`` already."""

    files: tuple[Path, ...]
    known: tuple[Path, ...] = ()


class Inbox:
    """Takes in instances for one folder; safe to use from several threads.

    ``cap_bytes`` bounds one instance; ``reserve_bytes`` of the disk always stay free.
    """

    def __init__(
        self, folder: Path, *, cap_bytes: int = CAP_BYTES, reserve_bytes: int = RESERVE_BYTES
    ) -> None:
        self.folder = folder
        self.cap_bytes = cap_bytes
        self.reserve_bytes = reserve_bytes
        self.files: list[Path] = []
        self.known: list[Path] = []
        self.refusals: list[Refused] = []
        self.received_bytes = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many instances were dealt with: taken in, known or refused."""
        return len(self.files) + len(self.known) + len(self.refusals)

    def retrieved(self) -> Retrieved:
        """Return what came so far."""
        with self._lock:
            return Retrieved(tuple(self.files), tuple(self.known))

    def take(self, pieces: Iterable[bytes], uid: str = "") -> Path:
        """Write one DICOM file and return it; without ``uid`` its own header names it.

        Raises:
            Refused: when it is too big, the disk is nearly full, its UID is no UID, or another
                instance with the same UID lies here; the refusal is also kept in ``refusals``.
        """
        try:
            return self._take(pieces, uid)
        except Refused as refusal:
            with self._lock:
                self.refusals.append(refusal)
            raise

    def _take(self, pieces: Iterable[bytes], uid: str) -> Path:
        if uid:
            _require_uid(uid)
        part = self._new_part()
        try:
            with part.open("wb") as file:
                size = 0
                for piece in pieces:
                    size += len(piece)
                    self._require_room(size, len(piece))
                    file.write(piece)
                    with self._lock:
                        self.received_bytes += len(piece)
                file.flush()
                os.fsync(file.fileno())
            return self._place(part, uid or _uid_of(part))
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            part.unlink(missing_ok=True)

    def _new_part(self) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self.folder)
        except OSError as error:
            raise self._unwritable(error) from error
        os.close(handle)
        return Path(name)

    def _unwritable(self, error: OSError) -> Refused:
        return Refused(
            OUT_OF_RESOURCES, f"{self.folder} cannot be written: {error}", "Choose another folder"
        )

    def _require_room(self, size: int, more: int) -> None:
        if size > self.cap_bytes:
            raise Refused(
                OUT_OF_RESOURCES, f"an instance is larger than {self.cap_bytes >> 20} MiB"
            )
        if shutil.disk_usage(self.folder).free - more < self.reserve_bytes:
            raise Refused(
                OUT_OF_RESOURCES,
                f"the disk of {self.folder} is nearly full",
                "Free some space or choose another folder",
            )

    def _place(self, part: Path, uid: str) -> Path:
        final = self.folder / f"{uid}.dcm"
        with self._lock:
            try:
                _rename_new(part, final)
            except FileExistsError:
                if not _same_content(part, final):
                    raise Refused(
                        CANNOT_UNDERSTAND,
                        f"{final} is another instance with the same UID",
                        "Receive into an empty folder and compare the two",
                    ) from None
                self.known.append(final)
                return final
            _sync_folder(self.folder)
            self.files.append(final)
            return final


def _require_uid(uid: str) -> None:
    """Refuse what is no UID: it becomes a file name."""
    if not _UID.fullmatch(uid):
        raise Refused(CANNOT_UNDERSTAND, f"{uid!r} is no SOP Instance UID")


def _uid_of(path: Path) -> str:
    try:
        uid = str(read_file_meta_info(path).get("MediaStorageSOPInstanceUID", ""))
    except (InvalidDicomError, EOFError, ValueError, KeyError, NotImplementedError) as error:
        raise Refused(CANNOT_UNDERSTAND, f"what came is no DICOM file: {error}") from error
    _require_uid(uid)
    return uid


def _rename_new(part: Path, final: Path) -> None:
    """Rename, but never onto an existing file.

    Raises:
        FileExistsError: when ``final`` is there.
    """
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if final.exists():
            raise FileExistsError(final) from None
        part.rename(final)


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _same_content(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same data set; who wrote the file may differ."""
    try:
        (meta, offset), (other_meta, other_offset) = split_dataset(one), split_dataset(other)
    except (InvalidDicomError, EOFError, ValueError, KeyError, NotImplementedError):
        return False
    if meta.get("TransferSyntaxUID") != other_meta.get("TransferSyntaxUID"):
        return False
    with one.open("rb") as a, other.open("rb") as b:
        a.seek(offset)
        b.seek(other_offset)
        while True:
            piece = a.read(_PIECE)
            if piece != b.read(_PIECE):
                return False
            if not piece:
                return True
