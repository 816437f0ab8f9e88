"""MONAI bundles made by hand: the configurations of well-known ones, with random weights."""

import json
from pathlib import Path
from typing import Any

from segmentation.bundles.recipe import read_recipe

DEVICE = "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"


def step(name: str, **settings: Any) -> dict[str, Any]:
    return {"_target_": name, **settings}


def spacing(*pixdim: float, keys: Any = "image") -> list[dict[str, Any]]:
    return [
        step("Orientationd", keys=keys, axcodes="RAS"),
        step("Spacingd", keys=keys, pixdim=list(pixdim), mode="bilinear"),
    ]


def window(low: float, high: float) -> dict[str, Any]:
    return step(
        "ScaleIntensityRanged", keys="image", a_min=low, a_max=high, b_min=0, b_max=1, clip=True
    )


SOFT = (
    step("Activationsd", keys="pred", softmax=True),
    step(
        "Invertd",
        keys="pred",
        transform="@preprocessing",
        orig_keys="image",
        nearest_interp=False,
        to_tensor=True,
    ),
    step("AsDiscreted", keys="pred", argmax=True),
    step("SaveImaged", keys="pred", output_dir="@output_dir"),
)
HARD = (SOFT[0], SOFT[2], SOFT[1] | {"nearest_interp": True}, SOFT[3])


def names(count: int) -> dict[str, str]:
    return {"0": "background", **{str(n): f"structure {n}" for n in range(1, count)}}


def write_bundle(
    folder: Path,
    network: Any,
    prepare: list[Any],
    post: Any = SOFT,
    outputs: dict[str, str] | None = None,
    inputs: dict[str, str] | None = None,
    modality: str = "CT",
    keys: Any = "image",
    inferer: Any = None,
    more: dict[str, Any] | None = None,
    ending: str = "json",
) -> Path:
    """Write configuration and metadata of a bundle without weights; return its folder."""
    config = {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "datalist": "$list(sorted(glob.glob(@bundle_root + '/*.nii.gz')))",
        "device": DEVICE,
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": step(
            "Compose",
            transforms=[
                step("LoadImaged", keys=keys),
                step("EnsureChannelFirstd", keys=keys),
                *prepare,
            ],
        ),
        "inferer": inferer
        or step("SlidingWindowInferer", roi_size=[32, 32, 32], sw_batch_size=1, overlap=0.25),
        "postprocessing": step("Compose", transforms=list(post)),
        "checkpointloader": step(
            "CheckpointLoader", load_path="$@bundle_root + '/models/model.pt'"
        ),
        "run": ["$@evaluator.run()"],
        **(more or {}),
    }
    channels = inputs or {"0": "image"}
    metadata = {
        "version": "0.3.1",
        "name": f"Made after {folder.name}",
        "copyright": "nobody",
        "network_data_format": {
            "inputs": {
                "image": {
                    "modality": modality,
                    "num_channels": len(channels),
                    "spatial_shape": [32, 32, 32],
                    "channel_def": channels,
                }
            },
            "outputs": {
                "pred": {
                    "num_channels": len(outputs or names(2)),
                    "channel_def": outputs or names(2),
                }
            },
        },
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    text = json.dumps(config, indent=2)  # which is YAML too
    (folder / "configs" / f"inference.{ending}").write_text(text)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def give_weights(folder: Path, wrapped: bool = False) -> None:
    """Write random weights that fit the bundle's network."""
    import torch

    from segmentation.bundles.folder import Bundle
    from segmentation.bundles.inference import _parser

    torch.manual_seed(4)
    bundle = Bundle(folder, json.loads((folder / "configs" / "metadata.json").read_text()))
    network = _parser(bundle, read_recipe(bundle)).get_parsed_content("network_def")
    state = network.state_dict()
    torch.save({"model": state} if wrapped else state, folder / "models" / "model.pt")


def threshold_bundle(folder: Path, prepare: list[Any] | None = None, **settings: Any) -> Path:
    """Write a bundle whose network is a threshold at half of the prepared range."""
    import torch

    network = step("torch.nn.Conv3d", in_channels=1, out_channels=2, kernel_size=1)
    prepare = prepare or [*spacing(1.5, 1.5, 2.0), window(-100, 300)]
    write_bundle(folder, network, prepare, **settings)
    weight = torch.tensor([0.0, 40.0]).reshape(2, 1, 1, 1, 1)
    state = {"weight": weight, "bias": torch.tensor([0.0, -20.0])}
    torch.save(state, folder / "models" / "model.pt")
    return folder
