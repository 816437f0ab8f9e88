"""What is measured besides DICOM: start-up, views, surfaces, thresholds, and dragging a cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import SimpleITK as sitk
from skimage.measure import marching_cubes

from meshing.surface import isosurface
from segmentation.operations import threshold
from segmentation.volume import ImageGeometry, Label, LabelMap, Volume
from workstation.benchmark.rows import Row, median_ms
from workstation.benchmark.tools import tools
from workstation.planning.live import LivePreview


def start_up(peers: bool) -> list[Row]:
    """Measure how long a person waits for the first answer of the command line."""
    command = [sys.executable, "-m", "workstation", "--help"]
    ms = median_ms(lambda: subprocess.run(command, check=True, capture_output=True))
    return [Row("start-up", "hilum --help", ms, 1000.0)]


def views(peers: bool) -> list[Row]:
    """Measure the views in a process of their own, so that this one needs no window system."""
    command = [sys.executable, "-m", "workstation.ui.speed"]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
        raise RuntimeError(f"the views could not be measured: {reason}; run hilum selftest")
    return [Row(**record) for record in json.loads(done.stdout)]


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


def segmentation_tools(peers: bool) -> list[Row]:
    """Measure the tools that make and change labels."""
    return tools(_liver_like())


def surfaces(peers: bool) -> list[Row]:
    """Measure a surface against scikit-image's."""
    organ = _liver_like()
    ms = median_ms(lambda: isosurface(organ), 3)
    row = Row("surface", "closed smooth surface of a 1.5 L organ", ms)
    if not peers:
        return [row]
    mask = organ.array.astype(np.float32)
    peer_ms = median_ms(lambda: marching_cubes(mask, 0.5, spacing=(1.5, 0.8, 0.8)), 3)
    return [Row(row.name, row.what, row.ms, None, "scikit-image marching cubes", peer_ms)]


def thresholds(peers: bool) -> list[Row]:
    """Measure a threshold against SimpleITK's."""
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


def preview_of_cut(peers: bool) -> list[Row]:
    """Measure the numbers that follow a cut plane while it is dragged."""
    preview = LivePreview(_liver_like())
    rng = np.random.default_rng(1)

    def drag() -> None:
        normal = rng.normal(size=3)
        preview.at((0.0, 0.0, 0.0), tuple(normal / np.linalg.norm(normal)))

    return [Row("drag the cut", "numbers for a new plane, 1.5 L liver", median_ms(drag, 30), 33.0)]
