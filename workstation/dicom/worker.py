"""Processes of our own that meet hostile bytes, so that the window never does.

A worker reads one JSON request per line and answers in JSON lines, raw values behind them
where it must. Nothing is ever unpickled: a worker that a hostile file took over could answer
with a pickle that takes over the window too, and JSON costs a twentieth of the parsing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from workstation.dicom.sources import DicomError, Member, Source

MEMORY_BYTES = 2 << 30
TIMEOUT_S = 10.0
START_S = 60.0  # a cold disk or a busy machine; no file is at work yet
WATCH_S = 0.1
PATIENCE = 6
Record = dict[str, Any]


class WorkerLost(RuntimeError):
    """The worker died, was stopped, or answered with rubbish."""


class Worker:
    """A process that runs ``python -m module``; a crash or a hang ends it, and nothing else.

    It says ``{}`` once it is ready. Nobody waits longer than the time that `within` allows.
    """

    def __init__(self, module: str) -> None:
        paths = os.pathsep.join(p or os.getcwd() for p in sys.path)
        limits = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._allowed: tuple[float, float] | None = None
        self._closed = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | limits | {"PYTHONPATH": paths},
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Kill the process when a request takes it too long: by its own clock, or by any."""
        seen, spent_s = None, 0.0
        while not self._closed.wait(WATCH_S):
            allowed = self._allowed
            if allowed is None:
                continue
            started_s, seconds = allowed
            if allowed is not seen:
                seen, spent_s = allowed, self._cpu_s()
            waited_s = time.monotonic() - started_s
            if self._cpu_s() - spent_s > seconds or waited_s > PATIENCE * seconds:
                self.kill()

    def _cpu_s(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:  # it has ended
            return 0.0
        return float(times.user + times.system)

    def await_ready(self) -> None:
        """Wait until the process takes requests; raises `DicomError` if it never will."""
        try:
            with self.within(START_S):
                self.answer()
        except WorkerLost as error:
            raise DicomError(
                "the process that reads images does not start", "Run hilum selftest"
            ) from error

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Kill the process when the block costs it more than ``seconds`` of a core.

        On a busy machine the block may take longer, up to `PATIENCE` times.
        """
        self._allowed = (time.monotonic(), seconds)
        try:
            yield
        finally:
            self._allowed = None

    def ask(self, request: Record) -> None:
        """Send a request; raises `WorkerLost` if nobody takes it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerLost("the worker is gone") from error

    def answer(self) -> Record:
        """Return the next line of the answer; raises `WorkerLost` if there is none."""
        assert self._process.stdout is not None
        try:
            record = json.loads(self._process.stdout.readline())
        except ValueError as error:
            raise WorkerLost("the worker ended in the middle of its answer") from error
        if not isinstance(record, dict):
            raise WorkerLost("the worker answers with rubbish")
        return record

    def raw(self, count: int) -> bytes:
        """Return the next ``count`` bytes of the answer; raises `WorkerLost` if they are fewer."""
        assert self._process.stdout is not None
        content = self._process.stdout.read(count)
        if len(content) < count:
            raise WorkerLost("the worker ended in the middle of its answer")
        return content

    def kill(self) -> None:
        """Stop the process at once, whoever waits for its answer."""
        self._process.kill()

    def close(self) -> None:
        """End the process and release its pipes."""
        self._closed.set()
        self._process.kill()
        self._process.communicate()


def source_record(source: Source) -> Record:
    """Return ``source`` for a request; `source_from` reverses it."""
    member = asdict(source.member) if source.member else None
    return {"path": str(source.path), "size": source.size, "member": member}


def source_from(record: Record) -> Source:
    """Return the source that `source_record` wrote, in the worker; its time is not known there."""
    member = record["member"]
    return Source(Path(record["path"]), record["size"], 0, Member(**member) if member else None)


def limit_memory(size: int) -> None:
    """Cap this process at 2 GiB of address space and what a file of ``size`` bytes takes itself.

    Windows has no such cap.
    """
    try:
        import resource  # absent on Windows
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES + size, hard))
