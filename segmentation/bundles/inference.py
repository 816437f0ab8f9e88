"""Runs a bundle on an image: build, load strictly, prepare, slide, bring back, name.

This is the only module that builds a network, and it is meant for a process of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segmentation.bundles.folder import Bundle, BundleError
from segmentation.bundles.labels import channel_names, describe, labels_of, overlapping
from segmentation.bundles.placing import Placement, Placer, nearest, placement
from segmentation.bundles.prompted import prompted, wants_prompts
from segmentation.bundles.recipe import (
    AFTER,
    ASKED,
    BEFORE,
    INFERER,
    NETWORK,
    PREPROCESSING,
    Recipe,
    read_recipe,
)
from segmentation.bundles.window import Window, slide
from segmentation.contract import Finding, Progress, Severity
from segmentation.volume import LPS_TO_RAS, Array, Label, LabelMap, Volume
from segmentation.wording import counted

if TYPE_CHECKING:
    import torch

    Rows = Iterator[tuple[int, torch.Tensor]]

CHANNELS = 32  # that may overlap
POINTWISE = ("Activations", "AsDiscrete", "CastToType", "EnsureType")
WINDOW = (96, 96, 96)
CPU_BATCH = 2
SHARES = 20  # of progress: one for loading, one for preparing, the rest for the network


@dataclass(frozen=True)
class Trust:
    """What a person allowed: code that the bundle carries, weights that run code when read."""

    code: bool = False
    pickles: bool = False


@dataclass(frozen=True)
class Model:
    """A bundle that is ready to run on ``device``.

    ``asked`` are the classes behind the channels of a network that answers prompts.
    """

    bundle: Bundle
    recipe: Recipe
    network: torch.nn.Module
    prepare: Callable[[dict[str, Any]], dict[str, Any]]
    window: Window
    before: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...]
    after: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...]
    device: str
    asked: tuple[int, ...] = ()


def best_device() -> str:
    """Return "cuda" where there is a GPU that works, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_model(bundle: Bundle, trust: Trust, device: str = "cpu") -> Model:
    """Build a bundle's network and load its weights, all of them.

    Raises:
        BundleError: if consent is lacking, the network cannot be built, or the weights are
            damaged or belong to another network.
    """
    recipe = read_recipe(bundle)
    if recipe.code and not trust.code:
        raise BundleError(
            f"the bundle {bundle.name} carries code of its own: {'; '.join(recipe.code[:3])}",
            "Allow it only if you trust where it comes from",
        )
    parser = _parser(bundle, recipe)
    network = _network(bundle, recipe, parser, trust).eval()
    asked = _asked(bundle, recipe, parser) if wants_prompts(network) else ()
    network = (prompted(network, asked) if asked else network).to(device)
    if device == "cpu":
        import torch

        network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return Model(
        bundle,
        recipe,
        network,
        _parsed(bundle, parser, PREPROCESSING),
        _window(bundle, parser, device),
        tuple(_parsed(bundle, parser, BEFORE)),
        tuple(_parsed(bundle, parser, AFTER)),
        device,
        asked,
    )


def _asked(bundle: Bundle, recipe: Recipe, parser: Any) -> tuple[int, ...]:
    """Return the classes that a network is asked for: those of the configuration, or all."""
    named = _parsed(bundle, parser, ASKED) if ASKED in recipe.config else None
    classes = sorted(int(n) for n in named or channel_names(bundle.outputs) if int(n) > 0)
    if not classes:
        raise BundleError(f"{bundle.name} does not tell which structures it knows")
    return tuple(classes)


def _parser(bundle: Bundle, recipe: Recipe) -> Any:
    from monai.bundle import ConfigParser

    parser = ConfigParser({**recipe.config, "bundle_root": str(bundle.folder)})
    if recipe.code:
        sys.path.insert(0, str(bundle.folder))
        parser.get_parsed_content("imports", default=None)
    return parser


def _parsed(bundle: Bundle, parser: Any, name: str) -> Any:
    try:
        return parser.get_parsed_content(name)
    except Exception as error:  # whatever a configuration can do wrong
        cause = error.__cause__ or error
        raise BundleError(
            f"the {name.removeprefix('hilum_')} of {bundle.name} cannot be built "
            f"({' '.join(str(cause).split())[:200]})",
            "The bundle may need another version of MONAI or a package that is not installed",
        ) from error


