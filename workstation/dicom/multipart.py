"""Multipart messages (RFC 2046) of DICOMweb, taken apart and put together as streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_HEADERS_CAP = 1 << 14
_PIECE = 1 << 17


class MultipartError(ValueError):
    """A message that is no multipart message, or ends too early."""


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type header names.

    Raises:
        MultipartError: when it is no multipart type or has no usable boundary.
    """
    kind, _, rest = content_type.partition(";")
    found = re.search(r'(?:^|;)\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', rest, re.I)
    if not kind.strip().lower().startswith("multipart/") or found is None:
        raise MultipartError(f"the answer is {content_type or 'of unknown type'}, not multipart")
    return (found[1] or found[2]).encode("ascii", "replace")


def parts(stream: Iterable[bytes], boundary: bytes) -> Iterator[Iterator[bytes]]:
    """Yield the body of each part as a stream of pieces; take one fully before the next.

    Raises:
        MultipartError: when the message ends before its closing boundary.
    """
    reader = _Reader(stream, b"--" + boundary)
    for _ in reader.until_boundary(first=True):
        pass
    while not reader.closed:
        reader.skip_headers()
        body = reader.until_boundary()
        yield body
        for _ in body:
            pass


class _Reader:
    """Splits a stream at boundaries while holding only a little of it."""

    def __init__(self, stream: Iterable[bytes], delimiter: bytes) -> None:
        self.stream = iter(stream)
        self.delimiter = delimiter
        self.buffer = bytearray()
        self.closed = False

    def _more(self) -> None:
        piece = next(self.stream, None)
        if piece is None:
            raise MultipartError("the answer ends before its last boundary: it was cut off")
        self.buffer += piece

    def until_boundary(self, first: bool = False) -> Iterator[bytes]:
        """Yield what comes before the next boundary and step over it."""
        mark = self.delimiter if first else b"\r\n" + self.delimiter
        while (at := self.buffer.find(mark)) < 0:
            safe = len(self.buffer) - len(mark) + 1
            if safe > 0:
                yield bytes(self.buffer[:safe])
                del self.buffer[:safe]
            self._more()
        if at:
            yield bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        while len(self.buffer) < 2:
            self._more()
        self.closed = self.buffer.startswith(b"--")

    def skip_headers(self) -> None:
        """Step over the rest of the boundary line and the headers of a part."""
        while (at := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > _HEADERS_CAP:
                raise MultipartError("a part of the answer has no end of its headers")
            self._more()
        del self.buffer[: at + 4]


def framing(boundary: bytes, last: bool) -> bytes:
    """Return what stands before a DICOM part, or after the ``last``."""
    if last:
        return b"\r\n--" + boundary + b"--\r\n"
    return b"\r\n--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"


def message_length(paths: Sequence[Path], boundary: bytes) -> int:
    """Return the length in bytes of what `message` yields."""
    frames = len(paths) * len(framing(boundary, last=False)) + len(framing(boundary, last=True))
    return frames + sum(path.stat().st_size for path in paths)


def message(paths: Iterable[Path], boundary: bytes) -> Iterator[bytes]:
    """Yield a multipart message of DICOM files, piece by piece."""
    for path in paths:
        yield framing(boundary, last=False)
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    yield framing(boundary, last=True)
