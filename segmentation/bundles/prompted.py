"""Networks that label only what they are asked for (VISTA3D), asked for all they know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def wants_prompts(network: torch.nn.Module) -> bool:
    """Tell whether a network answers prompts; without one it finds nothing, in silence."""
    return hasattr(network, "class_head") and hasattr(network, "point_head")


def prompted(network: torch.nn.Module, classes: Sequence[int]) -> torch.nn.Module:
    """Return a network that gives a channel of zeros, then one for each of ``classes``.

    The largest channel is thus background wherever no class is more likely than not.
    """
    import torch

    class Prompted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("classes", torch.tensor(classes)[:, None], persistent=False)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return torch.cat([self._one(image[None]) for image in batch])

        def _one(self, image: torch.Tensor) -> torch.Tensor:
            given: Any = {"class_vector": self.classes, "transpose": True}
            found = self.network(image, **given)
            return torch.cat([torch.zeros_like(found[:, :1]), found.nan_to_num(-1.0)], 1)

    return Prompted()
