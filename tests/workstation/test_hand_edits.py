"""Long sequences of strokes: undo, replay, and what they cost in memory and on disk."""

from pathlib import Path

import numpy as np
import pytest

from segmentation.volume import EditLog, LabelPatch
from tests.workstation.test_session import make_session, replayed
from workstation.formats import digest_value, size_of
from workstation.session import Session
from workstation.store import ResultStore
from workstation.value_format import DamagedValue

ACTIONS = 500
CAP_BYTES = 20_000


def random_patch(rng: np.random.Generator, array: np.ndarray) -> LabelPatch:
    low = [int(rng.integers(0, n - 2)) for n in array.shape]
    block = tuple(slice(a, a + int(rng.integers(1, 5))) for a in low)
    before = array[block].copy()
    after = np.where(rng.random(before.shape) < 0.7, rng.integers(0, 2), before)
    return LabelPatch((low[0], low[1], low[2]), before, after.astype(before.dtype))


@pytest.fixture
def session(tmp_path: Path):
    session = make_session(tmp_path)
    yield session
    session.close()


def test_500_edits_undos_and_redos_end_in_the_plan_replayed_from_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hand saw after each stroke, the plan gives again; memory stays within its limit."""
    monkeypatch.setattr("os.fsync", lambda handle: None)  # a thousand waits for the disk
    rng = np.random.default_rng(7)
    case = session.require_case()
    case.values.sources.memory_bytes = case.values.results.memory_bytes = CAP_BYTES
    states = [session.value("organ").array]
    position = 0
    for _ in range(ACTIONS):
        action = rng.choice(("stroke", "undo", "redo"), p=(0.5, 0.3, 0.2))
        if action == "stroke":
            patch = random_patch(rng, states[position])
            session.add_patch("organ", patch)
            states = [*states[: position + 1], patch.applied(states[position])]
            position += 1
        elif action == "undo" and position:
            session.undo()
            position -= 1
        elif action == "redo" and position + 1 < len(states):
            session.redo()
            position += 1
        held = case.values.sources
        assert held._kept_bytes() <= CAP_BYTES + max(map(size_of, held._kept.values()))
    assert position > 20, "the sequence must end on a long chain"
    session.compute_job().run()
    assert np.array_equal(session.value("organ").array, states[position])
    assert digest_value(session.value("organ")) == replayed(session, "organ")


def test_a_stroke_costs_no_more_after_many_others(session: Session) -> None:
    rng = np.random.default_rng(1)
    case = session.require_case()
    array, sizes = session.value("organ").array, []
    for _ in range(40):
        patch = random_patch(rng, array)
        array = patch.applied(array)
        session.add_patch("organ", patch)
        key = session.require_plan().sources["organ_edits"]
        sizes.append(sum(p.stat().st_size for p in (case.folder / "sources").glob(f"{key}.*")))
    assert max(sizes[-10:]) < 1.5 * max(sizes[1:11])
    log = ResultStore(case.folder / "sources")[key]
    assert len(log.patches) == 1
    assert len(list(log.all_patches())) == 40


def test_logs_written_as_a_whole_go_on_as_a_chain(session: Session) -> None:
    """Cases of earlier releases hold all patches in one file, under the same key."""
    rng = np.random.default_rng(2)
    labels, case = session.value("organ"), session.require_case()
    patches = [random_patch(rng, labels.array) for _ in range(3)]
    whole = EditLog(labels.geometry, tuple(patches))
    key = case.add_edits("organ_edits", whole)
    longer = whole.then(patches[0])
    assert longer.earlier is not None
    assert longer.earlier.digest == key
    case.add_edits("organ_edits", longer)
    fresh = ResultStore(case.folder / "sources")[longer.digest]
    assert [p.corner for p in fresh.all_patches()] == [p.corner for p in (*patches, patches[0])]
    assert fresh.digest == longer.digest


def test_a_lost_link_of_the_chain_is_said(session: Session) -> None:
    rng = np.random.default_rng(2)
    labels, case = session.value("organ"), session.require_case()
    first = EditLog(labels.geometry).then(random_patch(rng, labels.array))
    second = first.then(random_patch(rng, labels.array))
    case.add_edits("organ_edits", second)  # keeps what it continues, too
    (case.folder / "sources" / f"{first.digest}.json").unlink()
    with pytest.raises(DamagedValue, match="restore the case's backup"):
        list(ResultStore(case.folder / "sources")[second.digest].all_patches())
