"""What goes in and out of a lumen: waveforms over the heart's cycle, splits, Windkessels.

Flows are in mL/s, pressures in Pa, resistances in Pa s/mL, compliances in mL/Pa.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ive

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]

PA_PER_MMHG = 133.322
MEAN_SPEED_M_S = 0.27
"""Mean flow of an inlet that nobody measured, by its area: Valen-Sendstad 2015,
doi:10.1007/s10439-015-1288-5."""

HARMONICS = 10
SHARPNESS, PEAK = 3.0, 1.7
"""The default pulse: how narrow it is, and its peak in units of the mean flow."""


class UnusableWaveform(ValueError):
    """A waveform cannot be read; the text says where."""


@dataclass(frozen=True)
class Waveform:
    """Flow over one period as harmonics.

    Attributes:
        period_s: of the heart's cycle.
        harmonics_ml_s: complex amplitudes of exp(i k w t), k from 0; the real part counts.
    """

    period_s: float
    harmonics_ml_s: Complexes

    @property
    def mean_ml_s(self) -> float:
        """The mean flow."""
        return float(self.harmonics_ml_s[0].real)

    @property
    def frequencies_1_s(self) -> Floats:
        """The angular frequency of each harmonic."""
        turns = np.arange(len(self.harmonics_ml_s), dtype=np.float64)
        return np.asarray(2.0 * np.pi / self.period_s * turns)

    def flow_ml_s(self, times_s: npt.ArrayLike) -> Floats:
        """Return the flow at some times."""
        turns = np.exp(1j * np.multiply.outer(np.asarray(times_s), self.frequencies_1_s))
        return np.asarray((turns @ self.harmonics_ml_s).real)

    def scaled(self, mean_ml_s: float) -> Waveform:
        """Return the same shape with another mean flow."""
        return Waveform(self.period_s, self.harmonics_ml_s * (mean_ml_s / self.mean_ml_s))


def steady(flow_ml_s: float) -> Waveform:
    """Return a flow that does not change."""
    return Waveform(1.0, np.array([flow_ml_s], np.complex128))


def pulse(mean_ml_s: float, period_s: float) -> Waveform:
    """Return a smooth pulse with its peak, 1.7 times the mean, at 15 percent of the period.

    It is a constant and a von Mises pulse, exp(3 cos(w t)): an analytic stand-in, like the flow
    of a carotid artery in peak and foot but measured in nobody.
    """
    order = np.arange(HARMONICS)
    shape = np.where(order > 0, 2.0, 1.0) * ive(order, SHARPNESS) / ive(0, SHARPNESS)
    depth = (PEAK - 1.0) / (1.0 / ive(0, SHARPNESS) - 1.0)
    shape[1:] *= depth
    turned = shape * np.exp(-2j * np.pi * order * 0.15)
    return Waveform(period_s, mean_ml_s * turned)


def read_waveform(text: str, period_s: float) -> Waveform:
    """Return the waveform of pairs "time flow" (s, mL/s), one for each line or semicolon.

    Time and flow may be parted by a comma. Between the times the flow runs straight, and from
    the last back to the first.

    Raises:
        UnusableWaveform: if a pair cannot be read, the times do not ascend within the period,
            there are fewer than four, or the mean flow is not positive.
    """
    pairs = []
    for number, line in enumerate(filter(None, map(str.strip, re.split(r"[;\n]", text))), 1):
        try:
            time, flow = (float(word) for word in re.split(r"[,\s]+", line))
        except ValueError as error:
            raise UnusableWaveform(
                f'pair {number} of the waveform, {line!r}, is no pair "time flow"; write such as '
                '"0 3.1; 0.1 5.2"'
            ) from error
        pairs.append((time, flow))
    times, flows = np.array(pairs, float).reshape(-1, 2).T
    if len(times) < 4 or not (np.isfinite(times).all() and np.isfinite(flows).all()):
        raise UnusableWaveform("a waveform needs at least four pairs of finite numbers")
    if (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] > period_s:
        raise UnusableWaveform(
            f"the times of the waveform must ascend from 0 to the period of {period_s:g} s"
        )
    at = period_s * np.arange(512) / 512
    spectrum = np.fft.rfft(np.interp(at, times, flows, period=period_s)) / 512
    spectrum[1:] *= 2.0
    if spectrum[0].real <= 0:
        raise UnusableWaveform("the mean flow of the waveform must be positive: into the vessel")
    return Waveform(period_s, spectrum[:HARMONICS])


def split_fractions(diameters_mm: Sequence[float], exponent: float) -> Floats:
    """Return how flow divides by a power of the diameters; exponent 3 is Murray's law (1926)."""
    powers = np.array(diameters_mm, float) ** exponent
    return np.asarray(powers / powers.sum())


