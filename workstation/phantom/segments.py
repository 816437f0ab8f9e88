"""The true segments of the synthetic liver: what its known portal branches supply."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from segmentation.volume import ImageGeometry, LabelMap
from workstation.phantom.shapes import Path, Points
from workstation.planning.couinaud_names import SEGMENTS, TERRITORIES, VALUES

STEP_MM = 0.5
FORK = 2.0  # radii from where a branch leaves a stem: up to there no branch is alone


def true_segments(
    portal: Mapping[str, Path], liver: npt.NDArray[np.bool_], geometry: ImageGeometry
) -> LabelMap:
    """Return the segment of each voxel of ``liver`` [k, j, i]: that of the nearest branch.

    Branches count from where they have left the stem they come from: what lies about the fork
    itself is no nearer to one of them than to the other. Stems supply nothing.
    """
    lines, codes = [], []
    for name, path in portal.items():
        segment, *part = name.split()
        if segment not in SEGMENTS:
            continue
        line = even_line(path.points_mm)
        if not part or segment == "IV":  # the other parts leave a branch of their own segment
            away = np.linalg.norm(line - line[0], axis=1)
            line = line[away >= FORK * path.radius_mm[0]]
        lines.append(line)
        codes += [VALUES[segment]] * len(line)
    index = np.argwhere(liver)
    nearest = cKDTree(np.concatenate(lines)).query(geometry.to_world(index[:, ::-1]))[1]
    array = np.zeros(geometry.shape, np.uint8)
    array[tuple(index.T)] = np.array(codes, np.uint8)[nearest]
    return LabelMap(array, geometry, {value: TERRITORIES[value] for value in sorted({*codes})})


def even_line(points_mm: Points) -> Points:
    """Return points on a line of straight parts, ``STEP_MM`` apart."""
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points_mm, axis=0), axis=1))])
    at = np.arange(0, chord[-1], STEP_MM)
    return np.stack([np.interp(at, chord, axis) for axis in points_mm.T], axis=1)
