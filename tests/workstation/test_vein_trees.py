"""Trees of veins, their names after Couinaud, and territories, on a liver whose trees are known."""

from functools import cache

import numpy as np
from scipy import ndimage

from segmentation.volume import Label, LabelMap
from workstation.phantom.anatomy import anatomy
from workstation.phantom.patient import axial_grid
from workstation.phantom.rendering import cones, inside
from workstation.phantom.segments import even_line, true_segments
from workstation.planning.couinaud import hepatic_branches, portal_branches
from workstation.planning.couinaud_names import SEGMENTS, TERRITORIES, VALUES
from workstation.planning.territories import territories
from workstation.planning.vein_parts import one_system, tell_veins_apart
from workstation.planning.vein_tree import vein_tree

GRID_MM = 1.8


def label(mask, grid, name):
    return LabelMap(mask.astype(np.uint8), grid, {1: Label(name)})


@cache
def patient():
    """The liver, the veins in it and their true segments, as perfect label files."""
    shape = anatomy(1, 1)
    grid = axial_grid(shape.liver, GRID_MM, "known")
    masks = []
    for solid in (shape.liver, *(cones(tuple(t.values())) for t in (shape.portal, shape.hepatic))):
        whole = np.zeros(grid.shape, bool)
        block, mask = inside(solid, grid)
        whole[block] = mask
        masks.append(whole)
    liver = masks[0]
    portal, hepatic = (label(m & liver, grid, "vein") for m in masks[1:])
    truth = true_segments(shape.portal, liver, grid)
    return label(liver, grid, "liver"), portal, hepatic, truth, shape


@cache
def trees():
    liver, portal, hepatic, _, _ = patient()
    veins = hepatic_branches(vein_tree(hepatic, liver, system="hepatic"), liver)
    return portal_branches(vein_tree(portal, liver), liver, veins), veins


def codes_at(tree, point_mm):
    return int(tree.point_data["territory"][
        np.argmin(np.linalg.norm(tree.points_mm - point_mm, axis=1))])  # fmt: skip


def test_a_tree_reaches_every_tip_and_keeps_to_the_middle():
    portal, _ = trees()
    shape = patient()[-1]
    tips = np.array([portal.nodes[n].point_mm for e, n in portal.ends.items() if e != "root"])
    for name, path in shape.portal.items():
        if name.split()[0] in SEGMENTS:
            assert np.linalg.norm(tips - path.points_mm[-1], axis=1).min() < 5.0, name
    lines = np.concatenate([even_line(p.points_mm) for p in shape.portal.values()])
    off = [np.linalg.norm(lines - p, axis=1).min() for p in portal.points_mm]
    assert np.percentile(off, 95) < 3.0
    assert np.median(off) < 1.0


def test_it_is_a_tree():
    for tree in trees():
        assert len(tree.branches) == len(tree.nodes) - 1
        assert len({b.to_node for b in tree.branches}) == len(tree.branches)


def test_every_segment_is_found_from_label_files():
    liver, _, _, truth, _ = patient()
    found = territories(liver, trees()[0])
    assert np.array_equal(found.mask(), liver.mask())
    for value in np.unique(truth.array[truth.array > 0]):
        true, got = truth.array == value, found.array == value
        dice = 2 * np.count_nonzero(true & got) / (np.count_nonzero(true) + np.count_nonzero(got))
        assert dice >= 0.9, TERRITORIES[int(value)].name
        assert ndimage.label(got, np.ones((3, 3, 3)))[1] == 1


def test_hepatic_veins_have_their_names():
    veins = trees()[1]
    for name, point in (("right", (-100, -8, -5)), ("middle", (-64, -56, 12)),
                        ("left", (20, -54, 44))):  # fmt: skip
        assert codes_at(veins, point) == VALUES[f"{name}_hepatic_vein"]


def test_a_click_wins_for_its_branch_and_what_follows():
    liver, _, _, _, _ = patient()
    tree, veins = trees()
    named = portal_branches(tree, liver, veins, names=(("II", -90.0, -46.0, -20.0),))
    assert codes_at(named, (-98, -48, -32)) == VALUES["II"]
    assert codes_at(named, (-82, -28, 58)) == VALUES["VIII"]


