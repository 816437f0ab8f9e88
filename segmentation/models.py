"""Networks by name: what is installed, what each one is, and the stage that runs one.

A model is a MONAI bundle that ships or that the user added, or an entry point of the group
``segmentation.models`` of an installed package. A broken one is listed with its problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, Protocol

from segmentation.bundles.cost import Estimate
from segmentation.bundles.folder import NNUNET, Bundle, BundleError, read_bundle
from segmentation.bundles.labels import channel_names, labels_of
from segmentation.bundles.process import estimate_cost, run_bundle
from segmentation.bundles.recipe import Recipe, read_recipe
from segmentation.bundles.store import shipped_bundles, trust_in, user_bundles
from segmentation.contract import Finding, FrameMismatch, Progress, Severity, silent
from segmentation.programs import program, segment_by_files
from segmentation.resampling import resample_volume
from segmentation.volume import Label, LabelMap, Volume

GROUP = "segmentation.models"
INPUTS = ("volume", "second", "third", "fourth")
"""What `run_model` calls the images of a model, in the order of its channels."""
AIR_HU = -200.0
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class ModelCard:
    """What a person must know of a model before using it.

    Attributes:
        name: what it is called by.
        title, version, description, licence: as it tells them.
        kind: "MONAI bundle", or the program that runs it.
        modality: such as "CT" or "MR"; "" when it does not say.
        channels: names of the images it takes, in order.
        labels: label value to label.
        intended_use: for what its makers say it may be used.
        weights_sha256: checksum of its weights; it goes into every plan that uses them.
        code: what it carries beyond plain settings, in words; it needs consent.
        allowed: whether a person gave it; true where none is needed.
        shipped: whether it comes with the product.
    """

    name: str
    title: str
    version: str
    kind: str
    modality: str
    channels: tuple[str, ...]
    labels: Mapping[int, Label]
    description: str
    intended_use: str
    licence: str
    weights_sha256: str
    code: tuple[str, ...] = ()
    allowed: bool = True
    shipped: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the record that `hilum models list --json` prints."""
        labels = [{"value": v, **asdict(label)} for v, label in self.labels.items()]
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {
            "labels": labels,
            "channels": list(self.channels),
            "code": list(self.code),
        }


class SegmentationModel(Protocol):
    """What an entry point of the group ``segmentation.models`` returns when it is called."""

    @property
    def card(self) -> ModelCard:
        """What a person must know of it."""

    def segment(self, volumes: Sequence[Volume], *, device: Device, progress: Progress) -> LabelMap:
        """Label the grid of the first volume; raises what `progress` raises, soon."""


@dataclass(frozen=True)
class BundleModel:
    """A MONAI bundle as a model."""

    bundle: Bundle
    shipped: bool = False

    @property
    def recipe(self) -> Recipe:
        """How it runs."""
        return read_recipe(self.bundle)

    @property
    def card(self) -> ModelCard:
        """What a person must know of it."""
        bundle, recipe = self.bundle, self.recipe
        code = recipe.code
        if bundle.weights == bundle.script and not code:
            code = ("its network is a program (TorchScript)",)
        told = bundle.metadata
        return ModelCard(
            bundle.name,
            bundle.title,
            bundle.version,
            "MONAI bundle",
            bundle.modality,
            _channels(bundle, recipe),
            labels_of(bundle.outputs),
            str(told.get("description", "")),
            str(told.get("intended_use", "")),
            bundle.licence,
            bundle.weights_sha256,
            code,
            not code or trust_in(bundle).code,
            self.shipped,
        )

    def estimate(self, volumes: Sequence[Volume], progress: Progress = silent) -> Estimate:
        """Return the memory and time that a run will take.

        Raises:
            BundleError: if it does not suit the images or cannot be used.
        """
        ready = suited(self.card, volumes)
        return estimate_cost(self.bundle, ready, trust_in(self.bundle), progress)

    def segment(
        self, volumes: Sequence[Volume], *, device: Device = "auto", progress: Progress = silent
    ) -> LabelMap:
        """Label the grid of the first volume.

        Raises:
            BundleError: if it does not suit the images or cannot be used.
            MemoryError: if there is too little memory, before it starts.
        """
        if self.bundle.metadata.get("answers_prompts"):
            raise BundleError(
                f"the model {self.card.name} answers clicks and strokes, not an image alone",
                "Use it by the step that labels a thing from clicks, strokes or a box",
            )
        ready = suited(self.card, volumes)
        where = "" if device == "auto" else device
        return run_bundle(self.bundle, ready, trust_in(self.bundle), where, progress)


