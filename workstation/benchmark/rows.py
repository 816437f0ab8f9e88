"""Rows of the benchmark: what was measured, its target, and the peer's figures beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One measured thing: milliseconds, the target where there is one, and the peer's time.

    ``mb`` and ``peer_mb`` tell by how many MB memory grew at its peak, where that was measured.
    """

    name: str
    what: str
    ms: float
    target_ms: float | None = None
    peer: str = ""
    peer_ms: float | None = None
    mb: float | None = None
    peer_mb: float | None = None

    @property
    def ratio(self) -> float | None:
        """Our time over the peer's: below 1 is faster than the peer."""
        return None if self.peer_ms is None else self.ms / self.peer_ms


def median_ms(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median wall time of ``work`` in milliseconds, after one run to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def to_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the document that `hilum benchmark --json` prints; times in milliseconds."""
    return {
        "cores": os.cpu_count(),
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
    }


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text; the ratio is ours over the peer's, below 1 is faster."""
    titles = ("ms", "target", "peer ms", "ratio", "MB", "peer MB")
    lines = [_line("what", titles, "peer")]
    for row in rows:
        figures = (
            f"{row.ms:.1f}",
            _rounded(row.target_ms),
            "" if row.peer_ms is None else f"{row.peer_ms:.1f}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            _rounded(row.mb),
            _rounded(row.peer_mb),
        )
        lines.append(_line(row.what if row.mb is None else row.name, figures, row.peer))
    return "\n".join(lines)


def _rounded(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.0f}"


def _line(what: str, figures: Sequence[str], peer: str) -> str:
    widths = (9, 9, 9, 6, 6, 8)
    cells = " ".join(f"{figure:>{width}}" for figure, width in zip(figures, widths))
    return f"{what:44} {cells}  {peer}".rstrip()
