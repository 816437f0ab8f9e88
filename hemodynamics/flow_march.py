"""A run through time until it has settled: samples, convergence, time left, early stops."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hemodynamics.flow_checkpoint import Kept
from hemodynamics.flow_run import Run
from hemodynamics.flow_settled import (
    IMBALANCE,
    Averages,
    Repeats,
    Settling,
    Sway,
    imbalance,
    sway,
)
from hemodynamics.flow_setup import TooCostly
from hemodynamics.pacing import Pacer
from hemodynamics.wall_shear import WallShear
from segmentation.contract import Progress

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

JUDGED = 0.25
"""Exchanges of the lumen's content between two judgements of a steady flow."""

LEAST_STEPS = 50
"""Steps between two judgements, at the least."""

REPEATED = 5e-3
"""A cycle whose shear and outflow differ from the last one's by less is the last one."""

MOST_LATTICE_SPEED = 0.3
MOST_EXCESS = 0.5
"""Cells per step, and change of density, that a run does not get beyond while it means anything."""

CHECKED = 50
"""Steps between two looks at whether a run still means anything."""

TOLD_S = 0.3
TRIAL_STEPS = 40


FIELDS = ("velocity_m_s", "pressure_pa", "wss_pa")
"""What `Samples` keep of cells and of the wall."""


class Diverged(RuntimeError):
    """A flow blew up; there is no result."""