@dataclass(frozen=True)
class TrainedFolder:
    """A folder that nnU-Net trained, run by nnU-Net as a program of its own."""

    bundle: Bundle

    @property
    def card(self) -> ModelCard:
        """What a person must know of it."""
        bundle, told = self.bundle, self.bundle.metadata
        trust = trust_in(bundle)
        return ModelCard(
            bundle.name,
            bundle.title,
            bundle.version,
            "nnU-Net",
            bundle.modality,
            tuple(channel_names(bundle.inputs).values()),
            labels_of(bundle.outputs),
            str(told.get("description", "")),
            "",
            bundle.licence,
            bundle.weights_sha256,
            ("nnU-Net reads its weights as pickles, which can run code",),
            trust.code and trust.pickles,
        )

    def segment(
        self, volumes: Sequence[Volume], *, device: Device = "auto", progress: Progress = silent
    ) -> LabelMap:
        """Label the grid of the first volume.

        Raises:
            BundleError: if it does not suit the images, or nnU-Net is not installed.
            ProgramFailed: if nnU-Net fails.
        """
        card, bundle = self.card, self.bundle
        ready = suited(card, volumes)
        ending = str(bundle.metadata.get("file_ending", ".nii.gz"))
        folds = [path.parent.name.removeprefix("fold_") for path in bundle.weight_files]
        command = [program("nnUNetv2_predict_from_modelfolder", "hilum[nnunet]")]
        command += ["-i", "{folder}/in", "-o", "{folder}/out", "-m", str(bundle.folder / NNUNET)]
        command += ["-f", *folds]
        command += [] if device == "auto" else ["-device", device]
        names = [f"in/case_{n:04d}{ending}" for n in range(len(ready))]
        return segment_by_files(ready, names, command, f"out/case{ending}", card.labels, progress)


def _channels(bundle: Bundle, recipe: Recipe) -> tuple[str, ...]:
    if len(recipe.image_keys) > 1:
        return recipe.image_keys
    count = int(bundle.inputs.get("num_channels", 1))
    names = channel_names(bundle.inputs)
    return tuple(names.get(n, f"channel {n + 1}") for n in range(count))


@dataclass(frozen=True)
class Listed:
    """One line of the list of models: a card, or the problem that keeps the model from use."""

    name: str
    card: ModelCard | None
    problem: str = ""


def known_models() -> list[Listed]:
    """Return all models: those that ship, the user's, those of installed packages."""
    shipped = [_listed(b.name, partial(BundleModel, b, True)) for b in shipped_bundles()]
    own = [_listed(folder.name, partial(_user_model, folder)) for folder in user_bundles()]
    plugged = [_listed(e.name, partial(_plugged, e)) for e in entry_points(group=GROUP)]
    return [*shipped, *own, *plugged]


def _plugged(entry: EntryPoint) -> SegmentationModel:
    made: SegmentationModel = entry.load()()
    return made


def _user_model(folder: Path) -> SegmentationModel:
    bundle = read_bundle(folder)
    return TrainedFolder(bundle) if bundle.by_nnunet else BundleModel(bundle)


def _listed(name: str, make: Callable[[], SegmentationModel]) -> Listed:
    try:
        return Listed(name, make().card)
    except Exception as error:  # a broken plug-in never stops anything
        return Listed(name, None, f"{type(error).__name__}: {error}"[:300])


def find_model(name: str) -> SegmentationModel:
    """Return the model of that name.

    Raises:
        BundleError: if there is none.
    """
    for bundle in shipped_bundles():
        if bundle.name == name:
            return BundleModel(bundle, True)
    for folder in user_bundles():
        if folder.name == name:
            return _user_model(folder)
    for entry in entry_points(group=GROUP, name=name):
        return _plugged(entry)
    names = ", ".join(listed.name for listed in known_models()) or "none"
    raise BundleError(
        f"there is no model {name!r}; there are: {names}", "hilum models add brings one in"
    )