def _network(bundle: Bundle, recipe: Recipe, parser: Any, trust: Trust) -> torch.nn.Module:
    """Return the network of the configuration, or else the TorchScript program."""
    script = bundle.script
    if NETWORK not in recipe.config:
        return _scripted(bundle, trust)
    try:
        network: torch.nn.Module = _parsed(bundle, parser, NETWORK)
    except BundleError:
        if script is None:
            raise
        return _scripted(bundle, trust)
    if bundle.weights == script:
        return _scripted(bundle, trust)
    load_strictly(network, read_weights(bundle.weights, trust.pickles), bundle.weights.name)
    return network


def _scripted(bundle: Bundle, trust: Trust) -> torch.nn.Module:
    import torch

    if not trust.code:
        raise BundleError(
            f"the network of {bundle.name} is a program (TorchScript)",
            "Allow it only if you trust where it comes from",
        )
    try:
        script: torch.nn.Module = torch.jit.load(str(bundle.script), "cpu")  # type: ignore[no-untyped-call]
        return script
    except (RuntimeError, ValueError) as error:
        raise BundleError(f"models/model.ts of {bundle.name} is damaged") from error


def read_weights(path: Path, pickles: bool = False) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a weight file by name; nothing in it is run unless ``pickles``.

    Raises:
        BundleError: if it is damaged, or holds more than tensors and plain values.
    """
    import pickle

    import torch

    scalar = [np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType, np.dtypes.Float32DType]
    core: Any = np.float64(0).__reduce__()[0]  # rebuilds one number from its bytes
    named: Any = (core, "numpy.core.multiarray.scalar")
    try:
        with torch.serialization.safe_globals([*scalar, core, named]):
            found = torch.load(path, map_location="cpu", weights_only=not pickles)
    except pickle.UnpicklingError as error:
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip()
        if not re.search("global|class|function|reduce|build", reason, re.IGNORECASE):
            raise BundleError(
                f"the weights {path.name} are damaged", "Get the file again"
            ) from error
        raise BundleError(
            f"the weights {path.name} hold more than numbers and could run code when read",
            "Allow old weight files for this bundle only if you trust where it comes from",
        ) from error
    except (RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BundleError(
            f"the weights {path.name} are damaged ({reason})", "Get the file again"
        ) from error
    for key in ("model", "state_dict", "network"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if isinstance(found, torch.nn.Module):
        found = found.state_dict()
    if not isinstance(found, Mapping) or not found:
        raise BundleError(f"the file {path.name} holds no weights", "Get the file again")
    return {re.sub(r"^module\.", "", str(k)): v for k, v in found.items() if hasattr(v, "shape")}


def load_strictly(network: torch.nn.Module, weights: Mapping[str, torch.Tensor], name: str) -> None:
    """Load all weights, or none.

    Raises:
        BundleError: with the count of those that fit, unless every one does.
    """
    own = network.state_dict()
    fitting = sum(k in own and own[k].shape == value.shape for k, value in weights.items())
    if fitting != len(own) or len(weights) != len(own):
        raise BundleError(
            f"the weights {name} belong to another network: {fitting} of its {len(own)} "
            f"tensors fit, and the file has {len(weights)}",
            "Get configuration and weights of the same version",
        )
    network.load_state_dict(dict(weights), strict=True)


def _window(bundle: Bundle, parser: Any, device: str) -> Window:
    inferer = _parsed(bundle, parser, INFERER)
    roi = getattr(inferer, "roi_size", None) or _patch(bundle)
    size = _triple(roi)
    overlap = _triple(getattr(inferer, "overlap", 0.25))
    least = CPU_BATCH if device == "cpu" else 1
    return Window(
        (int(size[0]), int(size[1]), int(size[2])),
        overlap,
        str(getattr(getattr(inferer, "mode", "gaussian"), "value", "gaussian")),  # type: ignore[arg-type]
        float(np.max(getattr(inferer, "sigma_scale", 0.125))),
        str(getattr(getattr(inferer, "padding_mode", "constant"), "value", "constant")),
        float(getattr(inferer, "cval", 0.0)),
        max(least, min(4, int(getattr(inferer, "sw_batch_size", least)))),
    )


def _patch(bundle: Bundle) -> Sequence[int]:
    shape = bundle.inputs.get("spatial_shape", ())
    whole = len(shape) == 3 and all(isinstance(n, int) and n > 0 for n in shape)
    return tuple(shape) if whole else WINDOW


def _triple(value: Any) -> tuple[float, float, float]:
    x, y, z = [value] * 3 if isinstance(value, int | float) else list(value)
    return x, y, z


# Running -----------------------------------------------------------------------------


def run_model(model: Model, volumes: Sequence[Volume], progress: Progress) -> LabelMap:
    """Segment; the result lies on the grid of the first volume.

    Raises:
        BundleError: if preparation fails, or the network does not give labels.
    """
    import torch

    progress(1 / SHARES, "preparing the image")
    with torch.inference_mode():
        image, affine = _prepared(model, volumes)
        grid = tuple(int(n) for n in image.shape[1:])
        place = placement(volumes[0].geometry, affine, grid)
        progress(2 / SHARES, "network")
        made = _Maker(model, place).label(image, _rest(progress))
    labels = _named(model.bundle, made)
    array = np.ascontiguousarray(made.transpose(2, 1, 0))
    findings = _findings(model, labels, array)
    return LabelMap(array, volumes[0].geometry, labels, findings)


def _rest(progress: Progress) -> Progress:
    def later(fraction: float, message: str = "") -> None:
        progress((2 + (SHARES - 2) * fraction) / SHARES, message)

    return later


def as_meta(volumes: Sequence[Volume]) -> Any:
    """Return volumes of one grid as one MONAI image: channels first, index to RAS mm."""
    import torch
    from monai.data import MetaTensor

    stack = np.stack([v.array.transpose(2, 1, 0) for v in volumes]).astype(np.float32)
    affine = torch.as_tensor(LPS_TO_RAS @ volumes[0].geometry.affine)
    meta = {"original_channel_dim": 0, "filename_or_obj": "image"}
    return MetaTensor(torch.as_tensor(stack), affine=affine, meta=meta)


def _prepared(model: Model, volumes: Sequence[Volume]) -> tuple[torch.Tensor, Any]:
    """Return the image as the network wants it, and the affine of its grid (RAS mm)."""
    keys = model.recipe.image_keys
    if len(keys) > 1:
        data = {key: as_meta([volume]) for key, volume in zip(keys, volumes)}
    else:
        data = {keys[0]: as_meta(volumes)}
    affine = None
    try:
        found = model.prepare(data)
        image: Any = found.get("image", found.get(keys[0]))
        affine = (image if hasattr(image, "affine") else found[keys[0]]).affine
        if bool((affine == affine.new_zeros(())).all()):
            raise BundleError("preparation loses where the image lies")
    except BundleError:
        raise
    except Exception as error:  # whatever a transform can do wrong
        cause = error.__cause__ or error
        raise BundleError(
            f"{model.bundle.name} cannot prepare this image ({' '.join(str(cause).split())[:200]})",
            "Check that it is the kind of image that the model card names",
        ) from error
    plain = image.as_tensor() if hasattr(image, "as_tensor") else image
    channels = int(model.bundle.inputs.get("num_channels", plain.shape[0]))
    if plain.shape[0] != channels:
        raise BundleError(f"preparation gives {counted(plain.shape[0], 'channel')}, not {channels}")
    return plain.float().to(model.device), np.asarray(affine, np.float64)


class _Maker:
    """Makes the labels of one image out of the outputs of the network."""

    def __init__(self, model: Model, place: Placement) -> None:
        self._model, self._place = model, place
        names = channel_names(model.bundle.outputs)
        self._several = overlapping(model.bundle.outputs)
        self._dtype: type[np.unsignedinteger[Any]] = (
            np.uint8 if max(names, default=0) < 256 else np.uint16
        )
        if self._several:
            self._dtype = np.uint32  # one bit for each channel

    def label(self, image: torch.Tensor, progress: Progress) -> Array:
        """Return labels (i, j, k) on the grid of the image."""
        rows = slide(image, self._forward, self._model.window, progress, self._several)
        found = self._softly(rows) if self._model.recipe.soft else self._hard(rows)
        if self._several:
            return _layered(found)
        return _on_labels(_rest_of(self._model.after), found)

    def _hard(self, rows: Rows) -> Array:
        """Return labels that were decided on the network's grid, and moved by nearest voxel."""
        grid = np.zeros(self._place.grid, self._dtype)
        steps = self._model.before
        for row, block in rows:
            values = _applied(_pointwise(steps), block)
            found = self._merged(values)
            if self._model.asked:
                found = np.asarray((0, *self._model.asked), self._dtype)[found]
            grid[row : row + values.shape[1]] = found
        if not self._several:
            grid = _on_labels(_rest_of(steps), grid)
        return nearest(self._place, grid)

    def _softly(self, rows: Rows) -> Array:
        """Return labels that were decided on the image, from interpolated probabilities."""
        result = np.zeros(self._place.image, self._dtype)
        placer, model = Placer(self._place), self._model
        for row, block in rows:
            for piece in placer.take(row, _applied(model.before, block)):
                values = _applied(_pointwise(model.after), piece.values)
                result[piece.index] = self._merged(values)
        return result

    def _forward(self, batch: torch.Tensor) -> Any:
        import torch

        if self._model.device == "cpu":
            batch = batch.contiguous(memory_format=torch.channels_last_3d)
        return self._model.network(batch)

    def _merged(self, values: torch.Tensor) -> Array:
        """Return label values of shape (x, ...) from channels: labels, masks or probabilities."""
        if len(values) == 1 and not self._several:
            return np.asarray(values[0].round().cpu().numpy().astype(self._dtype))
        steps = (*self._model.before, *self._model.after)
        discrete = any(type(step).__name__.startswith("AsDiscrete") for step in steps)
        if not discrete and not self._several:
            return np.asarray(values.argmax(0).cpu().numpy().astype(self._dtype))
        masks = (values > 0.5).cpu().numpy()
        if self._several:
            return np.asarray(sum(m.astype(self._dtype) << n for n, m in enumerate(masks)))
        return np.asarray(masks.argmax(0), self._dtype)


