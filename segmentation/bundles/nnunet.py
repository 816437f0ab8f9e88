"""A folder that nnU-Net trained, brought into the form of a bundle: one door for both.

The folder itself is kept as it is, in ``nnunet``; what it says of itself becomes the metadata.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segmentation.bundles.folder import METADATA, NNUNET, BundleError

CHECKPOINT = "checkpoint_final.pth"


def trained_folder(folder: Path) -> Path | None:
    """Return where in ``folder`` nnU-Net's plans, data set and weights lie, or None."""
    for plans in sorted(folder.rglob("plans.json")):
        place = plans.parent
        if (place / "dataset.json").is_file() and any(place.glob(f"fold_*/{CHECKPOINT}")):
            return place
    return None


def wrap(folder: Path, target: Path) -> None:
    """Move the trained ``folder`` into the new bundle ``target`` and describe it there.

    Raises:
        BundleError: if its dataset.json cannot be read.
    """
    try:
        told = json.loads((folder / "dataset.json").read_text("utf-8"))
        metadata = described(told)
    except (ValueError, AttributeError, TypeError) as error:
        raise BundleError(f"the dataset.json of {folder.name} cannot be read ({error})") from error
    (target / METADATA).parent.mkdir(parents=True)
    (target / METADATA).write_text(json.dumps(metadata, indent=2), "utf-8")
    shutil.move(folder, target / NNUNET)


def described(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a bundle from nnU-Net's dataset.json."""
    channels = told.get("channel_names") or told.get("modality") or {"0": "image"}
    names = [str(name) for name in channels.values()]
    modality = "CT" if names == ["CT"] else "MR" if _all_mr(names) else ""
    return {
        "name": str(told.get("name", "nnU-Net model")),
        "version": str(told.get("release", "")),
        "description": str(told.get("description", "")),
        "copyright": str(told.get("licence") or told.get("license") or "not stated"),
        "intended_use": "",
        "file_ending": str(told.get("file_ending", ".nii.gz")),
        "network_data_format": {
            "inputs": {
                "image": {
                    "modality": modality,
                    "num_channels": len(names),
                    "channel_def": {str(n): name for n, name in enumerate(names)},
                }
            },
            "outputs": {"pred": {"label_def": _labels(told)}},
        },
    }


def _all_mr(names: list[str]) -> bool:
    known = ("MR", "T1", "T2", "FLAIR", "ADC", "DWI")
    return bool(names) and all(name.upper().startswith(known) for name in names)


def _labels(told: Mapping[str, Any]) -> dict[str, str]:
    """Return value to name; regions take the values of ``regions_class_order``."""
    labels: Mapping[str, Any] = told.get("labels", {})
    order = told.get("regions_class_order")
    if order:
        regions = [name for name in labels if name.lower() not in ("background", "ignore")]
        return {"0": "background"} | {str(v): name for v, name in zip(order, regions)}
    if all(str(key).isdecimal() for key in labels):  # as nnU-Net 1 wrote it
        return {str(value): str(name) for value, name in labels.items()}
    return {str(value): str(name) for name, value in labels.items() if name.lower() != "ignore"}
