import numpy as np
import pytest

from hemodynamics.boundary import (
    Outflow,
    UnusableWaveform,
    Windkessel,
    pulse,
    read_waveform,
    split_fractions,
    steady,
)


def test_the_default_pulse_has_its_mean_and_peak():
    wave = pulse(4.0, 0.8)
    times = 0.8 * np.arange(1000) / 1000
    flow = wave.flow_ml_s(times)
    assert wave.mean_ml_s == pytest.approx(4.0)
    assert flow.mean() == pytest.approx(4.0)
    assert flow.max() == pytest.approx(6.8, rel=1e-3)
    assert times[flow.argmax()] == pytest.approx(0.12, abs=1e-3)
    assert flow.min() > 0.7 * 4.0


def test_pairs_become_harmonics():
    times = np.arange(64) / 64
    text = "\n".join(
        f"{t}, {3 + np.cos(2 * np.pi * t) + 0.5 * np.sin(4 * np.pi * t)}" for t in times
    )
    wave = read_waveform(text, 1.0)
    expected = np.array([3, 1, -0.5j, 0])
    assert np.allclose(wave.harmonics_ml_s[:4], expected, atol=5e-3)
    assert wave.scaled(6.0).flow_ml_s(0.0) == pytest.approx(2 * wave.flow_ml_s(0.0))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 1; 0.1 x; 0.2 3; 0.3 4", "pair 2"),
        ("0 1; 0.2 3; 0.1 2; 0.3 4", "ascend"),
        ("0 1; 0.2 3; 0.4 2; 1.3 4", "period of 1 s"),
        ("0 1; 0.2 3", "at least four"),
        ("0 -1; 0.2 -3; 0.3 -1; 0.4 0", "positive"),
    ],
)
def test_a_waveform_that_cannot_be_used_is_refused(text, why):
    with pytest.raises(UnusableWaveform, match=why):
        read_waveform(text, 1.0)


def test_worked_examples_of_the_split():
    assert split_fractions([2.0, 1.5], 3)[0] == pytest.approx(0.7033, abs=1e-4)
    assert split_fractions([2.0, 1.5], 2)[0] == pytest.approx(0.6400, abs=1e-4)


@pytest.mark.parametrize(
    ("proximal", "distal", "compliance"), [(10, 1000, 1e-3), (50, 300, 1e-3), (0, 800, 5e-4)]
)
def test_a_windkessel_has_its_impedance(proximal, distal, compliance):
    law = Windkessel(proximal, distal, compliance, stored_pa=distal)
    omega, step = 2 * np.pi, 1e-3
    times = step * np.arange(1, round((5 * distal * compliance + 2) / step) + 1)
    last = times > times[-1] - 1.0
    flows = 1.0 + np.cos(omega * times)
    pressures = np.empty_like(times)
    for n, flow in enumerate(flows):
        a, b = law.line(step)
        pressures[n] = a + b * flow
        law.advance(flow, step)
    assert law.stored_pa == pytest.approx(pressures[-1] - proximal * flows[-1])
    impedance = proximal + distal / (1 + 1j * omega * distal * compliance)
    expected = proximal + distal + (impedance * np.exp(1j * omega * times)).real
    assert np.abs(pressures - expected)[last].max() < 0.02 * (distal + proximal)


class Junction:
    """Short tubes from one junction to the outlets: only sound goes to and fro in them."""

    def __init__(self, outflow, impedances):
        self.outflow, self.z, self.answers = outflow, impedances, np.zeros(len(impedances))

    def step(self, inflow, dt):
        """Return pressures and flows of the outlets after a step."""
        pressure = (inflow + (self.answers / self.z).sum()) / (1 / self.z).sum()
        flows = (pressure - self.answers) / self.z
        self.answers = self.outflow.answers_pa(flows, inflow, dt)
        return self.answers + self.z * flows, flows


def test_outlets_settle_to_their_laws():
    z = np.array([100.0, 150.0])
    shares = np.array([0.7, 0.3])
    laws = [Windkessel(distal=300.0), Windkessel(distal=700.0)]
    pipe = Junction(Outflow(z, shares, laws, 0.05), z)
    for _ in range(4000):
        held, flows = pipe.step(2.0, 1e-4)
    assert flows == pytest.approx([1.4, 0.6], rel=1e-3)
    assert held + pipe.outflow.gauge_pa == pytest.approx([420, 420], rel=1e-3)


def test_a_prescribed_share_is_met():
    z, shares = np.array([100.0, 100.0]), np.array([0.8, 0.2])
    pipe = Junction(Outflow(z, shares, [Windkessel(), None], 0.05), z)
    for _ in range(4000):
        _, flows = pipe.step(3.0, 1e-4)
    assert flows == pytest.approx([2.4, 0.6], rel=1e-3)


def test_a_fast_wave_leaves():
    z = np.array([100.0])
    outflow = Outflow(z, np.ones(1), [Windkessel()], 0.01)
    answers = np.zeros(1)
    for n in range(200):  # a pulse of sound, over in a few steps: p + Z Q is twice its size
        size = np.exp(-(((n - 20) / 5) ** 2))
        answers = outflow.answers_pa((size - answers / 2) / z, 0.0, 1e-4)
        assert abs(answers[0]) < 0.2


def test_steady_flow_has_no_harmonics():
    assert steady(2.5).flow_ml_s([0.0, 0.3]).tolist() == [2.5, 2.5]
