"""Pixels of a scanned volume: decoded in parallel, rescaled per slice, set on its grid."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import shift as shifted

from segmentation.contract import Progress
from workstation.dicom.decoder import Pixels, stored_values
from workstation.dicom.geometry import Stack
from workstation.dicom.slices import Slice
from workstation.dicom.sources import DicomError, Source, require_unchanged
from workstation.dicom.values import empty_value

DECODER_MEMORY_BYTES = 2 << 30
DECODER_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class _Task:
    """One file and where its frames go along z."""

    source: Source
    frames: tuple[int | None, ...]
    places: tuple[int, ...]
    native: bool


class _Decoder:
    """A decoder process; a crash, a hang or too much memory ends it, and nothing else."""

    def __init__(self) -> None:
        paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
        limits = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workstation.dicom.decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | limits | {"PYTHONPATH": paths},
        )

    def frames(self, task: _Task) -> Iterator[tuple[Pixels, bool]]:
        """Yield the stored values of each frame of ``task``.

        Raises:
            DicomError: when the file cannot be decoded.
        """
        watch = threading.Timer(DECODER_TIMEOUT_S + task.source.size / 2e6, self._process.kill)
        watch.start()
        try:
            self._ask(task)
            for _ in task.frames:
                yield self._next(task.source)
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise _undecodable(task.source, "it crashed or stalled the decoder") from error
        finally:
            watch.cancel()

    def _ask(self, task: _Task) -> None:
        assert self._process.stdin is not None
        request = {
            "path": str(task.source.path),
            "size": task.source.size,
            "member": asdict(task.source.member) if task.source.member else None,
            "frames": task.frames,
            "memory_bytes": DECODER_MEMORY_BYTES + 3 * task.source.size,
        }
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _next(self, source: Source) -> tuple[Pixels, bool]:
        assert self._process.stdout is not None
        line = json.loads(self._process.stdout.readline())
        if "error" in line:
            raise _undecodable(source, line["error"])
        dtype = np.dtype(line["dtype"])
        count = int(np.prod(line["shape"])) * dtype.itemsize
        raw = self._process.stdout.read(count)
        if len(raw) < count:
            raise _undecodable(source, "it crashed or stalled the decoder")
        return np.frombuffer(raw, dtype).reshape(line["shape"]), bool(line["cleared"])

    def kill(self) -> None:
        """Stop the process at once, whoever waits for its answer."""
        self._process.kill()

    def close(self) -> None:
        """End the process and release its pipes."""
        self._process.kill()
        self._process.communicate()


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
    idle: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
    stop = threading.Event()
    workers = max(1, min(8, os.cpu_count() or 1))
    decoders: list[_Decoder] = []

    done: list[bool] = []  # per slice: was it cleaned? Appending is atomic

    def run(task: _Task) -> None:
        places = iter(task.places)
        for stored, cleared in () if stop.is_set() else _frames(task, idle, decoders):
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
                for decoder in decoders:
                    decoder.kill()
                raise
    finally:
        for decoder in decoders:
            decoder.close()
    return array, sum(done)


def _tasks(slices: Sequence[Slice]) -> list[_Task]:
    places: dict[Source, list[int]] = {}
    for n, s in enumerate(slices):
        places.setdefault(s.source, []).append(n)
    return [
        _Task(source, tuple(slices[n].frame for n in own), tuple(own), slices[own[0]].form.native)
        for source, own in places.items()
    ]


def _frames(
    task: _Task, idle: queue.SimpleQueue[_Decoder], decoders: list[_Decoder]
) -> Iterator[tuple[Pixels, bool]]:
    if task.native:
        try:
            yield from stored_values(task.source, task.frames)
        except Exception as error:
            raise _undecodable(task.source, str(error)[:300]) from error
        return
    try:
        decoder = idle.get_nowait()
    except queue.Empty:
        decoder = _Decoder()
        decoders.append(decoder)
    yield from decoder.frames(task)
    idle.put(decoder)


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
    decoders: list[_Decoder] = []
    task = _Task(source, tuple(frames), (), native)
    try:
        yield from (pixels for pixels, _ in _frames(task, queue.SimpleQueue(), decoders))
    finally:
        for decoder in decoders:
            decoder.close()