def _layered(codes: Array) -> Array:
    """Return label values from one bit for each channel: smaller structures lie on top."""
    counts = [int(np.count_nonzero(codes & (1 << n))) for n in range(CHANNELS)]
    result = np.zeros(codes.shape, np.uint8)
    for n in sorted(range(CHANNELS), key=lambda n: -counts[n]):
        if counts[n]:
            result[codes & (1 << n) != 0] = n + 1
    return result


def _applied(steps: Sequence[Any], block: torch.Tensor) -> torch.Tensor:
    data: dict[str, Any] = {"pred": block}
    for step in steps:
        data = step(data)
    found = data["pred"]
    plain: torch.Tensor = found.as_tensor() if hasattr(found, "as_tensor") else found
    return plain.float()


def _pointwise(steps: Sequence[Any]) -> list[Any]:
    """Return the leading steps that look at one voxel at a time."""
    found = []
    for step in steps:
        if not type(step).__name__.startswith(POINTWISE):
            break
        found.append(step)
    return found


def _rest_of(steps: Sequence[Any]) -> list[Any]:
    return list(steps)[len(_pointwise(steps)) :]


def _on_labels(steps: Sequence[Any], labels: Array) -> Array:
    """Return labels (x, y, z) after steps that look at all of them."""
    if not steps:
        return labels
    import torch

    values = _applied(steps, torch.as_tensor(labels.astype(np.float32))[None])
    return np.asarray(values[0].round().numpy().astype(labels.dtype))


def _named(bundle: Bundle, array: Array) -> dict[int, Label]:
    """Return the labels of the metadata, and a name for each value that they leave out."""
    found = labels_of(bundle.outputs)
    for value in np.flatnonzero(np.bincount(array.ravel())):
        if value and int(value) not in found:
            found[int(value)] = describe(f"label {value}", int(value))
    return found


def _findings(model: Model, labels: Mapping[int, Label], array: Array) -> tuple[Finding, ...]:
    bundle = model.bundle
    said = [
        Finding(
            Severity.INFO,
            "model_proposal",
            f"Proposed by the model {bundle.title} {bundle.version}, to be reviewed by a person",
        )
    ]
    if not array.any():
        said.append(Finding(Severity.WARNING, "nothing_found", f"{bundle.title} found nothing"))
    if overlapping(bundle.outputs) and len(labels) > 1:
        names = ", ".join(label.name for label in labels.values())
        said.append(
            Finding(
                Severity.INFO,
                "overlapping_labels",
                f"The labels may overlap ({names}); where they do, the smaller one stands",
            )
        )
    return tuple(said)
