"""Pixels of a scanned volume: decoded in parallel, rescaled per slice, set on its grid."""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import shift as shifted

from segmentation.contract import Progress
from workstation.dicom.decoder import Pixels, stored_bits, stored_values
from workstation.dicom.geometry import Stack
from workstation.dicom.slices import Slice
from workstation.dicom.sources import DicomError, Source, require_unchanged
from workstation.dicom.values import empty_value
from workstation.dicom.worker import TIMEOUT_S, Worker, WorkerLost, source_record


@dataclass(frozen=True)
class _Task:
    """One file, what is wanted of it, and where that goes along z."""

    source: Source
    slices: tuple[Slice, ...]
    places: tuple[int, ...]


def _decoded(
    worker: Worker, source: Source, frames: Sequence[int | None]
) -> Iterator[tuple[Pixels, bool]]:
    """Yield the stored values of ``frames`` from a decoder process.

    Raises:
        DicomError: when the file cannot be decoded.
    """
    try:
        with worker.within(TIMEOUT_S + source.size / 2e6):
            worker.ask({"source": source_record(source), "frames": frames})
            for _ in frames:
                yield _image(worker, source)
    except WorkerLost as error:
        raise _undecodable(source, "it crashed or stalled the decoder") from error


def _image(worker: Worker, source: Source) -> tuple[Pixels, bool]:
    line = worker.answer()
    if "error" in line:
        raise _undecodable(source, line["error"])
    dtype = np.dtype(line["dtype"])
    raw = worker.raw(math.prod(line["shape"]) * dtype.itemsize)
    return np.frombuffer(raw, dtype).reshape(line["shape"]), bool(line["cleared"])


