"""How much sound comes back from an outlet, by its law; tested on the lattice itself."""

import numpy as np
import pytest

from hemodynamics.boundary import Waveform, Windkessel
from hemodynamics.domain import divide
from hemodynamics.flow_run import Run, Scales
from tests.hemodynamics.tubes import capped_tube

RADIUS, LENGTH, CELL, STEP = 1.5, 80.0, 0.5, 2e-5
WIDTH, SIZE, BEGINS = 16.0, 0.01, 50.0
SOUND = 1 / np.sqrt(3)
LONG = LENGTH / CELL


def returned(law):
    """Return the largest wave that runs back from an outlet, of the one that reached it.

    A pulse of sound, set right in the fluid, runs through a tube; the two directions are told
    apart by pressure and speed on one plane.
    """
    mesh, axis = capped_tube(RADIUS, LENGTH, rings=60, turn=((1, 0.4, 0.2), 0.0))
    domain = divide(mesh, CELL)
    scales = Scales(CELL, STEP, 1060.0, 0.0035)
    z = scales.impedance(domain.openings[1].area_mm2)
    if law is not None:
        law = Windkessel(law[0] * z, law[1] * z, law[2] / (law[1] * z) if law[2] else 0.0)
    still = Waveform(1.0, np.zeros(1, complex))
    run = Run(mesh, domain, scales, still, {"inlet": 1.0}, {"outlet_1": 1.0}, [law], 1e-9)
    along = domain.cells_mm @ axis / CELL
    along -= along.min()
    state = np.zeros((10, len(along)), np.float32)
    state[0] = SIZE * np.exp(-(((along - BEGINS) / WIDTH) ** 2))
    state[1:4] = np.outer(axis, SOUND * state[0])
    run.lattice.start(state)
    plane = np.abs(along - 0.75 * LONG) < 1
    forth, back = [], []
    for _ in range(round((1.25 * LONG - BEGINS + 3 * WIDTH) / SOUND)):
        run.fill()
        density, *velocity = run.lattice.state()[:4]
        pressure, speed = density[plane].mean() / 3, (axis @ velocity)[plane].mean()
        forth.append(0.5 * (pressure + SOUND * speed))
        back.append(0.5 * (pressure - SOUND * speed))
        run.step()
    passed = round((0.75 * LONG - BEGINS + 2.5 * WIDTH) / SOUND)
    return np.abs(back[passed:]).max() / max(forth)


@pytest.mark.parametrize(
    "law",
    [(0.0, 0.0, 0.0), (0.0, 20.0, 0.0), (1.0, 9.0, 1.5), (10.0, 90.0, 1.5), None],
    ids=["pressure", "resistance", "windkessel", "stiff windkessel", "prescribed flow"],
)
def test_little_of_a_pulse_of_sound_comes_back(law):
    assert returned(law) < 0.1
