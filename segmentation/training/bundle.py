"""The MONAI bundles that networks of our own ship in: folder, network and weights."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CONFIG = "configs/inference.json"
WEIGHTS = "models/model.pt"


def shipped_bundle(name: str) -> Path:
    """Return the folder of a bundle that ships with the product: "vessels", "prompted"."""
    with as_file(files("segmentation") / "weights" / name) as folder:
        return Path(folder)


def build_network(bundle: Path) -> torch.nn.Module:
    """Return the network that a bundle's configuration describes, with random weights."""
    from monai.bundle import ConfigParser

    parser = ConfigParser(json.loads((bundle / CONFIG).read_text(encoding="utf-8")))
    parser["imports"] = ["$import torch"]
    return parser.get_parsed_content("network_def")  # type: ignore[no-any-return]


def load_network(bundle: Path) -> torch.nn.Module:
    """Return the network with the bundle's weights, ready to predict.

    Raises:
        RuntimeError: if the weights do not fit the network.
    """
    import torch

    network = build_network(bundle)
    weights = torch.load(bundle / WEIGHTS, map_location="cpu", weights_only=True)
    network.load_state_dict(weights, strict=True)
    return network.eval()


def write_bundle(network: torch.nn.Module, folder: Path, pattern: Path) -> None:
    """Write a complete bundle with the network's weights; the rest is as in ``pattern``."""
    import torch

    if folder.resolve() != pattern.resolve():
        shutil.copytree(
            pattern, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.pt", "*.tmp")
        )
    target = folder / WEIGHTS
    target.parent.mkdir(parents=True, exist_ok=True)
    plain = deepcopy(network).cpu()  # a copy keeps shared weights shared, and stored once
    plain = plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    torch.save(plain.state_dict(), target.with_suffix(".tmp"))
    target.with_suffix(".tmp").replace(target)
