"""A flow computed on coarse cells first, and from there on ever finer ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hemodynamics import flow_files
from hemodynamics.domain import Domain, UnusableLumen, divide
from hemodynamics.flow_checkpoint import Keeper, Kept, keeper_of
from hemodynamics.flow_march import Diverged, Marched, march_cycles, march_steady
from hemodynamics.flow_result import FlowResult
from hemodynamics.flow_run import Run, Scales
from hemodynamics.flow_settled import Settling, settling
from hemodynamics.flow_setup import (
    Drive,
    Wishes,
    drive,
    fluid_of,
    laws_of,
    require_plausible,
    scales_of,
)
from hemodynamics.flow_start import Snapshot
from hemodynamics.porous import PorousRegion, drag_of, to_record
from hemodynamics.rheology import Newtonian, rates
from hemodynamics.wall_shear import wall_shear
from meshing.mesh import SurfaceMesh
from segmentation.contract import Progress

Floats = npt.NDArray[np.float64]

ATTEMPTS = ((1.0, 1.0, 1.0), (1.0, 0.0, 1.0), (2.0, 0.0, 1.0), (1.0, 0.0, 0.5), (2.0, 0.0, 0.0))
"""What is tried where a flow blows up: by how much steps are shortened, how far cumulants of third
order last, and how much of the way from half-way between cells to its own place the wall is moved.
"""

LEAST_RAMP_STEPS, RAMP = 400, 0.1
"""How long a flow takes to begin: steps, and shares of a period or of an exchange."""

HASTE = 1.25
"""By how much longer steps must be to be worth a hasty part of a steady flow."""

ROUGHLY, HASTY_SHARE = 4.0, 0.25
"""A hasty part ends where so many times more than asked for may still change, or with this share
of the exchanges."""

COARSE_SHARE = 0.2
"""Of the progress: what all coarse cells take together."""

_RECORD = "record"


@dataclass(frozen=True)
class Wall:
    """Where shear is wanted: at a wall's points, with their outward normals and areas (mm2)."""

    surface: SurfaceMesh
    normals: Floats
    areas_mm2: Floats


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        marched: what it left.
        carry, walls: how far cumulants of third order lasted, and how much of the way to its own
            place the wall was moved; see `ATTEMPTS`.
        coarser: the flow on the next coarser cells, or None.
    """

    run: Run
    domain: Domain
    driven: Drive
    marched: Marched
    carry: float
    walls: float
    coarser: FlowResult | None = None


@dataclass(frozen=True)
class Vessel:
    """What blood flows through: a lumen, and what is in the way in it."""

    lumen: SurfaceMesh
    porous: PorousRegion | None = None


@dataclass(frozen=True)
class Level:
    """Cells of one size.

    Attributes:
        number: from the coarsest, 0.
        snapshot: the flow on coarser cells, or None to begin from rest.
        keeper: of its checkpoints.
    """

    number: int
    spacing_mm: float
    wall: Wall
    snapshot: Snapshot | None
    keeper: Keeper


Reader = Callable[[Finished], FlowResult]


def climb(
    vessel: Vessel,
    wishes: Wishes,
    spacings_mm: Sequence[float],
    wall: Wall,
    read: Reader,
    progress: Progress,
) -> Finished:
    """Return the run on the last of some spacings, each of which begins where the last one ended.

    What coarser cells gave, as ``read`` tells it, goes with it. They are only a help: where a flow
    cannot be computed on them, finer ones begin from rest.

    Raises:
        UnusableLumen, ImplausibleFlow: if lumen or flow are not such that blood could flow so.
        Diverged: if the flow blew up.
        TooCostly: if it would take longer than allowed.
    """
    keeper = _keeper(vessel, wishes, spacings_mm)
    try:
        done = _climbed(vessel, wishes, spacings_mm, wall, keeper, read, progress)
    except Diverged:
        if not keeper.reached():
            raise
        keeper.forget()  # what was kept leaves out what a slower run would begin from
        done = _climbed(vessel, wishes, spacings_mm, wall, keeper, read, progress)
    keeper.drop()
    return done


def _climbed(
    vessel: Vessel,
    wishes: Wishes,
    spacings_mm: Sequence[float],
    wall: Wall,
    keeper: Keeper,
    read: Reader,
    progress: Progress,
) -> Finished:
    *coarse, finest = spacings_mm
    reached = keeper.reached()
    snapshot, coarser = None, _from_aside(keeper.aside)
    for n, spacing in enumerate(coarse):
        if reached and reached[0] > n:
            continue
        span = (COARSE_SHARE * n / len(coarse), COARSE_SHARE * (n + 1) / len(coarse))
        level = Level(n, spacing, wall, snapshot, keeper)
        told = _part(progress, *span, f"cells of {spacing:.2g} mm first: ")
        try:
            done = _level(vessel, wishes, level, told)
        except (Diverged, UnusableLumen):
            if keeper.reached():
                raise
            snapshot = None
            continue
        snapshot, coarser = done.run.snapshot(), read(replace(done, coarser=coarser))
        keeper.aside = _to_aside(coarser)
    told = _part(progress, COARSE_SHARE if coarse else 0.0, 1.0, "")
    done = _level(vessel, wishes, Level(len(coarse), finest, wall, snapshot, keeper), told)
    return replace(done, coarser=coarser)


def _to_aside(flow: FlowResult) -> dict[str, npt.NDArray[Any]]:
    """Return a flow and those on coarser cells as arrays only."""
    record = np.array(json.dumps(flow_files.to_record(flow)))
    return {**flow_files.to_arrays(flow), _RECORD: record}


def _from_aside(arrays: Mapping[str, npt.NDArray[Any]]) -> FlowResult | None:
    """Return the flow that `_to_aside` took apart, or None of nothing."""
    if not arrays:
        return None
    return flow_files.from_record(json.loads(str(arrays[_RECORD])), arrays)


def _keeper(vessel: Vessel, wishes: Wishes, spacings_mm: Sequence[float]) -> Keeper:
    """Return what keeps the checkpoint of exactly this computation."""
    lumen, porous = vessel.lumen, vessel.porous
    parts = [part for name in sorted(lumen.boundaries) for part in (name, lumen.boundaries[name])]
    inputs: list[object] = [wishes, list(spacings_mm), lumen.points_mm, lumen.triangles, *parts]
    if porous is not None:
        surface = porous.surface
        inputs += [to_record(porous), surface.points_mm, surface.triangles]
    return keeper_of(*inputs)


def _part(progress: Progress, first: float, last: float, what: str) -> Progress:
    """Return what fills a part of a `Progress`."""

    def part(fraction: float, message: str = "") -> None:
        progress(first + (last - first) * fraction, what + message)

    return part


def _level(vessel: Vessel, wishes: Wishes, level: Level, progress: Progress) -> Finished:
    wall, keeper = level.wall, level.keeper
    domain = divide(vessel.lumen, level.spacing_mm, _part(progress, 0.0, 0.05, ""))
    driven = drive(domain.openings, wishes)
    require_plausible(domain.openings, driven)
    shear = wall_shear(domain, wall.surface, wall.normals)
    period_s, hours = driven.waveform.period_s, wishes.most_hours
    content_ml = 1e-3 * len(domain.cells_mm) * level.spacing_mm**3
    exchange_s = content_ml / abs(driven.waveform.mean_ml_s)

    def patches() -> Settling:
        return settling(wall.surface.points_mm, wall.areas_mm2)

    def steady(run: Run, kept: Kept, rough: bool, told: Progress) -> Marched:
        most, settled = wishes.most_exchanges, 0.01 * wishes.settled_percent
        if rough:
            most, settled = HASTY_SHARE * most, ROUGHLY * settled
        return march_steady(run, shear, patches(), exchange_s, most, settled, hours, kept, told)

    def hurried(number: int) -> Snapshot | None:
        """Return what a hasty part leaves, where one is of use."""
        kept = keeper.at(level.number, number, 0)
        hasty, plain = (_scales(domain, driven, wishes, number, haste) for haste in (True, False))
        if wishes.pulsatile or number > 0 or hasty.step_s < HASTE * plain.step_s:
            return level.snapshot
        run = _run(vessel, domain, driven, wishes, number, exchange_s, hasty)
        if level.snapshot is not None:
            run.start(level.snapshot)
        try:
            steady(run, kept, True, _part(progress, 0.05, 0.5, "roughly first: "))
        except Diverged:
            if keeper.reached():
                raise
            return level.snapshot
        run.fill()
        return run.snapshot()

    def attempt(number: int) -> Finished:
        kept = keeper.at(level.number, number, 1)
        scales = _scales(domain, driven, wishes, number, False)
        begin = level.snapshot if kept.found is not None else hurried(number)
        run = _run(vessel, domain, driven, wishes, number, exchange_s, scales)
        if begin is not None:
            run.start(begin)
        told = _part(progress, 0.5 if begin is not level.snapshot else 0.05, 1.0, "")
        if wishes.pulsatile:
            found = march_cycles(
                run, shear, patches(), period_s, wishes.cycles, wishes.frames, hours, kept, told
            )
        else:
            found = steady(run, kept, False, told)
        return Finished(run, domain, driven, found, *ATTEMPTS[number][1:])

    reached = keeper.reached()
    first = int(reached[1]) if reached and reached[0] == level.number else 0
    for number in range(first, len(ATTEMPTS) - 1):
        try:
            return attempt(number)
        except Diverged:
            if reached:
                raise
    return attempt(len(ATTEMPTS) - 1)


def _scales(domain: Domain, driven: Drive, wishes: Wishes, attempt: int, hasty: bool) -> Scales:
    slower = ATTEMPTS[attempt][0]
    return scales_of(domain.openings, domain.spacing_mm, driven, wishes, slower, hasty)


def _run(
    vessel: Vessel,
    domain: Domain,
    driven: Drive,
    wishes: Wishes,
    attempt: int,
    exchange_s: float,
    scales: Scales,
) -> Run:
    _, carry, walls = ATTEMPTS[attempt]
    begins = RAMP * (driven.waveform.period_s if wishes.pulsatile else exchange_s)
    ramp_s = max(begins, LEAST_RAMP_STEPS * scales.step_s)
    fluid, drag = fluid_of(wishes), None
    table = None
    if not isinstance(fluid, Newtonian):
        table = rates(fluid, scales.spacing_mm, scales.step_s, scales.density_kg_m3)
    if vessel.porous is not None:
        drag = drag_of(
            vessel.porous, domain.cells_mm, scales.spacing_mm, scales.step_s, scales.nu_mm2_s
        )
        if not drag.linear.any():
            raise UnusableLumen(
                f"no cell of {scales.spacing_mm:.2g} mm of the lumen lies in the porous region "
                f"{vessel.porous.name or 'without a name'!r}; check that both belong together, or "
                "take finer cells"
            )
    return Run(
        vessel.lumen, domain, scales, driven.waveform, driven.shares_in, driven.shares_out,
        laws_of(driven, wishes), ramp_s, table, drag, carry, walls, wishes.device,
    )  # fmt: skip
