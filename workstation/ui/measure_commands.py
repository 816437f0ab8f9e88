"""Measuring and cutting open by command: the menus, the palette and the keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from workstation.ui.clip_tool import ClipTool
from workstation.ui.measure_tools import TOOLS
from workstation.ui.measuring import Measuring
from workstation.ui.panels.clip_card import SHAPES


def add_measure_commands(
    add: Callable[..., Any],
    show_stage: Callable[[str], None],
    measuring: Measuring,
    clip: ClipTool,
) -> None:
    """Add a command for each measuring tool and each way to cut the 3D view open."""

    def measure(name: str) -> None:
        show_stage("Measure")
        measuring.take(name)

    for name, tool in TOOLS.items():
        lacks = partial(measuring.lacks, name)
        add("Tool", f"Measure: {tool.title.lower()}", partial(measure, name), tool.key, lacks)
    for shape, text in SHAPES.items():
        add("View", f"3D: {text.lower()}", partial(clip.take, shape), "", clip.lacks)
