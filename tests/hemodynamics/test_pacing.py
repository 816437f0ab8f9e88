"""The number of threads follows what is fastest now."""

from types import SimpleNamespace
from typing import Any, cast

from hemodynamics.pacing import AGAIN_S, Pacer

CELLS = 50_000


class Machine:
    """A lattice and a clock: so many seconds a step takes with two threads and with one."""

    def __init__(self, two_s: float, one_s: float) -> None:
        self.seconds = {2: two_s, 1: one_s}
        self.time = 0.0
        self.lattice: Any = SimpleNamespace(threads=2, layout=SimpleNamespace(cells=CELLS))
        self.pacer = Pacer(cast("Any", self.lattice), lambda: self.time)

    def run(self, seconds: float) -> dict[int, float]:
        """Return for how long which number of threads was used."""
        used, end = {1: 0.0, 2: 0.0}, self.time + seconds
        while self.time < end:
            used[self.lattice.threads] += self.seconds[self.lattice.threads]
            self.time += self.seconds[self.lattice.threads]
            self.pacer.step()
        return used


def test_a_quiet_machine_takes_all_threads_and_tries_nothing_else() -> None:
    assert Machine(0.0005, 0.001).run(20.0)[1] == 0.0


def test_a_busy_machine_takes_one_and_all_again_when_it_is_quiet() -> None:
    machine = Machine(0.01, 0.001)
    used = machine.run(30.0)
    assert used[1] > 0.85 * 30.0
    machine.seconds[2] = 0.0005
    machine.run(2 * AGAIN_S)
    assert machine.run(20.0)[1] == 0.0


def test_a_slow_machine_keeps_all_threads_where_one_is_slower_still() -> None:
    used = Machine(0.01, 0.019).run(60.0)
    assert used[2] > 0.8 * 60.0


def test_one_thread_stays_one() -> None:
    machine = Machine(0.01, 0.01)
    machine.lattice.threads = 1
    machine.pacer = Pacer(machine.lattice, lambda: machine.time)
    assert machine.run(5.0)[2] == 0.0
