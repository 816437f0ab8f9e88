"""Cases and ensembles on a Dask cluster of this machine."""

import json

import pytest

from workstation.__main__ import main
from workstation.bands import with_spread
from workstation.case import create_case
from workstation.cluster import ClusterError, connected, each, spread_over
from workstation.plan_run import run_plan
from workstation.planning.plan import Plan, Step

WEIGHT = "patient.body_weight_kg"
PLAN = Plan("", {}, (Step("planning.patient", "patient", params={"body_weight_kg": 70.0}),))


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    settings = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    with (
        distributed.LocalCluster(**settings, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_an_ensemble_on_the_cluster_gives_what_it_gives_here(client):
    plan = with_spread(PLAN, "patient", [(WEIGHT, 60.0, 90.0)], 6)
    here, there = {}, {}
    run_plan(plan, here)
    run_plan(plan, there, spread_over=spread_over(client))
    assert here == there


def test_work_that_is_stopped_is_called_off(client):
    class Stopped(RuntimeError):
        pass

    def progress(fraction, message=""):
        raise Stopped

    with pytest.raises(Stopped):
        each(client, str, [1, 2, 3], lambda number, result: None, progress)


def test_an_address_where_nobody_listens_is_named(monkeypatch):
    monkeypatch.setattr("workstation.cluster.CONNECT_S", 0.3)
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9"), connected("tcp://127.0.0.1:9"):
        pass


def test_cases_run_where_the_cluster_is(client, tmp_path, capsys):
    for name in ("first", "second"):
        with create_case(tmp_path / name) as case:
            case.add_plan(PLAN, "Patient")
    paths = [str(tmp_path / name) for name in ("first", "second", "absent")]
    code = main(["run", *paths, "--cluster", client.scheduler.address, "--json"])
    captured = capsys.readouterr()
    first, second, absent = json.loads(captured.out)
    assert code == 1
    assert first["steps"][0]["state"] == second["steps"][0]["state"] == "fresh"
    assert "absent" in absent["error"]["detail"] + absent["error"]["title"]
    assert captured.err.count("hilum:") == 1
