"""Speed on this machine, beside peers that are installed, in one run and as ratios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from skimage.measure import marching_cubes

from meshing.surface import isosurface
from segmentation.contract import Progress, silent
from segmentation.operations import threshold
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.dicom import files as dicom
from workstation.phantom import abdomen, write_dicom
from workstation.planning.live import LivePreview

REPEATS = 5


@dataclass(frozen=True)
class Row:
    """One measured thing: milliseconds, the target where there is one, and the peer's time."""

    name: str
    what: str
    ms: float
    target_ms: float | None = None
    peer: str = ""
    peer_ms: float | None = None

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


def _start_up(peers: bool) -> list[Row]:
    command = [sys.executable, "-m", "workstation", "--help"]
    ms = median_ms(lambda: subprocess.run(command, check=True, capture_output=True))
    return [Row("start-up", "hilum --help", ms, 1000.0)]


def _views(peers: bool) -> list[Row]:
    """Measure the views in a process of their own, so that this one needs no window system."""
    command = [sys.executable, "-m", "workstation.ui.speed"]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
        raise RuntimeError(f"the views could not be measured: {reason}; run hilum selftest")
    return [Row(**record) for record in json.loads(done.stdout)]


def _reading(peers: bool) -> list[Row]:
    """Measure scan and read of a 100-slice series against SimpleITK's series reader."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_dicom(abdomen(), folder)
        scan_ms = median_ms(lambda: dicom.scan([folder]))
        volume = dicom.scan([folder]).volumes[0]
        read_ms = median_ms(lambda: dicom.read(volume))
        both = Row("read DICOM", "scan, read and check a CT series", scan_ms + read_ms)
        if peers:
            peer_ms = median_ms(lambda: _read_with_simpleitk(folder))
            both = Row(both.name, both.what, both.ms, None, "SimpleITK series reader", peer_ms)
    return [both]


def _read_with_simpleitk(folder: Path) -> object:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def _liver_like() -> LabelMap:
    """Return an organ of 1.5 L with lobes on a 0.8 x 0.8 x 1.5 mm grid."""
    grid = ImageGeometry(
        (256, 220, 128), (0.8, 0.8, 1.5), (0, 0, 0), tuple(np.eye(3).ravel()), "1.2.3"
    )
    k, j, i = np.mgrid[0:128, 0:220, 0:256]
    x, y, z = (i - 128) * 0.8, (j - 110) * 0.8, (k - 64) * 1.5
    bumps = 6 * np.sin(x / 17) * np.cos(y / 13) * np.sin(z / 15)
    radius = np.sqrt((x / 1.25) ** 2 + (y / 0.9) ** 2 + (z / 0.95) ** 2)
    return LabelMap((radius + bumps < 69).astype(np.uint8), grid, {1: Label("liver")})


def _surface(peers: bool) -> list[Row]:
    organ = _liver_like()
    ms = median_ms(lambda: isosurface(organ), 3)
    row = Row("surface", "closed smooth surface of a 1.5 L organ", ms)
    if not peers:
        return [row]
    mask = organ.array.astype(np.float32)
    peer_ms = median_ms(lambda: marching_cubes(mask, 0.5, spacing=(1.5, 0.8, 0.8)), 3)
    return [Row(row.name, row.what, row.ms, None, "scikit-image marching cubes", peer_ms)]


def _threshold(peers: bool) -> list[Row]:
    rng = np.random.default_rng(1)
    grid = ImageGeometry(
        (512, 512, 100), (0.7, 0.7, 2), (0, 0, 0), tuple(np.eye(3).ravel()), "1.2.3"
    )
    volume = Volume(rng.integers(-1000, 1000, grid.shape, np.int16), grid)
    ms = median_ms(lambda: threshold(volume, lower_hu=100, upper_hu=900), 3)
    row = Row("threshold", "threshold of 512 x 512 x 100", ms)
    if not peers:
        return [row]
    image = sitk.GetImageFromArray(volume.array)
    peer_ms = median_ms(lambda: sitk.BinaryThreshold(image, 100, 900), 3)
    return [Row(row.name, row.what, row.ms, None, "SimpleITK BinaryThreshold", peer_ms)]


def _preview(peers: bool) -> list[Row]:
    preview = LivePreview(_liver_like())
    rng = np.random.default_rng(1)

    def drag() -> None:
        normal = rng.normal(size=3)
        preview.at((0.0, 0.0, 0.0), tuple(normal / np.linalg.norm(normal)))

    return [Row("drag the cut", "numbers for a new plane, 1.5 L liver", median_ms(drag, 30), 33.0)]


SUITES: Mapping[str, Callable[[bool], list[Row]]] = {
    "start-up": _start_up,
    "views": _views,
    "dicom": _reading,
    "surface": _surface,
    "threshold": _threshold,
    "preview": _preview,
}


def run(names: Sequence[str] = (), peers: bool = False, progress: Progress = silent) -> list[Row]:
    """Measure the named suites, or all of them.

    Raises:
        ValueError: for an unknown name.
    """
    for name in names:
        if name not in SUITES:
            raise ValueError(f"there is no benchmark {name!r}; there are: {', '.join(SUITES)}")
    chosen = names or tuple(SUITES)
    rows: list[Row] = []
    for number, name in enumerate(chosen):
        progress(number / len(chosen), name)
        rows += SUITES[name](peers)
    progress(1.0)
    return rows


def to_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the document that `hilum benchmark --json` prints; times in milliseconds."""
    return {
        "cores": os.cpu_count(),
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
    }


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text; the ratio is ours over the peer's, below 1 is faster."""
    lines = [f"{'what':44} {'ms':>9} {'target':>9} {'peer ms':>9} {'ratio':>6}  peer"]
    for row in rows:
        target = "" if row.target_ms is None else f"{row.target_ms:.0f}"
        peer_ms = "" if row.peer_ms is None else f"{row.peer_ms:.1f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"{row.what:44} {row.ms:9.1f} {target:>9} {peer_ms:>9} {ratio:>6}  {row.peer}")
    return "\n".join(lines)