def test_a_loop_in_the_label_makes_none_in_the_tree():
    liver, portal, _, _, _ = patient()
    noisy = portal.array.copy()
    rng = np.random.default_rng(3)
    speckle = ndimage.binary_dilation(rng.random(noisy.shape) > 0.9995) & liver.mask()
    noisy[speckle] = 1
    tree = vein_tree(LabelMap(noisy, portal.geometry, portal.labels), liver)
    assert len(tree.branches) == len(tree.nodes) - 1


def test_an_empty_label_gives_no_territories_and_says_so():
    liver, portal, _, _, _ = patient()
    empty = LabelMap(np.zeros_like(portal.array), portal.geometry)
    tree = vein_tree(empty, liver)
    assert [f.code for f in tree.findings] == ["no_vein"]
    found = territories(liver, portal_branches(tree, liver))
    assert [f.code for f in found.findings] == ["no_named_branch"]
    apart = tell_veins_apart(empty, liver)
    assert "system_hardly_found" in [f.code for f in apart.findings]


def both_veins():
    liver, portal, hepatic, _, _ = patient()
    return LabelMap(portal.array | hepatic.array, portal.geometry, {1: Label("vessels")}), liver


def test_veins_are_told_apart():
    _, portal, hepatic, _, _ = patient()
    found = tell_veins_apart(*both_veins())
    for truth, name in ((portal, "portal_vein"), (hepatic, "hepatic_vein")):
        alone = truth.mask() & ~(portal.mask() & hepatic.mask())
        assert found.mask(name)[alone].mean() > 0.99
        assert one_system(found, system=name).volume_ml() == found.volume_ml(name)
    assert np.array_equal(found.mask(), portal.mask() | hepatic.mask())


def test_a_click_moves_a_vein_to_the_other_system():
    found = tell_veins_apart(*both_veins(), hepatic_mm=((-90.0, -46.0, -12.0),))
    near = found.geometry.to_index((-98.0, -48.0, -33.0))[::-1].round().astype(int)
    block = tuple(slice(n - 2, n + 3) for n in near)
    values = found.array[block]
    assert (values[values > 0] == found.value("hepatic_vein")).all()
    assert found.volume_ml("portal_vein") > 5.0


def test_a_whisker_of_noise_is_no_branch():
    """A thread of voxels from the wall of the left branch would take from IV and give it to II."""
    liver, portal, _, _, _ = patient()
    wall, tip = np.array([-1.0, -34.0, 22.5]), np.array([7.0, -27.0, 17.0])
    line = wall + np.linspace(0, 1, 30)[:, None] * (tip - wall)
    k, j, i = np.rint(portal.geometry.to_index(line)).astype(int).T[::-1]
    thread = portal.array.copy()
    thread[k, j, i] = 1
    assert np.count_nonzero(thread) > np.count_nonzero(portal.array) + 4
    tree = vein_tree(LabelMap(thread, portal.geometry, portal.labels), liver)
    assert np.linalg.norm(tree.points_mm - tip, axis=1).min() > 6.0
    thick = ndimage.binary_dilation(thread != portal.array, iterations=1) | portal.mask()
    tree = vein_tree(LabelMap(thick.astype(np.uint8), portal.geometry, portal.labels), liver)
    assert np.linalg.norm(tree.points_mm - tip, axis=1).min() < 3.0


def test_a_branch_to_the_caudate_lobe_is_segment_i():
    """It comes from the main fork, runs up and back beside the vena cava, and divides."""
    liver, portal, _, _, _ = patient()
    ways = [[(-32, -13, 10), (-29, -4, 18)]]
    ways += [[ways[0][-1], tip] for tip in ((-38, 10, 32), (-20, 3, 27))]
    points = np.concatenate([even_line(np.array(way, float)) for way in ways])
    k, j, i = np.rint(portal.geometry.to_index(points)).astype(int).T[::-1]
    thread = np.zeros_like(portal.mask())
    thread[k, j, i] = True
    whole = (portal.mask() | ndimage.binary_dilation(thread)) & liver.mask()
    tree = vein_tree(LabelMap(whole.astype(np.uint8), portal.geometry, portal.labels), liver)
    named = portal_branches(tree, liver, trees()[1])
    for tip in ((-38, 10, 32), (-20, 3, 27)):
        assert codes_at(named, tip) == VALUES["I"]
    found = territories(liver, named)
    assert {*np.unique(found.array[liver.mask()])} == set(range(1, 9))
