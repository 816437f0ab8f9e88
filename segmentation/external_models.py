"""TotalSegmentator as a model: an optional package, run as a program of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata

from segmentation.bundles.labels import describe
from segmentation.contract import Progress, silent
from segmentation.models import Device, ModelCard, suited
from segmentation.programs import program, segment_by_files
from segmentation.volume import Label, LabelMap, Volume

PACKAGE = "TotalSegmentator"


@dataclass(frozen=True)
class TotalSegmentator:
    """The program TotalSegmentator, at full resolution or, ``fast``, at 3 mm."""

    path: str
    fast: bool

    @property
    def card(self) -> ModelCard:
        """What a person must know of it."""
        name = "totalsegmentator_fast" if self.fast else "totalsegmentator"
        at = "3 mm, for a quick look" if self.fast else "1.5 mm"
        return ModelCard(
            name,
            PACKAGE,
            metadata.version(PACKAGE),
            "program TotalSegmentator",
            "CT",
            ("image",),
            structures(),
            f"More than a hundred structures in CT, at {at}. It fetches its weights at first use.",
            "Research; its makers name no clinical use",
            "Apache-2.0",
            "",
        )

    def segment(
        self, volumes: Sequence[Volume], *, device: Device = "auto", progress: Progress = silent
    ) -> LabelMap:
        """Label the grid of the CT.

        Raises:
            BundleError: if the image is no CT.
            ProgramFailed: if the program fails.
        """
        card = self.card
        ready = suited(card, volumes)
        command = [self.path, "-i", "{folder}/image.nii.gz", "-o", "{folder}/labels.nii.gz", "--ml"]
        command += ["--fast"] if self.fast else []
        command += [] if device == "auto" else ["--device", "cpu" if device == "cpu" else "gpu"]
        return segment_by_files(
            ready, ["image.nii.gz"], command, "labels.nii.gz", card.labels, progress
        )


def structures() -> dict[int, Label]:
    """Return the labels of its task "total"."""
    table = import_module("totalsegmentator.map_to_binary").class_map["total"]
    return {int(value): describe(str(name), int(value)) for value, name in table.items()}


def total_segmentator() -> TotalSegmentator:
    """Return the model at full resolution; raises `BundleError` if it is not installed."""
    return TotalSegmentator(program(PACKAGE, "hilum[total]"), False)


def total_segmentator_fast() -> TotalSegmentator:
    """Return the model at 3 mm; raises `BundleError` if it is not installed."""
    return TotalSegmentator(program(PACKAGE, "hilum[total]"), True)