@dataclass
class Samples:
    """What was kept of some times; a run is read between `fill` and `step`."""

    times_s: list[float] = field(default_factory=list)
    velocity_m_s: list[Singles] = field(default_factory=list)
    pressure_pa: list[Singles] = field(default_factory=list)
    wss_pa: list[Singles] = field(default_factory=list)
    flows_ml_s: list[dict[str, float]] = field(default_factory=list)
    pressures_pa: list[dict[str, float]] = field(default_factory=list)

    def note(self, run: Run, time_s: float) -> None:
        """Keep flows and pressures at the openings."""
        self.times_s.append(time_s)
        self.flows_ml_s.append(run.flows_ml_s())
        self.pressures_pa.append(run.pressures_pa())

    def add(
        self, run: Run, shear: WallShear, earlier: tuple[Singles, Singles, Singles], whole: bool
    ) -> None:
        """Keep the shear, and the ``whole`` fields too where asked.

        The mean with the state one step ``earlier`` is kept: where viscosity is low, stress
        swings about its value from step to step.

        Raises:
            Diverged: if the flow is faster than the lattice can tell.
        """
        velocity, pressure, stress = run.state()
        velocity = np.float32(0.5) * (velocity + earlier[0])
        pressure = np.float32(0.5) * (pressure + earlier[1])
        stress = np.float32(0.5) * (stress + earlier[2])
        fastest = float(np.sqrt((velocity**2).sum(axis=1).max()))
        if not fastest < MOST_LATTICE_SPEED * run.scales.speed_m_s:
            raise _diverged(run)
        self.wss_pa.append(shear(stress).astype(np.float32))
        if whole:
            self.velocity_m_s.append(velocity)
            self.pressure_pa.append(pressure)

    def clear(self) -> None:
        """Forget all samples."""
        for kept in vars(self).values():
            kept.clear()

    def state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that is needed to go on as if it had never been stopped, without copies."""
        fields = {f"{f}_{n}": kept for f in FIELDS for n, kept in enumerate(getattr(self, f))}
        at_openings = (self.flows_ml_s, self.pressures_pa)
        flows, pressures = (np.array([list(row.values()) for row in rows]) for rows in at_openings)
        return fields | {
            "sample_times": np.array(self.times_s),
            "sample_flows": flows,
            "sample_pressures": pressures,
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], names: Sequence[str]) -> None:
        """Go back to what `state_arrays` returned, for openings of these names."""
        self.times_s = arrays["sample_times"].tolist()
        rows = (arrays["sample_flows"].tolist(), arrays["sample_pressures"].tolist())
        self.flows_ml_s, self.pressures_pa = ([dict(zip(names, r)) for r in part] for part in rows)
        for name in FIELDS:
            kept = (arrays.get(f"{name}_{n}") for n in range(len(self.times_s)))
            setattr(self, name, [values for values in kept if values is not None])


@dataclass
class Late:
    """The sums of the later samples of a steady run, whose means tell more of a flow that swings.

    Attributes:
        sums: of shear, velocity, pressure, flows and pressures at openings, mean flows, and the
            size of shear.
        patches_pa: mean shear on each patch of wall, of each sample.
    """

    sums: list[Floats] = field(default_factory=list)
    patches_pa: list[Floats] = field(default_factory=list)

    def take(self, samples: Samples, flows_ml_s: Mapping[str, float], patches_pa: Floats) -> None:
        """Add the one sample there is, the mean flows before it, and the shear on patches."""
        openings = (samples.flows_ml_s[0], samples.pressures_pa[0], flows_ml_s)
        fields = (
            *(samples.wss_pa[0], samples.velocity_m_s[0], samples.pressure_pa[0]),
            *(np.array(list(values.values())) for values in openings),
            np.linalg.norm(samples.wss_pa[0], axis=1),
        )
        before = self.sums or [np.zeros(values.shape) for values in fields]
        self.sums = [total + values for total, values in zip(before, fields)]
        self.patches_pa.append(patches_pa)

    def mean(self, last: Samples) -> tuple[Samples, dict[str, float], Singles]:
        """Return the means of samples, at the time of the last, of mean flows, of shear's size."""
        found = [total / len(self.patches_pa) for total in self.sums]
        shear, velocity, pressure = (values.astype(np.float32) for values in found[:3])
        named = [dict(zip(last.flows_ml_s[0], values.tolist())) for values in found[3:6]]
        flows, pressures, averages = named
        kept = ([velocity], [pressure], [shear], [flows], [pressures])
        return Samples(last.times_s, *kept), averages, found[6].astype(np.float32)

    def state_arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return all that a run needs to go on as if it had never stopped."""
        sums = {f"late_{number}": total for number, total in enumerate(self.sums)}
        return sums | {"late_patches": np.array(self.patches_pa)}

    def restore(self, arrays: Mapping[str, npt.NDArray[np.float64]]) -> None:
        """Go back to what `state_arrays` returned."""
        self.patches_pa = list(arrays["late_patches"])
        self.sums = [arrays[f"late_{number}"] for number in range(7 if self.patches_pa else 0)]


@dataclass(frozen=True)
class Marched:
    """What a march leaves.

    Attributes:
        samples: of one time, or of the last cycle.
        changes: what was still to change at each judgement, or changes from cycle to cycle.
        flows_ml_s: mean flows into the lumen by opening, of the last part or cycle.
        sway: of a steady flow that does not come to rest; samples and flows are means then.
        size_pa: (points,) mean size of its wall shear, which the mean vector's falls short of.
        averages: of a pulsatile flow of two cycles or more: how those of the last changed.
    """

    samples: Samples
    changes: list[float]
    flows_ml_s: dict[str, float]
    sway: Sway | None = None
    size_pa: Singles | None = None
    averages: Averages | None = None


class Clock:
    """Tells the progress of a run and how long it still takes; stops it when it means nothing."""

    def __init__(self, run: Run, steps: int, most_hours: float, progress: Progress) -> None:
        self._run, self._steps, self._progress = run, steps, progress
        self._first = run.lattice.steps
        self._most_s, self._told, self._begun = 3600.0 * most_hours, 0.0, 0.0
        self._inward_ml_s, self._count = np.zeros(len(run.names)), 0
        self._pacer = Pacer(run.lattice)

    def step(self) -> None:
        """Take one step, and average the flows.

        Raises:
            Diverged: if the flow blew up.
            TooCostly: if all steps would take longer than allowed.
        """
        run = self._run
        run.step()
        self._pacer.step()
        self._count += 1
        self._inward_ml_s += run.inward_ml_s()
        now, taken = time.monotonic(), run.lattice.steps - self._first
        if taken == TRIAL_STEPS // 2:  # what is compiled or touched first is not counted
            self._begun = now
        if run.lattice.steps % CHECKED == 0 and not (
            abs(run.lattice.leak) < np.inf and run.excess() <= MOST_EXCESS
        ):
            raise _diverged(run)
        if now > self._told + TOLD_S or taken == 2 * TRIAL_STEPS:
            self._told = now
            self._tell(now, taken)

    def averages_ml_s(self) -> dict[str, float]:
        """Return the mean flow into the lumen by opening since last asked, and begin anew."""
        means = (self._inward_ml_s / max(self._count, 1)).tolist()
        self._inward_ml_s, self._count = np.zeros(len(means)), 0
        return dict(zip(self._run.names, means))

    def state_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what averages need to go on as if they had never been stopped."""
        return {"inward_ml": self._inward_ml_s.copy(), "inward_count": np.array(self._count)}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `state_arrays` returned."""
        self._inward_ml_s = np.array(arrays["inward_ml"])
        self._count = int(arrays["inward_count"])

    def _tell(self, now: float, taken: int) -> None:
        left = "measuring how long it takes"
        steps = self._steps - self._first
        if taken >= TRIAL_STEPS:
            pace = (now - self._begun) / (taken - TRIAL_STEPS // 2)
            if taken < 10 * TRIAL_STEPS and pace * steps > self._most_s:
                raise TooCostly(
                    f"{steps:,} steps of {self._run.lattice.layout.cells:,} cells would take "
                    f"about {pace * steps / 3600:.1f} h on this machine; take coarser cells, "
                    "or allow more time"
                )
            left = f"at most {_words(pace * (steps - taken))} left"
        done = self._run.lattice.steps
        text = f"step {done:,} of at most {self._steps:,}, {left}"
        self._progress(min(done / self._steps, 1.0), text)


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _diverged(run: Run) -> Diverged:
    return Diverged(
        f"the flow blew up after {run.lattice.steps:,} steps ({run.time_s:.3g} s of flow), so "
        "there is no result; take finer cells, lengthen the ends of the vessel, or give less flow"
    )


def march_steady(
    run: Run,
    shear: WallShear,
    settling: Settling,
    exchange_s: float,
    most: float,
    settled: float,
    most_hours: float,
    kept: Kept,
    progress: Progress,
) -> Marched:
    """Go on until the flow has settled: no more than a share ``settled`` is still to change.

    What flows in flows out then, too.

    At the latest it ends when the content of the lumen was exchanged ``most`` times; a flow that
    still swings by then is told by the mean of the later half.

    Raises:
        Diverged: if the flow blew up.
        TooCostly: if it would take longer than allowed.
    """
    between = max(round(JUDGED * exchange_s / run.scales.step_s), LEAST_STEPS)
    judgements = max(int(np.ceil(most / JUDGED)), 2)
    late = Late()
    if kept.found is not None:
        run.restore(kept.found)
        settling.restore(kept.found)
        late.restore(kept.found)
    clock = Clock(run, between * judgements, most_hours, progress)
    for n in range(kept.rounds, judgements):
        for _ in range(between - 1):
            run.fill()
            clock.step()
        run.fill()
        earlier = run.state()
        clock.step()
        run.fill()
        samples = Samples()
        samples.note(run, 0.0)
        samples.add(run, shear, earlier, whole=True)
        flows = clock.averages_ml_s()
        if n >= judgements // 2:
            late.take(samples, flows, settling.means(samples.wss_pa[0]))
        calm = settling.judge(samples.wss_pa[0], flows) < settled
        if calm and n > 1 and imbalance(flows) < IMBALANCE:
            return Marched(samples, settling.remaining, flows)
        if n + 1 < judgements:
            kept.keep(
                n + 1,
                lambda: run.state_arrays() | settling.state_arrays() | late.state_arrays(),
            )
    if not settling.swings():
        return Marched(samples, settling.remaining, flows)
    samples, flows, size_pa = late.mean(samples)
    moves = sway(np.array(late.patches_pa), settling.patches_mm2)
    return Marched(samples, settling.remaining, flows, moves, size_pa)


def march_cycles(
    run: Run,
    shear: WallShear,
    wall: Settling,
    period_s: float,
    cycles: int,
    frames: int,
    most_hours: float,
    kept: Kept,
    progress: Progress,
) -> Marched:
    """Go through the cycles of a pulsatile flow until one repeats the last, or all are done.

    Raises:
        Diverged: if the flow blew up.
        TooCostly: if it would take longer than allowed.
    """
    between = round(period_s / frames / run.scales.step_s)
    repeats, samples = Repeats(wall), Samples()
    if kept.found is not None:
        run.restore(kept.found)
        repeats.restore(kept.found)
        samples.restore(kept.found, run.names)
    clock = Clock(run, between * frames * cycles, most_hours, progress)
    if kept.found is not None:
        clock.restore(kept.found)
    parts = (run, repeats, samples, clock)
    for cycle in range(kept.rounds // frames, cycles):
        for frame in range(len(samples.times_s), frames):
            kept.keep(cycle * frames + frame, lambda: _joined(parts))
            for n in range(between):
                run.fill()
                if n == 0:
                    samples.note(run, frame * period_s / frames)
                    earlier = run.state()
                if n == min(1, between - 1):
                    samples.add(run, shear, earlier, whole=cycle > 0 or cycles == 1)
                clock.step()
        change = repeats.judge(np.stack(samples.wss_pa), clock.averages_ml_s())
        if change < REPEATED or cycle + 1 == cycles:
            break
        samples.clear()
    run.fill()
    return Marched(samples, repeats.changes, repeats.flows_ml_s, averages=repeats.averages)


def _joined(parts: Sequence[Run | Repeats | Samples | Clock]) -> dict[str, npt.NDArray[Any]]:
    """Return all that the parts of a march need to go on as if it had never stopped."""
    return {name: array for part in parts for name, array in part.state_arrays().items()}
