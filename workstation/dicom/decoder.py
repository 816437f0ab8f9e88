"""Decoding of stored pixels, also as a separate process: ``python -m workstation.dicom.decoder``.

Decoders of compressed images are native code that a damaged file can crash, hang or make
swallow all memory. They run in a process of their own that reads one JSON request per line
(file and frames) and answers each frame with a JSON line and its raw values.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels, pixel_array
from pydicom.uid import JPEGLSLossless, JPEGLSNearLossless

from workstation.dicom.datasets import NATIVE_SYNTAXES, open_dataset, syntax
from workstation.dicom.sources import Source
from workstation.dicom.worker import limit_memory, source_from

Pixels = npt.NDArray[Any]


def stored_values(source: Source, frames: Sequence[int | None]) -> Iterator[tuple[Pixels, bool]]:
    """Yield the stored values [row, column] of ``frames`` (None: the only one), not rescaled.

    With each comes whether rubbish outside the stored bits was cleared.

    Raises:
        Exception: whatever the decoder raises on a damaged file.
    """
    data = open_dataset(source)
    options: dict[str, Any] = {"raw": True}
    if syntax(data) in NATIVE_SYNTAXES:
        options["correct_unused_bits"] = False  # done below, for any high bit
    elif syntax(data) in (JPEGLSLossless, JPEGLSNearLossless):
        options["decoding_plugin"] = "gdcm"
    if list(frames) == [None]:
        yield _clean(data, pixel_array(data, **options))
        return
    wanted = [int(n or 0) for n in frames]
    for pixels in iter_pixels(data, indices=wanted, **options):
        yield _clean(data, pixels)


def _clean(data: Dataset, pixels: Pixels) -> tuple[Pixels, bool]:
    if pixels.ndim != 2:
        raise ValueError(f"it decodes to an array of shape {pixels.shape}, not to one image")
    bits = int(data.BitsStored)
    # Decoders of compressed images align the values themselves.
    native = syntax(data) in NATIVE_SYNTAXES
    return stored_bits(pixels, bits, int(data.get("HighBit", bits - 1)) if native else bits - 1)


def stored_bits(pixels: Pixels, bits: int, high_bit: int) -> tuple[Pixels, bool]:
    """Return the stored bits only: overlays and rubbish may sit in the others (PS3.5 8.1.1).

    With them comes whether there was rubbish.
    """
    allocated, low = pixels.dtype.itemsize * 8, high_bit - bits + 1
    if bits == allocated or pixels.dtype.kind not in "iu":
        return pixels, False
    left = allocated - bits - low
    # Shifting up then down drops the bits above, and carries the sign down where there is one.
    clean = np.right_shift(np.left_shift(pixels, left), left + low)
    return clean, not np.array_equal(np.left_shift(clean, low), pixels)


def _answer(request: dict[str, Any], out: BinaryIO) -> None:
    source = source_from(request["source"])
    limit_memory(3 * source.size)
    for pixels, cleared in stored_values(source, request["frames"]):
        values = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
        line = {"dtype": values.dtype.str, "shape": values.shape, "cleared": cleared}
        out.write(json.dumps(line).encode() + b"\n" + values.tobytes())


def serve() -> None:
    """Answer requests from standard input until it ends."""
    warnings.simplefilter("ignore")
    # Run lengths that overrun their segment mean damage; the decoder would only warn.
    warnings.filterwarnings("error", message=".*RLE segment")
    out = sys.stdout.buffer
    out.write(b"{}\n")
    out.flush()
    for line in sys.stdin.buffer:
        try:
            _answer(json.loads(line), out)
        except BaseException as error:  # some decoders raise panics that are no Exception
            text = f"{type(error).__name__}: {error}"[:300]
            out.write(json.dumps({"error": text}).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    serve()
