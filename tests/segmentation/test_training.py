"""The synthetic scenes, a short training, and the vessel bundle that ships."""

import json

import numpy as np
import pytest

from segmentation.training import __main__ as command
from segmentation.training.bundle import build_network, load_network, shipped_bundle
from segmentation.training.drawing import smooth_field
from segmentation.training.train import (
    CHECKPOINT,
    HELD_OUT,
    Schedule,
    TrainingDivergedError,
    new_learner,
    train,
)
from segmentation.training.tubes import LEAST_DRAWN, TreeStyle, draw, grow, ring, sac
from segmentation.training.vessel_scenes import KINDS, SIZE, make_scene
from segmentation.training.vessel_training import train_vessels


def tube(start, end, radius, level=1.0):
    return np.array([[*start, radius, *end, radius, level]])


def test_a_scene_belongs_to_its_seed():
    one, same, other = make_scene(11, size=32), make_scene(11, size=32), make_scene(12, size=32)
    assert np.array_equal(one.image, same.image)
    assert np.array_equal(one.label, same.label)
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_are_finite_and_their_vessels_are_brighter(kind):
    contrasts = []
    for seed in range(12):
        scene = make_scene(seed, size=48, kind=kind)
        assert scene.kind == kind
        assert scene.image.dtype == np.float32
        assert np.isfinite(scene.image).all()
        assert set(np.unique(scene.label)) <= {0, 1}
        if scene.label.sum() > 50:
            inside = np.median(scene.image[scene.label == 1])
            spread = scene.image[scene.label == 0].std()
            contrasts.append((inside - np.median(scene.image[scene.label == 0])) / spread)
    assert len(contrasts) >= 6
    assert np.median(contrasts) > 0.5


def test_some_scenes_hold_no_vessel():
    empty = [not make_scene(seed, size=32).label.any() for seed in range(40)]
    assert 1 <= sum(empty) <= 25


def test_a_drawn_tube_has_the_analytic_volume_radius_and_place():
    radius, drawing = 4.3, draw(tube((2, 20, 14), (37, 20, 14), 4.3), 40)
    section = drawing.cover[20]
    assert section.sum() == pytest.approx(np.pi * radius**2, rel=0.02)
    assert drawing.label[20].sum() == pytest.approx(np.pi * radius**2, rel=0.06)
    assert drawing.depth[20, 20, 14] == pytest.approx(-radius, abs=1e-5)
    assert drawing.depth[20, 26, 14] == pytest.approx(6 - radius, abs=1e-5)
    assert np.argwhere(drawing.label[20]).mean(axis=0) == pytest.approx([20, 14])


def test_a_tube_thinner_than_a_voxel_is_labelled_without_gaps_and_is_faint():
    drawing = draw(tube((3, 3.4, 5.3), (27, 20.7, 24.6), 0.45), 32)
    assert drawing.label[4:27].any(axis=(1, 2)).all()
    assert drawing.cover.max() < 0.5
    assert LEAST_DRAWN > 0.45


def test_no_tube_draws_nothing():
    drawing = draw(np.zeros((0, 9)), 16)
    assert not drawing.label.any()
    assert not drawing.cover.any()


def test_a_tree_starts_where_it_is_planted_and_its_branches_obey_murray():
    rng = np.random.default_rng(4)
    style = TreeStyle(least_radius=1.0, tortuosity=0.4, branching=6)
    rows = grow(rng, np.array([5.0, 20, 20]), np.array([1.0, 0, 0]), 4.0, 64, style)
    assert rows[0, :4] == pytest.approx([5, 20, 20, 4])
    starts = {tuple(row[:3]) for row in rows}
    ends = {tuple(row[4:7]): row[7] for row in rows}
    children: dict[tuple[float, ...], list[float]] = {}
    for row in rows:
        children.setdefault(tuple(row[:3]), []).append(row[3])
    forks = [(ends[p], r) for p, r in children.items() if p in ends and len(r) == 2]
    assert len(forks) >= 2
    assert starts - set(ends) == {(5.0, 20.0, 20.0)}  # everything hangs on the root
    for _, (one, two) in forks:
        assert max(one, two) < 4.0


