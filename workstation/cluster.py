"""Work spread over a Dask cluster: many cases, or the members of one ensemble.

Dask sends Python objects between its processes, so a cluster must stand in a network whose
every member is trusted. Cases are opened where they run: their folders must be reachable there
under the same paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from segmentation.contract import Progress, silent
from workstation.variants import Outcome, Spread, Task, Work

LOCAL = "local"
"""The address that starts workers on this machine instead."""

CONNECT_S, POLL_S = 10.0, 0.2


class ClusterError(RuntimeError):
    """A cluster cannot be reached or used."""

    remedy = "Check the address and that a Dask scheduler listens there, or leave --cluster out."


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a Dask client of the scheduler at ``address``, such as "tcp://host:8786".

    Raises:
        ClusterError: if Dask is not installed, or nothing answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClusterError(
            "Dask is not installed; install Hilum with its extra: pip install 'hilum[cluster]'"
        ) from error
    if address == LOCAL:
        with LocalCluster(threads_per_worker=1, dashboard_address=None) as here, Client(here) as c:
            yield c
        return
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}") from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise ClusterError(f"the Dask scheduler at {address} has no workers")
        yield client


def each(
    client: Any,
    work: Callable[[Any], Any],
    items: Sequence[Any],
    found: Callable[[int, Any], None],
    progress: Progress,
) -> None:
    """Call ``work`` on every item on the cluster, and ``found(number, result)`` here.

    What has not begun is called off if ``progress`` raises.

    Raises:
        ClusterError: if a worker dies or the connection is lost.
    """
    from distributed import CancelledError, KilledWorker, as_completed, wait

    futures = [client.submit(work, item, pure=False) for item in items]
    numbers = {future: number for number, future in enumerate(futures)}
    try:
        left = set(futures)
        while left:
            progress(1 - len(left) / len(futures), f"{len(left)} of {len(futures)} on the cluster")
            done = _done(wait, left)
            for future in as_completed(done):
                found(numbers[future], future.result())
            left -= done
    except (KilledWorker, CancelledError) as error:
        raise ClusterError(f"the cluster lost a piece of work ({error})") from error
    finally:
        client.cancel(futures)


def _done(wait: Callable[..., Any], left: set[Any]) -> set[Any]:
    try:
        return set(wait(left, POLL_S, "FIRST_COMPLETED").done)
    except TimeoutError:
        return set()


def spread_over(client: Any) -> Spread:
    """Return what does the members of an ensemble on the cluster."""

    def spread(
        work: Work,
        tasks: Sequence[Task],
        found: Callable[[int, Outcome], None],
        progress: Progress,
    ) -> None:
        each(client, _Quiet(work), tasks, found, progress)

    return spread


class _Quiet:
    """Work without anybody to tell of its progress; can be sent to another process."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, task: Task) -> Outcome:
        return self.work(task, silent)
