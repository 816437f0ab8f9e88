"""Skull and jaw: the smallest cut, a drawn head, and a real one."""

import numpy as np
import pytest
from scipy import ndimage

from segmentation.cuts import cut_off
from segmentation.skull import NoSkull, propose_skull
from segmentation.volume import ImageGeometry, Volume
from tests.segmentation.thorax import thorax

GRID = ImageGeometry((110, 130, 100), (1.8,) * 3, (-98, -116, -90), np.eye(3).ravel(), "1")


@pytest.mark.parametrize("diagonals", [False, True])
def test_the_smallest_cut_of_a_dumbbell_is_its_bar(diagonals):
    k, j, i = np.indices((15, 15, 40))
    bar = (np.hypot(k - 7, j - 7) < 2.5) & (i > 5) & (i < 34)
    balls = [np.sqrt((k - 7) ** 2 + (j - 7) ** 2 + (i - c) ** 2) < 6.5 for c in (7, 31)]
    waist = ~((i == 20) & (np.hypot(k - 7, j - 7) > 1.2))
    mask = (bar | balls[0] | balls[1]) & waist
    own, others = mask & (i < 3), mask & (i > 36)
    even = np.ones(mask.shape, np.float32)
    left = cut_off(mask, own, others, even, (1.0, 1.0, 1.0), diagonals=diagonals)
    assert np.array_equal(left, mask & (i < 20)) or np.array_equal(left, mask & (i < 21))


def test_a_cut_prefers_soft_to_hard():
    mask = np.ones((1, 1, 10), bool)
    resistance = np.full(mask.shape, 5.0, np.float32)
    resistance[0, 0, 6] = 1.0
    own, others = np.zeros_like(mask), np.zeros_like(mask)
    own[0, 0, 0] = others[0, 0, 9] = True
    kept = int(cut_off(mask, own, others, resistance, (1.0, 2.0, 3.0)).sum())
    assert kept in (6, 7)


def test_what_hangs_on_neither_mark_is_left_alone():
    mask = np.array([[[True, True, False, True, False, True]]])
    own, others = np.zeros_like(mask), np.zeros_like(mask)
    own[0, 0, 0] = others[0, 0, 5] = True
    kept = cut_off(mask, own, others, np.ones(mask.shape, np.float32), (1.0, 1.0, 1.0))
    assert kept.ravel().tolist() == [True, True, False, False, False, False]


def head():
    """A braincase, a face, a jaw that touches it at two joints and the teeth, and a neck."""
    index = np.stack(np.indices(GRID.shape)[::-1], axis=-1)
    x, y, z = np.moveaxis(GRID.to_world(index), -1, 0)
    radius = np.sqrt((x / 0.8) ** 2 + y**2 + ((z - 25) / 0.8) ** 2)
    skin = (radius < 102) | ((np.hypot(x / 0.75, y + 25) < 70) & (z < 0))
    shell = (radius < 92) & (radius > 84)
    face = (np.abs(x) < 30) & (y > -95) & (y < -60) & (z > -48) & (z < -20)
    arch = np.abs(np.hypot(x, 0.62 * (y + 20)) - 45) < 4.5
    jaw = arch & (y < -20) & (z > -82) & (z < -62)
    ramus = (np.abs(np.abs(x) - 45) < 4.5) & (y > -26) & (y < -8) & (z > -82) & (z < -38)
    jaw |= ramus
    teeth = arch & (np.abs(x) < 14) & (y < -70) & (z >= -62) & (z < -48)
    joint = (np.abs(np.abs(x) - 45) < 2) & (np.abs(y + 17) < 3) & (z >= -38) & (z < -20)
    neck = (np.hypot(x, y - 12) < 13) & (z < -50)
    hu = np.full(x.shape, -1000.0)
    hu[skin] = 40
    for part, level in ((shell, 900), (face, 700), (jaw, 800), (teeth, 1200), (neck, 500)):
        hu[part & skin] = level
    hu[joint & ~shell & skin] = 250
    random = np.random.default_rng(2)
    hu += random.normal(0, np.where(hu > 400, 200, 8))  # bone is uneven
    return Volume(hu.astype(np.int16), GRID), (shell | face) & skin, jaw & skin


def test_jaw_and_skull_of_a_drawn_head():
    volume, skull, jaw = head()
    found = propose_skull(volume)
    assert [f.code for f in found.findings] == []
    names = {label.name for label in found.labels.values()}
    assert {"skull", "mandible", "cervical spine"} <= names
    for name, truth in (("skull", skull), ("mandible", jaw)):
        assert np.count_nonzero(found.mask(name) & truth) > 0.9 * np.count_nonzero(truth)
        assert ndimage.label(found.mask(name), np.ones((3, 3, 3)))[1] == 1
    assert np.count_nonzero(found.mask("mandible") & skull) < 0.02 * np.count_nonzero(skull)


def test_a_chest_has_no_skull():
    with pytest.raises(NoSkull, match="method 'bone'"):
        propose_skull(thorax().volume)