def suited(card: ModelCard, volumes: Sequence[Volume]) -> list[Volume]:
    """Return ``volumes`` on the grid of the first, if they are what the model takes.

    Raises:
        BundleError: if their number or modality is another.
        FrameMismatch: if they do not share one frame of reference.
    """
    if card.code and not card.allowed:
        raise BundleError(
            f"the model {card.name} carries code of its own ({'; '.join(card.code[:2])})",
            "If you trust where it comes from: hilum models allow, or Allow on its card",
        )
    if len(volumes) != len(card.channels):
        one = len(card.channels) == 1
        raise BundleError(
            f"the model {card.name} takes {len(card.channels)} image{'' if one else 's'} "
            f"({', '.join(card.channels)}), not {len(volumes)}",
            "" if one else "Give them in this order",
        )
    for volume in volumes:
        _check_modality(card, volume)
    first = volumes[0]
    for volume in volumes[1:]:
        if volume.geometry.frame_uid != first.geometry.frame_uid:
            raise FrameMismatch(
                "the images of the channels lie in different frames of reference; "
                "register them to the first"
            )
    return [first, *(resample_volume(v, first.geometry) for v in volumes[1:])]


def _check_modality(card: ModelCard, volume: Volume) -> None:
    wanted = card.modality.upper()
    takes_ct, takes_mr = "CT" in wanted, "MR" in wanted
    lowest = float(volume.array.min())
    is_ct = volume.quantity == "HU"
    if takes_ct and not takes_mr and (not is_ct or lowest >= 0):
        held = f"holds {volume.quantity}" if not is_ct else "has no value below 0 HU"
        raise BundleError(f"the model {card.name} needs a CT, but the image {held}", "Choose a CT")
    if takes_mr and not takes_ct and is_ct and lowest < AIR_HU:
        raise BundleError(f"the model {card.name} needs an MR, but the image is a CT", "Choose MR")


def run_model(
    volume: Volume,
    second: Volume | None = None,
    third: Volume | None = None,
    fourth: Volume | None = None,
    *,
    model: str,
    version: str = "",
    weights_sha256: str = "",
    device: Device = "auto",
    progress: Progress = silent,
) -> LabelMap:
    """Propose labels by a trained model.

    The result is a proposal that a person must review.

    Args:
        volume: the image; its grid is that of the result.
        second: the second image, for models that take several.
        third: the third image.
        fourth: the fourth image.
        model: the name of the model; hilum models list shows all.
        version: the version that the plan was made with; another one is refused.
        weights_sha256: the checksum of the weights that the plan was made with; others are
            refused. With it the result is remade exactly, or not at all.
        device: where it runs; auto takes the GPU where there is one.
        progress: told how far the work is.

    Raises:
        BundleError: if there is no such model, or it does not suit the images.
        MemoryError: if there is too little memory, before it starts.
    """
    chosen = find_model(model)
    card = chosen.card
    for what, wanted, present in (
        ("version", version, card.version),
        ("weights", weights_sha256, card.weights_sha256),
    ):
        if wanted and wanted != present:
            raise BundleError(
                f"the plan was made with {what} {wanted[:12]} of {model}, here are {present[:12]}",
                "Add the same model, or choose the model anew",
            )
    volumes = [v for v in (volume, second, third, fourth) if v is not None]
    result = chosen.segment(volumes, device=device, progress=progress)
    if weights_sha256:
        return result
    loose = Finding(
        Severity.WARNING,
        "weights_not_fixed",
        f"The plan does not say which weights of {model} it wants; here they are "
        f"{card.weights_sha256[:12] or 'those of another program'}",
    )
    return replace(result, findings=(*result.findings, loose))


def fixed_params(card: ModelCard) -> dict[str, str]:
    """Return the parameters of `run_model` that fix a model: name, version, weights."""
    return {
        "model": card.name,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
    }
