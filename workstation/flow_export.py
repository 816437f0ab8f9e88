"""A flow to files: tables along its branches, its times for ParaView, and pictures."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args
from xml.etree.ElementTree import Element, ElementTree, SubElement

from PIL import Image

from hemodynamics import flow_files
from hemodynamics.branch_flow import (
    BRANCH_COLUMNS,
    SECTION_COLUMNS,
    branch_rows,
    section_rows,
    write_rows,
)
from hemodynamics.flow_result import FlowResult
from meshing.centerline import Centerline
from segmentation.contract import Progress, silent
from workstation.case import Case, CaseError
from workstation.flow_pictures import Kind, flow_movie, flow_picture
from workstation.planning.plan import Plan
from workstation.stages import find_stage
from workstation.store import write_atomically
from workstation.views import SYNTHETIC, burn_in

BRANCHES, SECTIONS, TIMES = ".branches.csv", ".sections.csv", ".pvd"
PICTURE, MOVIE = ".png", ".gif"
ENDINGS = (TIMES, BRANCHES, SECTIONS, PICTURE, MOVIE)
SLOWED = 3  # times that a movie is slower than the heart
KINDS: tuple[Kind, ...] = get_args(Kind)


def flow_ending(path: Path) -> str:
    """Return which of `ENDINGS` a file name has, "" for none."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def write_flow(
    case: Case, name: str, flow: FlowResult, path: Path, progress: Progress = silent
) -> Path:
    """Write the flow ``name`` of the current plan in the way of `flow_ending`; return ``path``.

    ``.branches.csv`` has one row for each branch of the plan's centerline and each sac,
    ``.sections.csv`` one for each plane across them. ``.pvd`` lists one file of the lumen
    (.vtu: velocity_m_s, pressure_pa) and of the wall (.vtp: wss_pa, tawss_pa, osi) for each time,
    which lie in a folder beside it. ``.png`` is a map of the mean wall shear; a word before it
    asks for another picture, as in ``flow.osi.png``. ``.gif`` plays the cycle in the same way,
    three times as slow as it is; streamlines, where no word asks for another picture.

    Raises:
        CaseError: if the flow was not computed, or what the file shall hold is not there.
    """
    if not len(flow.times_s):
        raise CaseError(f"the flow {name!r} was not computed; there is nothing to write")
    ending = flow_ending(path)
    if ending == TIMES:
        _write_times(flow, path, progress)
    elif ending in (PICTURE, MOVIE):
        _write_pictures(flow, path, SYNTHETIC if case.record.synthetic else "", progress)
    else:
        line = centerline_of(case, name, case.plan(), flow.frame_uid)
        sections = section_rows(flow, line, progress)
        whole = ending == BRANCHES
        rows = branch_rows(flow, line, sections) if whole else sections
        columns = BRANCH_COLUMNS if whole else SECTION_COLUMNS
        write_atomically(path, lambda part: write_rows(rows, columns, part))
    return path


def kind_of_picture(path: Path, usual: Kind = "tawss") -> Kind:
    """Return what the name of a picture asks for: the word before its ending, else the usual.

    Raises:
        CaseError: if there is no such picture.
    """
    word = Path(path.stem.lower()).suffix.removeprefix(".")
    found: Kind | None = next((kind for kind in KINDS if kind == (word or usual)), None)
    if found is None:
        raise CaseError(f"there is no picture {word!r} of a flow; there are: {', '.join(KINDS)}")
    return found


