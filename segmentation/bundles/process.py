"""Starts the process in which a bundle runs, listens to it, and ends it when told to stop.

A window that asks to stop is obeyed at once: the process is killed, whatever its network does.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from segmentation.bundles.cost import Estimate
from segmentation.bundles.folder import Bundle, BundleError
from segmentation.bundles.inference import Trust
from segmentation.contract import Finding, Progress, silent
from segmentation.volume import Label, LabelMap, Volume

WORKER = "segmentation.bundles.worker"
TICK_S = 0.2
MARGIN = 0.9  # of the free memory may be used
RUNAWAY = 1.0  # times the free memory at the start, and the process is ended

Record = dict[str, Any]


class ProcessEnded(RuntimeError):
    """A process that computes has died without an answer."""


def estimate_cost(
    bundle: Bundle, volumes: Sequence[Volume], trust: Trust, progress: Progress = silent
) -> Estimate:
    """Return what a run will take, from the network itself.

    Raises:
        BundleError: as `run_bundle`, without running.
        ProcessEnded: if the process dies.
    """
    with tempfile.TemporaryDirectory(prefix="hilum-model-") as name:
        return Estimate(**_talk(Path(name), bundle, volumes, trust, "", True, progress)["estimate"])


def run_bundle(
    bundle: Bundle,
    volumes: Sequence[Volume],
    trust: Trust,
    device: str = "",
    progress: Progress = silent,
) -> LabelMap:
    """Segment ``volumes``, which share one grid, one for each channel of the network.

    ``device`` is "cpu", "cuda", or "" for the GPU where there is one.

    Raises:
        BundleError: if the bundle cannot be used or does not suit the images.
        MemoryError: if the run needs more memory than is free; told before it starts.
        ProcessEnded: if the process dies.
    """
    with tempfile.TemporaryDirectory(prefix="hilum-model-") as name:
        folder = Path(name)
        for n, volume in enumerate(volumes):
            np.save(folder / f"{n}.npy", volume.array, allow_pickle=False)
        _talk(folder, bundle, volumes, trust, device, False, progress)
        return _result(folder, volumes[0])


def _talk(
    folder: Path,
    bundle: Bundle,
    volumes: Sequence[Volume],
    trust: Trust,
    device: str,
    estimate_only: bool,
    progress: Progress,
) -> Record:
    """Have the process do its work; return all that it answered."""
    free = psutil.virtual_memory().available
    request = {
        "bundle": str(bundle.folder),
        "trust": asdict(trust),
        "device": device,
        "estimate_only": estimate_only,
        "memory_bytes": int(MARGIN * free),
        "geometry": volumes[0].geometry.to_json(),
        "quantities": [volume.quantity for volume in volumes],
    }
    (folder / "request.json").write_text(json.dumps(request), "utf-8")
    answered: Record = {}
    command = [sys.executable, "-P", "-m", WORKER, str(folder)]
    with started_process(command, folder / "said.txt") as process:
        for record in _records(process, int(RUNAWAY * free), progress):
            answered |= record
            if "fraction" in record:
                progress(float(record["fraction"]), str(record["message"]))
            if "error" in record:
                raise _error(record)
    if "done" not in answered and not (estimate_only and "estimate" in answered):
        raise ProcessEnded(
            f"the process of the network ended without an answer ({_last_words(folder)}); "
            "close other programs, or run hilum selftest"
        )
    return answered


def _error(record: Record) -> Exception:
    if record.get("memory"):
        return MemoryError(str(record["error"]))
    return BundleError(str(record["error"]), str(record.get("remedy", "")))


@contextmanager
def started_process(command: Sequence[str], words: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process; it is dead when the block is left, and all that it started."""
    paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
    with words.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # its end is what a worker sees of ours
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
        )
        try:
            yield process
        finally:
            end_process(process)


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, and release its pipes."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        children = []
    for child in children:
        try:
            child.kill()
        except psutil.Error:
            continue
    process.kill()
    process.communicate()


def _records(
    process: subprocess.Popen[bytes], most_bytes: int, progress: Progress
) -> Iterator[Record]:
    """Yield what the process says; ask ``progress`` all the while, which may raise to stop."""
    said: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_listen, args=(process, said), daemon=True).start()
    last: tuple[float, str] = (0.0, "starting")
    checked = time.monotonic()
    while True:
        try:
            line = said.get(timeout=TICK_S)
        except queue.Empty:
            progress(*last)
            line = b""
        if line is None:
            return
        if time.monotonic() - checked > TICK_S:
            checked = time.monotonic()
            _check_memory(process, most_bytes)
        if line:
            record = _parsed(line)
            if "fraction" in record:
                last = (float(record["fraction"]), str(record.get("message", "")))
            yield record


def _listen(process: subprocess.Popen[bytes], said: queue.Queue[bytes | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        said.put(line)
    said.put(None)


def _parsed(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ProcessEnded("the process of the network answers with rubbish") from error
    if not isinstance(record, dict):
        raise ProcessEnded("the process of the network answers with rubbish")
    return record


def _check_memory(process: subprocess.Popen[bytes], most_bytes: int) -> None:
    try:
        used = psutil.Process(process.pid).memory_info().rss
    except psutil.Error:  # it has ended
        return
    if used > most_bytes:
        raise MemoryError(
            f"the network took {used / 1e9:.1f} GB, all that was free, and was stopped"
        )


def _last_words(folder: Path) -> str:
    lines = (folder / "said.txt").read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "it may have run out of memory"


def _result(folder: Path, volume: Volume) -> LabelMap:
    record: Mapping[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    array = np.load(folder / "labels.npy", allow_pickle=False)
    labels = {
        int(value): Label(str(e["name"]), tuple(e["colour"]), str(e["code"]))
        for value, e in record["labels"].items()
    }
    findings = tuple(Finding.from_json(entry) for entry in record["findings"])
    return LabelMap(array, volume.geometry, labels, findings)
