import json

import pytest

from workstation import benchmark
from workstation.benchmark import SUITES, Row, median_ms, table, to_json


def test_the_median_leaves_the_warming_up_out():
    calls: list[int] = []
    assert median_ms(lambda: calls.append(1), 3) >= 0.0
    assert len(calls) == 4


@pytest.mark.parametrize("name", ["start-up", "surface", "threshold", "preview"])
def test_suites_measure_beside_their_peers(monkeypatch, name):
    def once(work, repeats=1):
        work()
        return 2.0

    monkeypatch.setattr(benchmark, "median_ms", once)
    (row,) = benchmark.run([name], peers=True)
    assert row.ms == 2.0
    assert row.ratio == (1.0 if row.peer else None)
    (alone,) = benchmark.run([name])
    assert alone.peer_ms is None


def test_rows_in_json_and_as_text():
    rows = [Row("a", "first", 10.0, 33.0), Row("b", "second", 5.0, None, "peer", 20.0)]
    document = json.loads(json.dumps(to_json(rows)))
    assert [row["ratio"] for row in document["rows"]] == [None, 0.25]
    assert document["cores"] >= 1
    assert "0.25" in table(rows).splitlines()[2]


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no benchmark 'magic'; there are: start-up"):
        benchmark.run(["magic"])
    assert {"start-up", "views", "dicom", "surface"} <= set(SUITES)
