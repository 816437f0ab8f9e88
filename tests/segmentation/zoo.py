"""The networks and steps of bundles of the MONAI Model Zoo, as their configurations have them.

The channels are thinned where a configuration names them, so that a build takes no time.
"""

from pathlib import Path
from typing import Any

from tests.segmentation.made_bundles import HARD, SOFT, names, spacing, step, window, write_bundle

WHOLE_BODY = {
    "0": "background",
    "1": "spleen",
    "2": "kidney_right",
    "3": "kidney_left",
    "18": "vertebrae_L5",
    "104": "urinary_bladder",
}
PLAIN_UP = {"blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1], "dropout_prob": 0.2}


def spleen(folder: Path) -> Path:
    network = step(
        "UNet",
        spatial_dims=3,
        in_channels=1,
        out_channels=2,
        channels=[16, 32, 64, 128, 256],
        strides=[2, 2, 2, 2],
        num_res_units=2,
        norm="batch",
    )
    prepare = [*spacing(1.5, 1.5, 2.0), window(-57, 164), step("EnsureTyped", keys="image")]
    return write_bundle(folder, network, prepare, outputs={"0": "background", "1": "spleen"})


def whole_body(folder: Path) -> Path:
    network = step(
        "SegResNet", spatial_dims=3, in_channels=1, out_channels=105, init_filters=8, **PLAIN_UP
    )
    prepare = [
        step("EnsureTyped", keys="@image_key"),
        step("Orientationd", keys="@image_key", axcodes="RAS"),
        step("Spacingd", keys="@image_key", pixdim="@pixdim", mode="bilinear"),
        step("NormalizeIntensityd", keys="@image_key", nonzero=True),
        step("ScaleIntensityd", keys="@image_key", minv=-1.0, maxv=1.0),
    ]
    inferer = step(
        "SlidingWindowInferer",
        roi_size=[32, 32, 32],
        sw_batch_size="@displayable_configs#sw_batch_size",
        overlap="@displayable_configs#sw_overlap",
        padding_mode="replicate",
        mode="gaussian",
        device="$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    )
    more = {
        "displayable_configs": {"highres": True, "sw_overlap": 0.25, "sw_batch_size": 1},
        "image_key": "image",
        "pixdim": "$[1.5, 1.5, 1.5] if @displayable_configs#highres else [3.0, 3.0, 3.0]",
    }
    return write_bundle(
        folder,
        network,
        prepare,
        HARD,
        WHOLE_BODY,
        keys="@image_key",
        inferer=inferer,
        more=more,
    )


def brats(folder: Path) -> Path:
    network = step("SegResNet", in_channels=4, out_channels=3, init_filters=16, **PLAIN_UP)
    prepare = [step("NormalizeIntensityd", keys="image", nonzero=True, channel_wise=True)]
    post = (
        step("Activationsd", keys="pred", sigmoid=True),
        SOFT[1] | {"meta_keys": "pred_meta_dict"},
        step("AsDiscreted", keys="pred", threshold=0.5),
        step(
            "Lambdad",
            keys="pred",
            func="$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, 2))",
        ),
        SOFT[3],
    )
    outputs = {"0": "Tumor core", "1": "Whole tumor", "2": "Enhancing tumor"}
    inputs = {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}
    return write_bundle(folder, network, prepare, post, outputs, inputs, "MR")


def unest(folder: Path) -> Path:
    """Carries its network as code; here a small one of our own stands in for it."""
    network = step("scripts.networks.unest.UNesT", in_channels=1, out_channels=4)
    prepare = [
        step("AddChanneld", keys="image"),
        *spacing(1.0, 1.0, 1.0),
        window(-175, 250),
        step("EnsureTyped", keys="image"),
    ]
    write_bundle(folder, network, prepare, outputs=names(4))
    code = folder / "scripts" / "networks"
    code.mkdir(parents=True)
    (folder / "scripts" / "__init__.py").touch()
    (code / "__init__.py").touch()
    (code / "unest.py").write_text(
        "import torch\n\n\n"
        "class UNesT(torch.nn.Conv3d):\n"
        "    def __init__(self, in_channels, out_channels):\n"
        "        super().__init__(in_channels, out_channels, 3, padding=1)\n"
    )
    return folder


def vista3d(folder: Path) -> Path:
    network = "$monai.networks.nets.vista3d132(in_channels=@input_channels, encoder_embed_dim=8)"
    steps = [
        step("LoadImaged", keys="@image_key", reader="NibabelGPUReader", image_only=True),
        step("EnsureChannelFirstd", keys="@image_key"),
        step("EnsureTyped", keys="@image_key", device="@device", track_meta=True),
        step("Spacingd", keys="@image_key", pixdim="@resample_spacing", mode="bilinear"),
        step("Orientationd", keys="@image_key", axcodes="RAS"),
        step("CastToTyped", keys="@image_key", dtype="$torch.float32"),
    ]
    more = {
        "image_key": "image",
        "input_channels": 1,
        "everything_labels": "$list(set([i + 1 for i in range(132)]) - set([2, 16]))[:3]",
        "resample_spacing": [1.5, 1.5, 1.5],
        "preprocessing_transforms": steps,
        "preprocessing": step("Compose", transforms="$@preprocessing_transforms "),
    }
    inferer = step("scripts.inferer.Vista3dInferer", roi_size="@patch_size", overlap=0.3)
    more["patch_size"] = [32, 32, 32]
    post = (
        step("monai.apps.vista3d.transforms.VistaPostTransformd", keys="pred"),
        SOFT[1] | {"transform": "$copy.deepcopy(@preprocessing)", "nearest_interp": True},
        step("Lambdad", keys="pred", func="$lambda x: torch.nan_to_num(x, nan=255)"),
        SOFT[3],
    )
    outputs = {"0": "background", "1": "liver", "3": "spleen", "4": "pancreas"}
    return write_bundle(folder, network, [], post, outputs, inferer=inferer, more=more)


def prostate(folder: Path) -> Path:
    network = step(
        "UNet",
        spatial_dims=3,
        in_channels=1,
        out_channels=3,
        channels=[4, 8, 16, 32, 64, 128],
        strides=[2, 2, 2, 2, 2],
        num_res_units=4,
        norm="batch",
        act="prelu",
        dropout=0.15,
    )
    prepare = [
        *spacing(0.5, 0.5, 0.5),
        step("ScaleIntensityd", keys="image", minv=0, maxv=1),
        step("NormalizeIntensityd", keys="image"),
        step("EnsureTyped", keys="image"),
    ]
    post = (
        SOFT[2],
        step("KeepLargestConnectedComponentd", keys="pred", applied_labels=[1, 2]),
        SOFT[1],
        SOFT[3],
    )
    outputs = {"0": "background", "1": "central gland", "2": "peripheral zone"}
    return write_bundle(folder, network, prepare, post, outputs, modality="MR")


def renal(folder: Path) -> Path:
    """Three phases that code of the bundle joins."""
    keys = ["artery", "vein", "excret"]
    network = step(
        "SegResNet",
        in_channels=3,
        out_channels=6,
        init_filters=8,
        upsample_mode="deconv",
        norm_name="group",
        **PLAIN_UP,
    )
    prepare = [
        step("Orientationd", keys=keys, axcodes="LPS"),
        step("Spacingd", keys=keys, pixdim=[0.8, 0.8, 0.8], mode="bilinear"),
        step("scripts.my_transforms.ConcatImages", keys_merge=keys, keys_out="image"),
        window(-1000, 1000),
        step("EnsureTyped", keys="image"),
    ]
    post = (
        SOFT[1] | {"transform": "$@preprocessing", "orig_keys": "artery", "device": "@device"},
        step("Activationsd", keys="pred", softmax=False, sigmoid=True),
        SOFT[1],
        step("AsDiscreted", keys="pred", argmax=False, threshold=0.5),
        SOFT[3],
    )
    outputs = {str(n): name for n, name in enumerate(("artery", "vein", "cyst", "a", "b", "c"))}
    inputs = {str(n): name for n, name in enumerate(keys)}
    write_bundle(folder, network, prepare, post, outputs, inputs, keys=keys)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "__init__.py").touch()
    (folder / "scripts" / "my_transforms.py").write_text(
        "import torch\n\n\n"
        "class ConcatImages:\n"
        "    def __init__(self, keys_merge, keys_out):\n"
        "        self.keys, self.out = keys_merge, keys_out\n\n"
        "    def __call__(self, data):\n"
        "        joined = torch.cat([data[key] for key in self.keys], 0)\n"
        "        return {**data, self.out: joined}\n"
    )
    return folder


def pediatric(folder: Path) -> Path:
    network = step(
        "monai.networks.nets.DynUNet",
        spatial_dims="@spatial_dims",
        in_channels="@input_channels",
        out_channels=4,
        kernel_size=[3] * 6,
        strides=[1, 2, 2, 2, 2, [2, 2, 1]],
        upsample_kernel_size=[2, 2, 2, 2, [2, 2, 1]],
        norm_name="instance",
        deep_supervision=False,
        res_block=True,
        filters=[4, 8, 16, 16, 16, 16],
    )
    prepare = [
        *spacing(1.5, 1.5, 3.0),
        window(-250, 400),
        step("CropForegroundd", keys=["image"], source_key="image", mode=["minimum"]),
        step("EnsureTyped", keys="image"),
        step("CastToTyped", keys="image", dtype="$torch.float32"),
    ]
    more: dict[str, Any] = {
        "input_channels": 1,
        "spatial_size": [96, 96, 96],
        "spatial_dims": "$len(@spatial_size)",
    }
    return write_bundle(folder, network, prepare, outputs=names(4), more=more, ending="yaml")


def swin_unetr(folder: Path) -> Path:
    network = step(
        "SwinUNETR",
        spatial_dims=3,
        img_size=96,
        in_channels=1,
        out_channels=14,
        feature_size=12,
        use_checkpoint=False,
    )
    prepare = [*spacing(1.5, 1.5, 2.0), window(-175, 250), step("EnsureTyped", keys="image")]
    inferer = step("SlidingWindowInferer", roi_size=[64, 64, 64], sw_batch_size=4, overlap=0.5)
    return write_bundle(folder, network, prepare, outputs=names(14), inferer=inferer)


def dints(folder: Path) -> Path:
    """Its configuration insists on CUDA, so that only its TorchScript runs."""
    more = {
        "arch_ckpt": "$torch.load(@bundle_root + '/models/search_code.pt', map_location='cuda')",
        "dints_space": step(
            "monai.networks.nets.TopologyInstance",
            arch_code=["$@arch_ckpt['arch_code_a']", "$@arch_ckpt['arch_code_c']"],
            device="$torch.device('cuda')",
        ),
    }
    network = step("monai.networks.nets.DiNTS", dints_space="@dints_space", in_channels=1)
    prepare = [*spacing(1, 1, 1), window(-87, 199), step("EnsureTyped", keys="image")]
    return write_bundle(folder, network, prepare, outputs=names(3), more=more, ending="yaml")


PLAIN = (spleen, whole_body, brats, vista3d, prostate, pediatric, swin_unetr)
CODED = (unest, renal)