@dataclass
class Windkessel:
    """A resistance, then a compliance beside a second resistance, behind one outlet.

    Without compliance only the resistances count; with neither, the pressure is zero.

    Attributes:
        proximal, distal: resistances in Pa s/mL.
        compliance: mL/Pa.
        stored_pa: the pressure of the compliance now.
    """

    proximal: float = 0.0
    distal: float = 0.0
    compliance: float = 0.0
    stored_pa: float = 0.0

    def settled(self, wave: Waveform, share: float) -> float:
        """Return the compliance's pressure at the start of a cycle that repeats itself.

        The outlet takes a ``share`` of the flow of a waveform.
        """
        turns = 1.0 + 1j * wave.frequencies_1_s * self.distal * self.compliance
        return float(share * self.distal * (wave.harmonics_ml_s / turns).real.sum())

    def line(self, step_s: float) -> tuple[float, float]:
        """Return a and b of pressure = a + b flow at the end of a step (backward Euler)."""
        if self.compliance <= 0.0:
            return 0.0, self.proximal + self.distal
        fade = 1.0 + step_s / (self.distal * self.compliance)
        return self.stored_pa / fade, self.proximal + step_s / self.compliance / fade

    def advance(self, flow_ml_s: float, step_s: float) -> None:
        """Let a flow run into it for one step."""
        if self.compliance > 0.0:
            a, b = self.line(step_s)
            self.stored_pa = a + (b - self.proximal) * flow_ml_s


class Outflow:
    """What outlets answer to the waves that reach them, so that each follows its law.

    Every outlet is met by a wave p + Z Q from inside, with the acoustic impedance Z = rho c / A
    of its section, and answers with a wave p - Z Q. The answer is drawn toward what the law asks
    for, so that slow changes follow the law and fast ones, which are sound, leave. What enters
    the lumen is known, and blood is not compressed: as it changes the answers change at once, by
    the outlets' shares, so that outflow does not lag behind. An outlet with a prescribed flow
    knows it; the others obey p = a + b Q of their `Windkessel`.

    The uniform part of the pressure moves nothing in a stiff vessel. It is taken out here as
    ``gauge_pa``, the mean of the outlets' pressures weighted by their shares of the flow.
    """

    def __init__(
        self, impedances: Floats, shares: Floats, laws: Sequence[Windkessel | None], pull: float
    ) -> None:
        """Take impedances (Pa s/mL), shares of the flow, and for each outlet its law.

        A law of None prescribes the outlet's share of the inflow. ``pull`` is how much of the
        way to its law an outlet goes in one step.
        """
        self.gauge_pa = 0.0
        self._z, self._shares, self._laws, self._pull = impedances, shares, list(laws), pull
        self._given = np.array([law is None for law in self._laws])
        self._answers = np.zeros(len(shares))
        self._expected = np.zeros(len(shares))

    def start(self, pressures_pa: Floats, flows_ml_s: Floats) -> None:
        """Begin from pressures, less the gauge, and outflows that hold already."""
        self._answers = pressures_pa - self._z * flows_ml_s
        self._expected = np.array(flows_ml_s)

    def state(self) -> Floats:
        """Return (3, outlets) all that changes.

        It is answers, stored pressures, 0 without a law, and the flows that were expected.
        """
        stored = [law.stored_pa if law else 0.0 for law in self._laws]
        return np.array([self._answers, stored, self._expected])

    def restore(self, state: Floats) -> None:
        """Go back to what `state` returned."""
        self._answers, self._expected = np.array(state[0]), np.array(state[2])
        for law, stored in zip(self._laws, state[1].tolist()):
            if law is not None:
                law.stored_pa = stored

    def answers_pa(
        self, flows_ml_s: Floats, inflow_ml_s: float, step_s: float, begun: bool = True
    ) -> Floats:
        """Return the answers p - Z Q of the outlets, less the gauge, from the outflows now.

        Until the flow has ``begun`` compliances keep their charge, which little flow would drain.
        """
        waves = self._answers + 2.0 * self._z * flows_ml_s
        lines: list[Any] = [law.line(step_s) if law else (0.0, 0.0) for law in self._laws]
        a, b = np.array(lines).T
        self.gauge_pa = float(self._shares @ (a + b * flows_ml_s))
        wanted = waves - 2.0 * self._z * (waves + self.gauge_pa - a) / (self._z + b)
        # A prescribed flow is approached by what is missing from it, which leaves no remainder.
        expected = self._shares * inflow_ml_s
        missing = expected - flows_ml_s
        wanted = np.where(self._given, self._answers - 2.0 * self._z * missing, wanted)
        self._answers += self._pull * (wanted - self._answers)
        self._answers -= self._z * (expected - self._expected)
        self._expected = expected
        for law, flow in zip(self._laws, flows_ml_s):
            if law is not None and begun:
                law.advance(float(flow), step_s)
        return self._answers.copy()