def test_a_ring_closes_and_a_sac_touches_its_branch():
    rng = np.random.default_rng(2)
    rows, stations = ring(rng, 80, 2.0)
    assert rows[-1, 4:7] == pytest.approx(rows[0, :3])
    assert len(stations) == len(rows) + 1
    path = [(10.0 + n, 24.0, 24.0, 2.0, 1.0) for n in range(20)]
    for terminal in (True, False):
        balls = sac(rng, path, terminal=terminal, heading=np.array([1.0, 0, 0]))
        both = draw(np.vstack([tube((10, 24, 24), (29, 24, 24), 2.0), balls]), 64)
        alone = draw(tube((10, 24, 24), (29, 24, 24), 2.0), 64)
        assert both.label.sum() > alone.label.sum()


def test_smooth_noise_has_the_deviation_and_grain_it_is_asked_for():
    rng = np.random.default_rng(0)
    field = np.stack([smooth_field(rng, 48, 4) for _ in range(8)])
    assert field.std() == pytest.approx(1, rel=0.25)
    step = np.abs(np.diff(field, axis=1)).mean()
    coarse = np.abs(np.diff(smooth_field(rng, 48, 16), axis=0)).mean()
    assert coarse < 0.5 * step


def test_a_short_training_runs_saves_and_goes_on(tmp_path):
    def run(name, steps, *, resume=False):
        schedule = Schedule(steps=steps, growth=((0, 32),))
        return train_vessels(tmp_path / name, schedule, resume=resume)

    assert np.isfinite(run("whole", 2))
    assert (tmp_path / "whole" / CHECKPOINT).exists()
    trained = load_network(tmp_path / "whole").state_dict()
    fresh = build_network(shipped_bundle("vessels")).state_dict()
    assert trained.keys() == fresh.keys()
    assert any(not np.array_equal(trained[k], fresh[k]) for k in fresh)
    assert np.isfinite(run("whole", 3, resume=True))


def test_a_step_without_a_finite_loss_stops_and_leaves_what_was_saved(tmp_path):
    schedule = Schedule(steps=2, growth=((0, 32),))
    learner = new_learner(shipped_bundle("vessels"), schedule)
    before = {name: value.clone() for name, value in learner.network.state_dict().items()}
    batch = (np.zeros((2, 1, 32, 32, 32), np.float32), np.zeros((2, 1, 32, 32, 32), np.uint8))
    with pytest.raises(TrainingDivergedError, match="step 1 has a loss of nan"):
        train(learner, iter([batch]), lambda out, *_: out.sum() * np.nan, tmp_path, schedule)
    assert not list(tmp_path.iterdir())
    assert all(np.array_equal(before[k], v) for k, v in learner.network.state_dict().items())


def test_a_schedule_needs_one_length_and_two_scenes():
    with pytest.raises(ValueError, match="either the number of steps or the hours"):
        Schedule()
    with pytest.raises(ValueError, match="at least 2"):
        Schedule(steps=1, batch=1)


def test_the_command_refuses_a_resume_without_checkpoint(tmp_path, capsys):
    arguments = ["vessels", "--out", str(tmp_path), "--steps", "1", "--resume", "--threads", "1"]
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    assert "checkpoint.pt" in capsys.readouterr().err


def test_the_bundle_is_complete_small_and_described():
    bundle = shipped_bundle("vessels")
    files = {str(p.relative_to(bundle)) for p in bundle.rglob("*") if p.is_file()}
    assert {
        "LICENSE",
        "configs/inference.json",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.pt",
    } <= files
    assert sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file()) < 20e6
    described = json.loads((bundle / "configs/metadata.json").read_text(encoding="utf-8"))
    channels = described["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert channels == {"0": "background", "1": "vessel"}


def test_the_shipped_weights_find_vessels_in_scenes_they_never_saw():
    import torch

    network = load_network(shipped_bundle("vessels"))
    overlaps = []
    for seed in range(HELD_OUT, HELD_OUT + 6):
        scene = make_scene(seed, size=SIZE, kind="mra")
        pair = torch.from_numpy(np.stack([scene.image] * 2)[:, None])
        with torch.inference_mode():
            mask = network(pair)[0].argmax(0).numpy().astype(bool)
        vessels = scene.label > 0
        total = np.count_nonzero(mask) + np.count_nonzero(vessels)
        overlaps.append(2 * np.count_nonzero(mask & vessels) / total)
    assert np.mean(overlaps) > 0.55
