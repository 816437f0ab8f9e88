"""A bundle in a process of its own: ``python -m segmentation.bundles.worker FOLDER``.

FOLDER holds request.json and the images as .npy files. Progress goes to standard output, a JSON
line each; the labels are left in FOLDER as labels.npy beside result.json. Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from segmentation.bundles.cost import estimate
from segmentation.bundles.folder import BundleError, read_bundle
from segmentation.bundles.inference import Model, Trust, best_device, load_model, run_model
from segmentation.volume import ImageGeometry, LabelMap, Volume


def main(folder: Path) -> int:
    """Do what request.json in ``folder`` asks; return the exit code."""
    warnings.simplefilter("ignore")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what a bundle prints is no answer of ours

    def tell(record: Mapping[str, Any]) -> None:
        out.write(json.dumps(record) + "\n")

    try:
        _work(folder, json.loads((folder / "request.json").read_text("utf-8")), tell)
    except MemoryError:
        tell({"error": "the network needs more memory than this machine has free", "memory": True})
    except BundleError as error:
        tell({"error": str(error), "remedy": error.remedy})
    except Exception as error:  # the last resort: code of a bundle may raise anything
        if "out of memory" in str(error).lower() or "can't allocate" in str(error).lower():
            tell({"error": "there is not enough memory for the network", "memory": True})
        else:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            tell({"error": f"the network stopped ({text[:300]})"})
    return 0


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: its end of standard input closes."""
    sys.stdin.buffer.read()
    os._exit(1)


def _work(folder: Path, request: Mapping[str, Any], tell: Any) -> None:
    tell({"fraction": 0.0, "message": "starting"})
    _set_threads()
    device = request.get("device") or best_device()
    trust = Trust(**request["trust"])
    tell({"fraction": 0.01, "message": "reading the weights"})
    bundle = read_bundle(Path(request["bundle"]))
    grid = ImageGeometry.from_json(request["geometry"])
    model = load_model(bundle, trust, device)
    cost = estimate(model, grid, len(request["quantities"]))
    if device != "cpu" and not request.get("device") and cost.memory_bytes > _free_on_gpu():
        model = load_model(bundle, trust, "cpu")  # slower, and it fits
        cost = estimate(model, grid, len(request["quantities"]))
    tell({"estimate": asdict(cost)})
    if request["estimate_only"]:
        return
    free = request["memory_bytes"] if model.device == "cpu" else _free_on_gpu()
    if cost.memory_bytes > free:
        needed = f"this needs about {cost.memory_bytes / 1e9:.1f} GB of memory"
        tell({"error": f"{needed} and {free / 1e9:.1f} GB are free", "memory": True})
        return
    volumes = [
        Volume(np.load(folder / f"{n}.npy", mmap_mode="r", allow_pickle=False), grid, quantity)
        for n, quantity in enumerate(request["quantities"])
    ]
    _leave(folder, _run(model, volumes, tell), model.device)
    tell({"done": True})


def _free_on_gpu() -> int:
    import torch

    return int(torch.cuda.mem_get_info()[0])


def _run(model: Model, volumes: list[Volume], tell: Any) -> LabelMap:
    def progress(fraction: float, message: str = "") -> None:
        tell({"fraction": fraction, "message": message})

    return run_model(model, volumes, progress)


def _leave(folder: Path, labels: LabelMap, device: str) -> None:
    np.save(folder / "labels.npy", labels.array, allow_pickle=False)
    record = {
        "labels": {str(v): asdict(label) for v, label in labels.labels.items()},
        "findings": [finding.to_json() for finding in labels.findings],
        "device": device,
    }
    (folder / "result.json").write_text(json.dumps(record), "utf-8")


def _set_threads() -> None:
    """Use one thread per core; more than that slows a network down on a CPU."""
    import psutil
    import torch

    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(max(1, psutil.cpu_count(logical=False) or 1))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
