"""What of a bundle's inference configuration is used, brought into a form of our own.

Readers, writers and devices are ours. What stands before the inversion works on the network's
grid, what stands behind it on the grid of the image; the inversion itself is ours too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from segmentation.bundles.code import TARGET, carried_code
from segmentation.bundles.folder import Bundle, BundleError

NETWORK, BEFORE, AFTER = "network_def", "hilum_before", "hilum_after"
PREPROCESSING, INFERER = "preprocessing", "inferer"
ASKED = "everything_labels"
OURS = re.compile(
    r"(LoadImage|EnsureChannelFirst|AddChannel|AsChannelFirst|SaveImage|ToDevice|VistaP)"
)
REMOVED = {"SwinUNETR": ("img_size",)}
"""Arguments of old configurations that MONAI no longer takes and that change nothing."""
ORIENT = "segmentation.bundles.orientation.Orient"
ORIENTATIONS = ("Orientationd", "OrientationD", "OrientationDict")
NAMES = re.compile(r"@(\w+)")
WHOLE = re.compile(r"^\$?\s*@(\w+)\s*$")

WINDOW_KEYS = (
    "roi_size",
    "overlap",
    "mode",
    "sigma_scale",
    "padding_mode",
    "cval",
    "sw_batch_size",
)

Config = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How a bundle runs.

    Attributes:
        config: the entries that are used; the inversion splits postprocessing in two lists.
        image_keys: what preprocessing calls the images it reads, in order.
        soft: whether probabilities, rather than labels, return to the grid of the image.
        code: what goes beyond plain settings, in words; empty when nothing does.
    """

    config: Config
    image_keys: tuple[str, ...]
    soft: bool
    code: tuple[str, ...]


def read_recipe(bundle: Bundle) -> Recipe:
    """Return how ``bundle`` runs.

    Raises:
        BundleError: if its configuration lacks a network, or the preparation of the image.
    """
    config = deepcopy(bundle.config)
    if NETWORK not in config and NETWORK not in str(config.get("network", NETWORK)):
        config[NETWORK] = config["network"]
    needed = (PREPROCESSING,) if bundle.script else (NETWORK, PREPROCESSING)
    for name in needed:
        if name not in config:
            raise BundleError(
                f"{bundle.config_file.name} of {bundle.name} has no {name}",
                "Only bundles for inference can be run",
            )
    if len(bundle.inputs.get("spatial_shape", ())) == 2:
        raise BundleError(
            f"the bundle {bundle.name} looks at pictures, not at volumes",
            "Only bundles for 3D images can be run",
        )
    keys = _image_keys(config)
    before, after = _split(config)
    config |= {BEFORE: before, AFTER: after, "device": "$torch.device('cpu')"}
    config[INFERER] = _windows(config)
    if any("Vista" in _name(step) for step in _transforms(config, "postprocessing")):
        before.append({TARGET: "AsDiscreted", "keys": "pred", "argmax": True})
    roots = [name for name in (NETWORK, ASKED) if name in config]
    used = _closed(config, [*roots, PREPROCESSING, INFERER, BEFORE, AFTER])
    plain = {name: _ours(config[name]) for name in used}
    soft = not any(_name(step).startswith("AsDiscrete") for step in before)
    code = carried_code(plain)
    if code and "imports" in config:
        plain["imports"] = config["imports"]
    return Recipe(_with_our_turning(plain), keys, soft, code)


def _windows(config: Config) -> Config:
    """Return how windows are laid, whichever inferer is told to lay them: they are laid by us."""
    told = _found(config, config.get(INFERER, {}))
    kept = {key: told[key] for key in WINDOW_KEYS if key in told}
    return {TARGET: "SlidingWindowInferer", **kept} if "roi_size" in kept else {}


def _with_our_turning(value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {key: _with_our_turning(item) for key, item in value.items()}
        return found | {TARGET: ORIENT} if _name(value) in ORIENTATIONS else found
    return [_with_our_turning(item) for item in value] if isinstance(value, list) else value


def _name(step: Any) -> str:
    return str(step.get(TARGET, "")).rpartition(".")[2] if isinstance(step, Mapping) else ""


def _found(config: Config, value: Any) -> Any:
    """Return what a text that is nothing but a reference stands for."""
    while isinstance(value, str) and (match := WHOLE.match(value)) and match[1] in config:
        value = config[match[1]]
    return value


def _transforms(config: Config, name: str) -> list[Any]:
    whole = _found(config, config.get(name, {}))
    steps = whole.get("transforms", []) if isinstance(whole, Mapping) else whole
    found = _found(config, steps)
    return list(found) if isinstance(found, list) else []


def _image_keys(config: Config) -> tuple[str, ...]:
    for step in _transforms(config, PREPROCESSING):
        if _name(step).startswith("LoadImage"):
            keys = _found(config, step.get("keys", "image"))
            listed = keys if isinstance(keys, list) else [keys]
            return tuple(str(_found(config, key)) for key in listed)
    return ("image",)


def _split(config: Config) -> tuple[list[Any], list[Any]]:
    """Return the steps of postprocessing before and behind the (first) inversion."""
    steps = [s for s in _transforms(config, "postprocessing") if not OURS.match(_name(s))]
    steps = [s for s in steps if isinstance(s, Mapping) and not s.get("_disabled_")]
    places = [n for n, step in enumerate(steps) if _name(step).startswith("Invert")]
    cut = places[0] if places else len(steps)
    after = [s for n, s in enumerate(steps[cut:], cut) if n not in places]
    return steps[:cut], _without_merging(steps[:cut] + after, after)


def _without_merging(steps: list[Any], after: list[Any]) -> list[Any]:
    """Drop functions that merge thresholded channels: the channels keep their names instead."""
    cut = any(_name(s).startswith("AsDiscrete") and s.get("threshold") is not None for s in steps)
    return [s for s in after if not (cut and _name(s).startswith("Lambda"))]


def _closed(config: Config, roots: list[str]) -> list[str]:
    """Return the entries that ``roots`` need, themselves among them."""
    found: list[str] = []
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name not in config:
            continue
        found.append(name)
        waiting += NAMES.findall(str(_ours(config[name])))
    return found


def _ours(value: Any) -> Any:
    """Return ``value`` without what Hilum does itself, and without removed arguments."""
    if isinstance(value, Mapping):
        gone = (*REMOVED.get(_name(value), ()), *(_devices(value)))
        return {key: _ours(item) for key, item in value.items() if key not in gone}
    if isinstance(value, list):
        return [_ours(item) for item in value if not OURS.match(_name(item))]
    return value


def _devices(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments by which a step would choose where it runs."""
    return ("device",) if _name(value).startswith("EnsureType") else ()