def _write_pictures(flow: FlowResult, path: Path, words: str, progress: Progress) -> None:
    movie = flow_ending(path) == MOVIE
    if movie and len(flow.times_s) < 2:
        raise CaseError(f"the flow {flow.name!r} is steady, so nothing moves; write a .png")
    if movie:
        pictures = flow_movie(flow, kind_of_picture(path, "streamlines"), progress=progress)
    else:
        pictures = [flow_picture(flow, kind_of_picture(path))]
    drawn = [Image.fromarray(pixels) for pixels in pictures]
    for image in drawn:
        burn_in(image, words)
    if not movie:
        write_atomically(path, lambda part: drawn[0].save(part, "PNG"))
        return
    drawn = _with_common_colours(drawn)
    step_ms = max(round(SLOWED * 1000 * float(flow.times_s[1] - flow.times_s[0])), 20)
    write_atomically(
        path,
        lambda part: drawn[0].save(
            part, "GIF", save_all=True, append_images=drawn[1:], duration=step_ms, loop=0
        ),
    )


def _with_common_colours(pictures: list[Image.Image]) -> list[Image.Image]:
    """Return pictures of 256 colours, the same in all, so that a bar does not change its own."""
    width, height = pictures[0].size
    small = (max(width // 3, 1), max(height // 3, 1))
    every = Image.new("RGB", (small[0], small[1] * len(pictures)))
    for n, picture in enumerate(pictures):
        every.paste(picture.resize(small, Image.Resampling.NEAREST), (0, n * small[1]))
    palette = every.quantize(256)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]


def centerline_of(case: Case, name: str, plan: Plan, frame_uid: str) -> Centerline:
    """Return the centerline for a flow: one it was made from, else the first in its frame.

    Raises:
        CaseError: if the plan has none that is computed.
    """
    inputs = {step.output: set(step.inputs.values()) for step in plan.steps}
    before, new = set(), {name}
    while new:
        before |= new
        new = {source for output in new for source in inputs.get(output, ())} - before
    lines = [s.output for s in plan.steps if find_stage(s).output_kind == "Centerline"]
    keys = plan.keys()
    for output in sorted(lines, key=lambda line: line not in before):
        if keys[output] not in case.values:
            continue
        value = case.values[keys[output]]
        if isinstance(value, Centerline) and value.frame_uid == frame_uid:
            return value
    raise CaseError("the plan has no computed centerline in the flow's frame; add that step first")


def at_one_time(flow: FlowResult, number: int) -> FlowResult:
    """Return one time of a flow as a flow of its own, with the wall shear of that time."""
    one = slice(number, number + 1)
    data = {**flow.wall.point_data, "wss_pa": flow.wss_pa[number]}
    return replace(
        flow,
        wall=replace(flow.wall, point_data=data),
        times_s=flow.times_s[one],
        velocity_m_s=flow.velocity_m_s[one],
        pressure_pa=flow.pressure_pa[one],
        wss_pa=flow.wss_pa[one],
        flows_ml_s={name: values[one] for name, values in flow.flows_ml_s.items()},
        opening_pressures_pa={n: values[one] for n, values in flow.opening_pressures_pa.items()},
    )


def _write_times(flow: FlowResult, path: Path, progress: Progress) -> None:
    root = Element("VTKFile", type="Collection", version="1.0", byte_order="LittleEndian")
    listed = SubElement(root, "Collection")
    folder = path.with_name(f"{path.stem}_times")
    parts: tuple[tuple[str, Callable[[FlowResult, Path], None]], ...] = (
        ("lumen.vtu", flow_files.write_vtu),
        ("wall.vtp", flow_files.write_vtp),
    )
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".times") as place:
        made = Path(place) / "files"
        made.mkdir()
        for number, time_s in enumerate(flow.times_s.tolist()):
            progress(number / len(flow.times_s), f"time {number + 1}")
            now = at_one_time(flow, number)
            for part, (name, write) in enumerate(parts):
                stem, _, ending = name.partition(".")
                file = f"{stem}_{number + 1:04d}.{ending}"
                write(now, made / file)
                SubElement(
                    listed, "DataSet", timestep=f"{time_s:.9g}", part=str(part), name=stem,
                    file=f"{folder.name}/{file}",
                )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    write_atomically(path, lambda part: ElementTree(root).write(part, "utf-8", True))
