"""Whether a bundle's configuration is plain settings or carries code that a person must trust.

A configuration may name any Python callable and hold any expression. What is on the lists here
builds networks and transforms and nothing else; all the rest needs consent.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

TARGET = "_target_"
PLAIN_KEYS = (TARGET, "_disabled_", "_desc_")
REFERENCE = re.compile(r"@\w+(?:(?:#|::)\w+)*")

NETWORKS = frozenset(
    [
        "UNet",
        "BasicUNet",
        "BasicUNetPlusPlus",
        "DynUNet",
        "SegResNet",
        "SegResNetDS",
        "SegResNetDS2",
        "SegResNetVAE",
        "UNETR",
        "SwinUNETR",
        "VNet",
        "AttentionUnet",
        "HighResNet",
        "DiNTS",
        "TopologyInstance",
        "TopologyConstruction",
        "AHNet",
        "AutoEncoder",
        "MedNeXt",
        "VISTA3D",
        "vista3d132",
        "SkipConnection",
        "SubpixelDownsample",
        "SubpixelUpsample",
        "Sequential",
        "Identity",
        "Conv3d",
        "ConvTranspose3d",
        "Softmax",
        "Sigmoid",
        "ReLU",
        "PReLU",
        "LeakyReLU",
    ]
)
INFERERS = frozenset(["SlidingWindowInferer", "SlidingWindowInfererAdapt", "SimpleInferer"])
_TRANSFORMS = [
    "Compose",
    "Activations",
    "AsDiscrete",
    "Invert",
    "KeepLargestConnectedComponent",
    "RemoveSmallObjects",
    "FillHoles",
    "LabelFilter",
    "LabelToMask",
    "MeanEnsemble",
    "VoteEnsemble",
    "Orientation",
    "Spacing",
    "SpatialResample",
    "Resize",
    "Zoom",
    "Flip",
    "Transpose",
    "Rotate90",
    "SpatialPad",
    "BorderPad",
    "DivisiblePad",
    "ResizeWithPadOrCrop",
    "CenterSpatialCrop",
    "SpatialCrop",
    "CropForeground",
    "ScaleIntensity",
    "ScaleIntensityRange",
    "ScaleIntensityRangePercentiles",
    "NormalizeIntensity",
    "ShiftIntensity",
    "StdShiftIntensity",
    "AdjustContrast",
    "ClipIntensityPercentiles",
    "ThresholdIntensity",
    "MaskIntensity",
    "HistogramNormalize",
    "GaussianSmooth",
    "MedianSmooth",
    "GaussianSharpen",
    "SavitzkyGolaySmooth",
    "EnsureType",
    "CastToType",
    "ToTensor",
    "SqueezeDim",
    "RepeatChannel",
    "SplitDim",
    "ConcatItems",
    "CopyItems",
    "DeleteItems",
    "SelectItems",
    "Identity",
    "Lambda",
    "LoadImage",
    "EnsureChannelFirst",
    "AddChannel",
    "AsChannelFirst",
    "SaveImage",
    "ToDevice",
    "VistaPreTransform",
    "VistaPostTransform",
]
TRANSFORMS = frozenset(name + end for name in _TRANSFORMS for end in ("", "d", "D", "Dict"))
PLACES = (
    "monai.networks.nets",
    "monai.networks.blocks",
    "monai.transforms",
    "monai.inferers",
    "monai.apps.vista3d.transforms",
    "torch.nn",
)
FUNCTIONS = frozenset(
    [
        "len",
        "range",
        "list",
        "tuple",
        "dict",
        "set",
        "sorted",
        "min",
        "max",
        "sum",
        "abs",
        "int",
        "float",
        "bool",
        "str",
        "round",
    ]
)
METHODS = frozenset(
    [
        "clamp",
        "min",
        "max",
        "mean",
        "std",
        "sum",
        "abs",
        "sqrt",
        "float",
        "long",
        "int",
        "bool",
        "argmax",
        "any",
        "all",
        "squeeze",
        "unsqueeze",
        "permute",
        "flip",
        "softmax",
        "sigmoid",
        "shape",
        "ndim",
        "size",
        "type",
        "astype",
        "get",
        "keys",
        "values",
        "items",
    ]
)
_TORCH = "float16 float32 float64 uint8 int8 int16 int32 int64 bool long float int device where"
CHAINS = frozenset(
    [f"torch.{name}" for name in f"{_TORCH} nan_to_num clamp argmax softmax sigmoid stack".split()]
    + [
        f"{n}.{t}"
        for n in ("np", "numpy")
        for t in ["float32", "float64", "uint8", "int16", "int32"]
    ]
    + ["torch.cuda.is_available", "torch.nn.Sequential", "copy.deepcopy"]
    + [f"monai.networks.nets.{name}" for name in NETWORKS]
)
NODES = (
    ast.Expression,
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.comprehension,
    ast.UnaryOp,
    ast.BinOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Subscript,
    ast.Slice,
    ast.Lambda,
    ast.arguments,
    ast.arg,
    ast.Call,
    ast.keyword,
    ast.Name,
    ast.Attribute,
    ast.Load,
    ast.Store,
    ast.unaryop,
    ast.operator,
    ast.boolop,
    ast.cmpop,
)


def carried_code(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what in ``config`` goes beyond plain settings, in words; empty when nothing does."""
    return tuple(dict.fromkeys(_findings(config)))


def _findings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            hidden = str(key).startswith("_") and str(key).endswith("_")
            if hidden and key not in PLAIN_KEYS:
                yield f"it uses the setting {key}"
            if key == TARGET and not is_plain_target(item):
                yield f"it calls {str(item)[:80]}"
            yield from _findings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _findings(item)
    elif isinstance(value, str):
        if value.startswith("%"):
            yield f"it takes settings from another place ({value[:80]})"
        elif value.startswith("$") and not is_plain_expression(value[1:]):
            yield f"it evaluates {value[1:81].strip()}"


def is_plain_target(target: object) -> bool:
    """Tell whether a ``_target_`` is a network, transform or inferer on the lists."""
    if not isinstance(target, str):
        return False
    place, _, name = target.rpartition(".")
    if name not in NETWORKS | TRANSFORMS | INFERERS:
        return False
    return not place or any(place == known or place.startswith(f"{known}.") for known in PLACES)


def is_plain_expression(text: str) -> bool:
    """Tell whether an expression only computes with numbers, arrays and references."""
    try:
        tree = ast.parse(REFERENCE.sub("reference_", text).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _stored(n)}
    return all(_plain_node(node, own) for node in ast.walk(tree))


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _plain_node(node: ast.AST, own: set[str]) -> bool:
    if not isinstance(node, NODES):
        return False
    if isinstance(node, ast.Name):
        roots = ("reference_", "torch", "np", "numpy", "monai", "copy")
        return node.id in own | FUNCTIONS or node.id in roots
    if isinstance(node, ast.Attribute):
        chain = _chain(node)
        inner = any(known.startswith(f"{chain}.") for known in CHAINS)
        rooted = chain.split(".")[0] in ("torch", "np", "numpy", "monai", "copy")
        return chain in CHAINS or inner if rooted else node.attr in METHODS
    return True


def _chain(node: ast.AST) -> str:
    """Return ``a.b.c`` of an attribute; what does not begin with a name begins with "?"."""
    if isinstance(node, ast.Attribute):
        return f"{_chain(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"
