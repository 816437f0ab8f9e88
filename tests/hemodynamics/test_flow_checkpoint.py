"""A flow that was stopped goes on where it was, and ends in the same bits as one that was not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hemodynamics import flow_checkpoint
from hemodynamics.flow import simulate_flow
from hemodynamics.flow_checkpoint import keeper_of
from tests.hemodynamics.tubes import capped_tube

RUNS = {
    "steady": {"spacing_mm": 0.8, "settled_percent": 0.1},
    "levels": {"spacing_mm": 0.36, "settled_percent": 3.0},
    "cycles": {"spacing_mm": 0.7, "kind": "pulsatile", "period_s": 0.3, "frames": 8,
               "outlets": "windkessel"},
}  # fmt: skip


class Killed(Exception):
    """What a person does to a run."""


@pytest.fixture
def always(monkeypatch, tmp_path):
    """Keep every checkpoint, in a folder of the test's own, and make time pass quickly."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(flow_checkpoint, "EVERY_S", -1.0)
    monkeypatch.setattr("hemodynamics.flow_march.TOLD_S", 0.0)
    monkeypatch.setattr("hemodynamics.flow_setup.FEW_CELLS", 1500)
    return tmp_path


@pytest.mark.parametrize("what", RUNS)
def test_a_stopped_flow_goes_on_to_the_same_bits(what, always):
    mesh = capped_tube(2.0, 8.0, rings=12)[0]
    options = {"mean_flow_ml_s": 0.5, **RUNS[what]}
    steps = []

    def listen(fraction, message=""):
        if "step" in message:
            steps.append(message)

    whole = simulate_flow(mesh, progress=listen, **options)
    assert not list(always.rglob("*.npz"))
    stop_at, told = int(0.8 * len(steps)), []

    def stop(fraction, message=""):
        if "step" in message:
            told.append(message)
            if len(told) == stop_at:
                raise Killed

    with pytest.raises(Killed):
        simulate_flow(mesh, progress=stop, **options)
    assert len(list(always.rglob("*.npz"))) == 1
    steps.clear()
    again = simulate_flow(mesh, progress=listen, **options)
    assert len(steps) < 0.7 * stop_at
    assert np.array_equal(again.velocity_m_s, whole.velocity_m_s)
    assert np.array_equal(again.wss_pa, whole.wss_pa)
    assert again.numbers == whole.numbers
    assert not list(always.rglob("*.npz"))


PULSE = {**RUNS["cycles"], "mean_flow_ml_s": 0.5}
ALONE = """
from hemodynamics import flow_checkpoint, flow_march
from hemodynamics.flow import simulate_flow
from tests.hemodynamics.test_flow_checkpoint import PULSE
from tests.hemodynamics.tubes import capped_tube

flow_checkpoint.EVERY_S, flow_march.TOLD_S = -1.0, 0.0
tell = lambda fraction, message="": print(message, flush=True)
simulate_flow(capped_tube(2.0, 8.0, rings=12)[0], progress=tell, **PULSE)
"""


def cycles_done(message):
    """Return how many of the three cycles a message tells of."""
    found = re.match(r"step ([\d,]+) of at most ([\d,]+)", message)
    return 3.0 * int(found[1].replace(",", "")) / int(found[2].replace(",", "")) if found else 0.0


def test_a_pulse_killed_with_its_process_goes_on_within_the_cycle_to_the_same_bits(always):
    root = str(Path(__file__).parents[2])
    places = {"TMPDIR": str(always), "PYTHONPATH": root}
    with subprocess.Popen(
        [sys.executable, "-c", ALONE], stdout=subprocess.PIPE, text=True, env=os.environ | places
    ) as process:
        for line in process.stdout:
            if cycles_done(line) > 1.6:
                process.kill()
                break
    (always / next(always.rglob("*.npz"))).with_suffix(".part").write_bytes(b"cut off")
    told = []
    mesh = capped_tube(2.0, 8.0, rings=12)[0]
    again = simulate_flow(mesh, progress=lambda _, text="": told.append(text), **PULSE)
    assert 1.4 < min(filter(None, map(cycles_done, told))) < 2.0
    assert not [path for path in always.rglob("*") if path.is_file()]
    whole = simulate_flow(mesh, **PULSE)
    assert again.numbers == whole.numbers
    for name in ("velocity_m_s", "pressure_pa", "wss_pa", "residuals", "times_s"):
        assert np.array_equal(getattr(again, name), getattr(whole, name))
    for name in ("flows_ml_s", "opening_pressures_pa"):
        kept, never = getattr(again, name), getattr(whole, name)
        assert all(np.array_equal(kept[end], never[end]) for end in never)


def test_only_the_same_computation_goes_on_and_a_broken_file_is_none(always):
    one = keeper_of("a", np.arange(3))
    one.keep([0.0, 1.0], lambda: {"x": np.ones(2)})
    assert keeper_of("a", np.arange(3)).reached() == [0.0, 1.0]
    assert keeper_of("a", np.arange(3)).at(0, 1).found["x"].sum() == 2
    assert keeper_of("a", np.arange(3)).at(1, 1).found is None
    for other in (("b", np.arange(3)), ("a", np.arange(4)), ("a", np.arange(3.0))):
        assert keeper_of(*other).reached() == []
    one.path.write_bytes(one.path.read_bytes()[:100])
    assert keeper_of("a", np.arange(3)).reached() == []
