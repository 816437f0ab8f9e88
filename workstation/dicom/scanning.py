"""Headers of many files: read in worker processes, so that the window stays quick and whole.

What the first 64 KiB of a file tell is bounded, whatever they hold; a handful of files is read
from them right here, because starting a worker takes longer than that. All else goes to
workers. A file that crashes, stalls or bloats its worker is ignored with that reason.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from segmentation.contract import Progress
from workstation.dicom.header_worker import Header, header_from
from workstation.dicom.headers import read_head
from workstation.dicom.sources import Ignored, Source
from workstation.dicom.worker import TIMEOUT_S, Worker, WorkerLost, source_record

FEW = 800
"""Files that two workers read no sooner than this process does: they take 0.3 s to start."""
BATCH = 32
NEWS_S = 0.1
MODULE = "workstation.dicom.header_worker"


def read_headers(sources: Sequence[Source], progress: Progress) -> list[Header]:
    """Return what each of ``sources`` holds, in their order.

    Raises:
        DicomError: when no worker process can be started.
    """
    found: dict[int, Header] = {}
    for n, source in enumerate(sources if len(sources) <= FEW else ()):
        if n % 20 == 0:
            progress(n / len(sources), f"reading header {n + 1} of {len(sources)}")
        header = read_head(source)
        if header is not None:
            found[n] = header
    rest = [n for n in range(len(sources)) if n not in found]
    if rest:
        _Farm(sources, found).run(rest, progress)
    return [found[n] for n in range(len(sources))]


class _Farm:
    """Workers, and one thread that waits for each."""

    def __init__(self, sources: Sequence[Source], found: dict[int, Header]) -> None:
        self._sources = sources
        self._found = found
        self._known: dict[str, Any] = {}
        self._batches: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._stop = threading.Event()

    def run(self, wanted: Sequence[int], progress: Progress) -> None:
        batches = [wanted[n : n + BATCH] for n in range(0, len(wanted), BATCH)]
        for batch in batches:
            self._batches.put(list(batch))
        count = max(1, min(8, os.cpu_count() or 1, len(batches)))
        try:
            with ThreadPoolExecutor(count) as pool:
                try:
                    self._follow([pool.submit(self._work) for _ in range(count)], progress)
                finally:
                    self._stop.set()
                    for worker in tuple(self._workers):
                        worker.kill()
        finally:
            for worker in self._workers:
                worker.close()

    def _follow(self, futures: Sequence[Future[None]], progress: Progress) -> None:
        total, waiting = len(self._sources), set(futures)
        while waiting:
            ready, waiting = wait(waiting, timeout=NEWS_S, return_when=FIRST_COMPLETED)
            for future in ready:
                future.result()
            progress(len(self._found) / total, f"reading header {len(self._found)} of {total}")

    def _work(self) -> None:
        worker: Worker | None = None
        while not self._stop.is_set():
            try:
                left = self._batches.get_nowait()
            except queue.Empty:
                return
            while left and not self._stop.is_set():
                worker = worker or self._started()
                lost_at = self._read(worker, left)
                if lost_at is None:
                    break
                left = left[lost_at + 1 :]
                worker.kill()
                worker = None

    def _started(self) -> Worker:
        worker = Worker(MODULE)
        self._workers.append(worker)
        worker.await_ready()
        return worker

    def _read(self, worker: Worker, batch: Sequence[int]) -> int | None:
        """Read a batch; return the place of the file that the worker was lost on, or None."""
        for place, n in enumerate(batch):
            source = self._sources[n]
            try:
                with worker.within(TIMEOUT_S):
                    if place == 0:
                        records = [source_record(self._sources[m]) for m in batch]
                        worker.ask({"sources": records})
                    self._found[n] = header_from(worker.answer(), source, self._known)
            except (WorkerLost, TypeError, KeyError, ValueError):
                reason = f"its header crashed the reader or took longer than {TIMEOUT_S:g} s"
                self._found[n] = Ignored(str(source), reason, True)
                return place
        return None
