"""Where to begin a plan without an organ's label: what lies around a tumour, and empty labels."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le
from scipy.ndimage import distance_transform_edt

from segmentation.anatomy import known_label
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.volume import Label, LabelMap, Volume, bounding_block

TISSUE = Label("tissue", (0xC9, 0x9A, 0x86))


def empty_label(volume: Volume, *, name: str = "region", progress: Progress = silent) -> LabelMap:
    """Begin an empty label, to be marked by hand or taken from a file.

    Args:
        volume: the image on whose voxels it lies.
        name: what to call it.
        progress: told how far the work is.
    """
    progress(1.0)
    label = known_label(name) or Label(name)
    note = Finding(
        Severity.WARNING,
        "empty_label",
        f"nothing is marked as {label.name}",
        remedy="mark it with the tools of the segment page, or take it from a file",
    )
    number = Number("volume", 0.0, "mL", "voxel count x voxel volume")
    array = np.zeros(volume.geometry.shape, np.uint8)
    return LabelMap(array, volume.geometry, {1: label}, (note,), (number,))


def tumor_surroundings(
    tumor: LabelMap,
    *,
    reach_mm: Annotated[float, Gt(0), Le(100)] = 30.0,
    progress: Progress = silent,
) -> LabelMap:
    """Take the tissue around a tumour as what is cut, where the organ has no label.

    Args:
        tumor: what must come out.
        reach_mm: how far (mm) around the tumour it goes, inside the image.
        progress: told how far the work is.
    """
    progress(0.1, "looking around the tumour")
    array = np.zeros(tumor.array.shape, np.uint8)
    block = bounding_block(tumor.array)
    findings: tuple[Finding, ...] = (
        Finding(
            Severity.INFO,
            "no_organ",
            f"No organ was given: volumes and shares are those of the tissue within {reach_mm:g} "
            "mm of the tumour",
            remedy="give or segment the organ for shares of the whole",
        ),
    )
    if block is None:
        text = "No organ was given, and no tumour is marked around which tissue could be taken"
        remedy = "mark the tumour, or begin again with the organ's label"
        findings = (Finding(Severity.WARNING, "no_organ", text, remedy=remedy),)
    else:
        spacing = tumor.geometry.spacing_kji_mm
        wide = tuple(
            slice(max(s.start - n, 0), s.stop + n)
            for s, n in zip(block, (int(np.ceil(reach_mm / h)) + 1 for h in spacing))
        )
        array[wide] = distance_transform_edt(tumor.array[wide] == 0, spacing) <= reach_mm
    region = LabelMap(array, tumor.geometry, {1: TISSUE}, findings)
    number = Number("volume", region.volume_ml(), "mL", "voxel count x voxel volume")
    return LabelMap(array, tumor.geometry, {1: TISSUE}, findings, (number,))