class _Decoders:
    """Decoder processes, started as they are needed."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._all: list[Worker] = []

    def frames(self, source: Source, frames: Sequence[int | None]) -> Iterator[tuple[Pixels, bool]]:
        """Yield the stored values of ``frames``; raises DicomError like `_decoded`."""
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = Worker("workstation.dicom.decoder")
            self._all.append(worker)
            worker.await_ready()
        yield from _decoded(worker, source, frames)
        self._idle.put(worker)

    def kill(self) -> None:
        """Stop all at once, whoever waits for their answers."""
        for worker in self._all:
            worker.kill()

    def close(self) -> None:
        """End all and release their pipes."""
        for worker in self._all:
            worker.close()


def _undecodable(source: Source, why: str) -> DicomError:
    return DicomError(f"the pixels of {source} cannot be decoded ({why})", "Fetch the image again")


def load(slices: Sequence[Slice], stack: Stack, progress: Progress) -> tuple[Pixels, int]:
    """Return the rescaled values [k, j, i] of ``slices`` (in z order) on the grid of ``stack``.

    The type is int16 or int32 where no slice scales or offsets by fractions, else float32.
    With them comes in how many slices rubbish outside the stored bits was cleared.

    Raises:
        DicomError: naming the file that cannot be decoded or has changed.
    """
    require_unchanged(s.source for s in slices)
    whole = all(s.slope == 1 and s.intercept.is_integer() for s in slices)
    kinds: list[npt.DTypeLike] = [np.int16, np.int32] if whole else []
    for kind in (*kinds, np.float32):
        try:
            return _load(slices, stack, np.dtype(kind), progress)
        except OverflowError:
            continue
    raise DicomError("the pixel values do not fit any supported type", "Report this data set")


def _load(
    slices: Sequence[Slice], stack: Stack, kind: np.dtype[Any], progress: Progress
) -> tuple[Pixels, int]:
    geometry = stack.geometry
    fill = empty_value(slices[0].quantity)
    array = (
        np.empty(geometry.shape, kind) if not stack.tilted else np.full(geometry.shape, fill, kind)
    )
    stop = threading.Event()
    workers = max(1, min(8, os.cpu_count() or 1))
    decoders = _Decoders()
    done: list[bool] = []  # per slice: was it cleaned? Appending is atomic

    def run(task: _Task) -> None:
        places = iter(task.places)
        for stored, cleared in () if stop.is_set() else _frames(task, decoders):
            if stop.is_set():
                return
            place = next(places)
            values = _rescaled(stored, slices[place], kind)
            _set(array[place], values, stack.offsets[place])
            done.append(cleared)

    tasks = _tasks(slices)
    try:
        with ThreadPoolExecutor(workers) as pool:
            try:
                _follow([pool.submit(run, t) for t in tasks], done, len(slices), progress)
            except BaseException:
                stop.set()
                decoders.kill()
                raise
    finally:
        decoders.close()
    return array, sum(done)


def _tasks(slices: Sequence[Slice]) -> list[_Task]:
    places: dict[Source, list[int]] = {}
    for n, s in enumerate(slices):
        places.setdefault(s.source, []).append(n)
    return [
        _Task(source, tuple(slices[n] for n in own), tuple(own)) for source, own in places.items()
    ]


def own_part(stored: Pixels, s: Slice) -> Pixels:
    """Return what a slice holds of the stored image: a tile of a mosaic, or all of it.

    Raises:
        DicomError: when the image has not the size that its header tells.
    """
    row, column, rows, columns = s.tile or (0, 0, s.form.rows, s.form.columns)
    if stored.shape != (rows, columns):
        raise _undecodable(s.source, f"it decodes to {stored.shape[::-1]} pixels")
    return stored[row : row + s.form.rows, column : column + s.form.columns]


def _frames(task: _Task, decoders: _Decoders) -> Iterator[tuple[Pixels, bool]]:
    first = task.slices[0]
    if first.tile:
        form = replace(first.form, rows=first.tile[2], columns=first.tile[3])
        mosaic = _Task(task.source, (replace(first, form=form, tile=None),), (0,))
        for stored, cleared in _frames(mosaic, decoders):
            yield from ((own_part(stored, s), cleared) for s in task.slices)
        return
    yield from _whole_frames(task, decoders)


def _whole_frames(task: _Task, decoders: _Decoders) -> Iterator[tuple[Pixels, bool]]:
    if task.slices[0].pixel_offset is None:
        return decoders.frames(task.source, [s.frame for s in task.slices])
    return _as_they_lie(task)


def _as_they_lie(task: _Task) -> Iterator[tuple[Pixels, bool]]:
    """Yield stored values from where the scan found them; the header is not parsed again."""
    with task.source.open() as stream:
        for s in task.slices:
            dtype = np.dtype(f"<{'i' if s.form.signed else 'u'}{s.form.bits_allocated // 8}")
            size = s.form.rows * s.form.columns * dtype.itemsize
            stream.seek((s.pixel_offset or 0) + (s.frame or 0) * size)
            raw = stream.read(size)
            if len(raw) < size:
                raise _undecodable(s.source, "the file ends inside its pixels")
            stored = np.frombuffer(raw, dtype).reshape(s.form.rows, s.form.columns)
            yield stored_bits(stored, s.form.bits_stored, s.form.high_bit)


def _follow(
    futures: list[Future[None]], done: Sequence[bool], total: int, progress: Progress
) -> None:
    waiting = set(futures)
    while waiting:
        ready, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in ready:
            future.result()
        count = len(done)
        progress(count / total, f"reading slice {count} of {total}")
    if len(done) != total:
        raise DicomError(f"only {len(done)} of {total} slices were decoded", "Scan it again")


def _rescaled(stored: Pixels, s: Slice, kind: np.dtype[Any]) -> Pixels:
    """Return ``slope * stored + intercept`` as ``kind``.

    Raises:
        OverflowError: when the values do not fit an integer ``kind``.
    """
    if stored.shape != (s.form.rows, s.form.columns):
        raise _undecodable(s.source, f"it decodes to {stored.shape[::-1]} pixels")
    if kind.kind == "f":
        return (stored * np.float64(s.slope) + s.intercept).astype(kind)
    limits = np.iinfo(kind)
    low, high = int(stored.min()) + int(s.intercept), int(stored.max()) + int(s.intercept)
    if low < limits.min or high > limits.max:
        raise OverflowError
    return (stored.astype(np.int64 if kind.itemsize > 2 else np.int32) + int(s.intercept)).astype(
        kind
    )


def _set(target: Pixels, values: Pixels, offset: npt.NDArray[np.float64]) -> None:
    """Write ``values`` into the slice ``target`` so that its first voxel lies at ``offset``.

    A whole offset copies; a fraction interpolates linearly within the slice.
    """
    if target.shape == values.shape and not offset.any():
        target[...] = values
        return
    base = np.floor(offset + 1e-9).astype(int)
    part = np.where(np.abs(offset - base) < 1e-6, 0.0, offset - base)
    grown = np.pad(values.astype(np.float64), [(0, int(p > 0)) for p in part[::-1]], mode="edge")
    moved = shifted(grown, part[::-1], order=1, mode="nearest") if part.any() else grown
    exact = np.rint(moved) if target.dtype.kind in "iu" else moved
    i, j = base
    target[j : j + exact.shape[0], i : i + exact.shape[1]] = exact


def decode(source: Source, frames: Sequence[int | None], native: bool) -> Iterator[Pixels]:
    """Yield the stored values of ``frames``; compressed ones come from a decoder process.

    Raises:
        DicomError: when the file cannot be decoded.
    """
    decoders = _Decoders()
    try:
        found = stored_values(source, frames) if native else decoders.frames(source, list(frames))
        yield from (pixels for pixels, _ in found)
    except DicomError:
        raise
    except Exception as error:  # damaged pixels can fail anywhere inside the parser
        raise _undecodable(source, str(error)[:300]) from error
    finally:
        decoders.close()
