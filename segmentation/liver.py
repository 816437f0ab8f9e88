"""A first liver, from anatomy and grey levels alone, to be corrected by hand.

The organ is found on a coarse patient-aligned grid: the deep, even tissue to the right of the
spine and below the lungs gives its level; the watershed of the distance map splits off what only
touches it; threshold dynamics (Merriman, Bence, Osher 1994; Esedoglu, Tsai 2006) smooth the
rest. `segmentation.edges` then puts the boundary at half height on the native grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from segmentation.abdomen import Abdomen, Image, Mask, disk, read_abdomen
from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.edges import refine_edges, settle
from segmentation.volume import LabelMap, Volume

LIVER = ANATOMY["liver"]

LEVELS_HU = (25.0, 190.0)  # fatty unenhanced to strongly enhanced liver
LARGEST_LEFT_MM = 105.0  # the left lobe seldom passes this, the spleen begins there
SKIN_MM = 20.0  # liver lies deeper than skin, fat and ribs
BELOW_LEVEL_HU, ABOVE_LEVEL_HU = 18.0, 26.0  # left and right lobe differ by up to 12 HU
WET_HU = 30.0  # bile and bowel fluid lie below, solid lesions above
MUSCLE_MM = 7.0  # half the thickness of the abdominal wall's muscles
VEIN_MM = 7.0  # the portal trunk's radius; the cava is wider
WIDE_MM = 8.5  # radius of what is no vein inside the liver: cava, heart, kidney
USUAL_ML = (800.0, 3000.0)
LEAST_ML = 200.0  # less is no liver, except where the scan ends
ABOVE_MUSCLE_HU = 10.0  # a small part that is no brighter may be muscle or bowel
UNENHANCED_HU = 75.0  # livers after contrast in a portal phase lie above
CENTRAL_RIGHT_MM, CENTRAL_FRONT_MM = 60.0, 70.0  # cava, duodenum and pancreas head lie here


@dataclass(frozen=True)
class Level:
    """The grey level of the parenchyma: centre and spread in HU on the work grid."""

    centre_hu: float
    spread_hu: float


def propose_liver(volume: Volume, *, progress: Progress = silent) -> LabelMap:
    """Propose the liver with its vessels and tumours.

    Args:
        volume: CT of the abdomen in HU, with or without contrast.

    Raises:
        ValueError: if the image is not a CT or no liver is in it.
    """
    progress(0.0, "Reading the abdomen")
    abdomen = read_abdomen(volume)
    progress(0.15, "Looking for the liver's grey level")
    zone = allowed_zone(abdomen)
    level = find_level(abdomen, zone)
    zone &= ~wide_vessels(abdomen, level)
    progress(0.25, "Separating the liver from its neighbours")
    core = liver_basins(abdomen, zone, level)
    whole = fill_lesions(abdomen, zone, level, core)
    progress(0.4, "Smoothing")
    coarse = smooth_organ(abdomen, zone, level, whole)
    little = coarse.sum() * abdomen.step_mm**3 / 1000 < LEAST_ML
    dull = level.centre_hu < abdomen.muscle_hu + ABOVE_MUSCLE_HU
    if little and (dull or not _at_end(abdomen, coarse)):
        raise ValueError(_NO_LIVER)
    progress(0.5, "Placing the boundary")
    array = refine_edges(volume, abdomen, coarse, progress=lambda f, m="": progress(0.5 + f / 2, m))
    volume_ml = float(np.count_nonzero(array)) * volume.geometry.voxel_ml
    return LabelMap(
        array,
        volume.geometry,
        {1: LIVER},
        tuple(_findings(abdomen, coarse, level, volume_ml)),
        (Number("volume", volume_ml, "mL", "voxel count x voxel volume"),),
    )


_NO_LIVER = (
    "no liver was found: there is no large even organ to the right of the spine below the lungs; "
    "choose a CT of the upper abdomen, or outline the liver by hand"
)


def allowed_zone(abdomen: Abdomen) -> Mask:
    """Return where liver may be, [k, j, i]: under the diaphragm, not where the spleen lies."""
    right, front = abdomen.right_mm(), abdomen.front_mm()
    zone = abdomen.body & ~abdomen.lung
    zone &= (right > 0) | (front > 0)
    zone &= right > -LARGEST_LEFT_MM
    return np.asarray(zone & _below_ceiling(abdomen))


def _below_ceiling(abdomen: Abdomen) -> Mask:
    """Return the voxels below the diaphragm, which the lungs' floor gives around the heart.

    The floor is filled harmonically across the lungs' hull. Where the scan ends inside the
    liver the floor on the right is unknown and nothing is cut there.
    """
    lung = abdomen.lung
    seen: Mask = np.asarray(lung.any(axis=0))
    if not seen.any():
        return np.ones_like(lung)
    height = len(lung)
    floor = np.where(seen, lung.argmax(axis=0), -1).astype(np.float32)
    raised = ndimage.grey_dilation(floor, footprint=disk(abdomen.voxels(25.0)))
    hull = _row_hull(seen)
    ceiling = _harmonic(np.where(seen, raised, np.nan), hull) + 4.0 / abdomen.step_mm
    ceiling = np.where(hull, ceiling, height)
    if _dome_missing(abdomen):
        ceiling[:] = height
    return np.asarray(np.arange(height)[:, None, None] <= ceiling)


def _dome_missing(abdomen: Abdomen) -> bool:
    """Tell whether the right lung fills too little of the top slice for the dome to be in."""
    top = np.flatnonzero(abdomen.lung.any(axis=(1, 2)))[-1]
    right = np.broadcast_to(abdomen.right_mm()[top] > 0, abdomen.body.shape[1:])
    lung: Mask = abdomen.lung[top]
    inside = _row_hull(lung) & right
    return bool((lung & inside).sum() < 0.5 * max(1, inside.sum()))


def _row_hull(mask: Mask) -> Mask:
    """Fill every row and every column between its outermost voxels, [j, i]."""
    across = np.maximum.accumulate(mask, 1) & np.maximum.accumulate(mask[:, ::-1], 1)[:, ::-1]
    along = np.maximum.accumulate(mask, 0) & np.maximum.accumulate(mask[::-1], 0)[::-1]
    return np.asarray(across | along)


def _harmonic(known: npt.NDArray[np.floating], inside: Mask) -> npt.NDArray[np.float64]:
    """Fill the gaps of ``known`` (NaN) as a membrane held at the known places, [j, i]."""
    free = inside & np.isnan(known)
    nearest = ndimage.distance_transform_edt(
        np.isnan(known), return_distances=False, return_indices=True
    )
    height = known[tuple(nearest)].astype(np.float64)
    for _ in range(400):  # enough for a heart 50 voxels wide
        height[free] = ndimage.uniform_filter(height, 3)[free]
    return np.asarray(height)


def find_level(abdomen: Abdomen, zone: Mask) -> Level:
    """Return the parenchyma's level: the commonest one deep inside even tissue on the right.

    Raises:
        ValueError: if there is no such tissue.
    """
    mean = ndimage.uniform_filter(abdomen.hu, 5)
    square = ndimage.uniform_filter(abdomen.hu**2, 5)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    skin = abdomen.voxels(SKIN_MM)
    beyond = np.pad(abdomen.body, ((skin, skin), (0, 0), (0, 0)), mode="edge")  # no skin there
    deep = ndimage.binary_erosion(beyond, iterations=skin)[skin:-skin]
    even = zone & deep & (mean > LEVELS_HU[0]) & (mean < LEVELS_HU[1]) & (spread < 18)
    even &= abdomen.right_mm() > 0
    slices = np.flatnonzero(abdomen.lung.any(axis=(1, 2)))
    base = slices[0] if len(slices) else len(zone)
    even[: max(0, base - abdomen.voxels(200.0))] = False
    if even.sum() * abdomen.step_mm**3 / 1000 < 30:
        raise ValueError(_NO_LIVER)
    depth = ndimage.distance_transform_edt(even) * abdomen.step_mm
    counts, edges = np.histogram(
        mean[even], bins=np.arange(LEVELS_HU[0], LEVELS_HU[1] + 2, 2.0), weights=depth[even] ** 2
    )
    peak = edges[ndimage.gaussian_filter1d(counts, 2.0).argmax()] + 1.0
    near = even & (np.abs(mean - peak) < 12)
    if depth[near].max() < 12:  # a psoas is this deep, a liver deeper
        raise ValueError(_NO_LIVER)
    return Level(float(np.median(mean[near])), float(np.median(spread[near])))


def wide_vessels(abdomen: Abdomen, level: Level) -> Mask:
    """Return what is brighter and wider than any vein inside the liver: cava, heart, kidney."""
    bright = abdomen.body & (abdomen.hu > level.centre_hu + 0.8 * ABOVE_LEVEL_HU)
    core = ndimage.distance_transform_edt(bright) * abdomen.step_mm > WIDE_MM
    near = ndimage.distance_transform_edt(~core) * abdomen.step_mm < WIDE_MM + abdomen.step_mm
    return np.asarray(bright & near)


def liver_basins(abdomen: Abdomen, zone: Mask, level: Level) -> Mask:
    """Return the watershed basins of even tissue that belong to the liver.

    Starting in the deepest basin on the right, a neighbour joins when the neck between them is
    wide against its own depth; near duodenum, pancreas and cava the neck must be wider.
    """
    blurred = ndimage.gaussian_filter(abdomen.hu, 0.7)
    tissue = zone & (blurred > level.centre_hu - BELOW_LEVEL_HU)
    tissue &= blurred < level.centre_hu + ABOVE_LEVEL_HU
    tissue = ndimage.binary_opening(tissue)
    filled = ndimage.binary_closing(tissue, iterations=2) & zone  # vessels do not split the organ
    holes = filled & ~tissue & (blurred > level.centre_hu - BELOW_LEVEL_HU)
    tissue |= holes
    depth = ndimage.distance_transform_edt(tissue).astype(np.float32) * abdomen.step_mm
    thick = ndimage.distance_transform_edt(depth <= MUSCLE_MM) * abdomen.step_mm <= 1.5 * MUSCLE_MM
    tissue &= thick
    depth[~tissue] = 0
    smooth = ndimage.gaussian_filter(depth, 1.0)
    tops = (ndimage.maximum_filter(smooth, 5) == smooth) & (depth > 4)
    markers, count = ndimage.label(tops, np.ones((3, 3, 3)))
    if count == 0:
        raise ValueError(_NO_LIVER)
    basins = watershed(-smooth, markers, mask=tissue)
    chosen = _joined(abdomen, blurred, basins, depth, count)
    return np.asarray(chosen[basins])


def _joined(
    abdomen: Abdomen, hu: Image, basins: npt.NDArray[np.int32], depth: Image, count: int
) -> Mask:
    """Return, for every basin number, whether it belongs to the liver."""
    numbers = np.arange(count + 1)
    peak = np.asarray(ndimage.maximum(depth, basins, numbers))
    median = np.asarray(ndimage.mean(hu, basins, numbers))
    centre = np.array(ndimage.maximum_position(depth, basins, numbers))
    right = abdomen.right_mm()[centre[:, 0], 0, centre[:, 2]]
    front = abdomen.front_mm()[centre[:, 0], centre[:, 1], 0]
    peak[0] = 0
    neck = _necks(basins, depth, count)
    limit = _neck_limits(peak, right, front)
    seed = int(np.where(right > 15, peak, 0).argmax())
    chosen = numbers == seed
    while True:
        widest = np.where(chosen[:, None], neck, 0).max(axis=0)
        foreign = np.maximum(0, np.abs(median - median[seed]) - 8) * 0.01
        join = ~chosen & (peak > 0) & (widest >= (limit + foreign) * np.maximum(peak, 1e-6))
        join &= widest > 0
        if not join.any():
            return np.asarray(chosen)
        chosen |= join


def _neck_limits(peak: Image, right: Image, front: Image) -> npt.NDArray[np.float64]:
    """Return how wide a neck, against the basin's depth, each basin needs to join."""
    central = (np.abs(right) < CENTRAL_RIGHT_MM) & (front > -10) & (front < CENTRAL_FRONT_MM)
    limit = np.where(central, 0.72, 0.5)
    return np.where(central & (peak < 12), 0.95, limit)


def _necks(basins: npt.NDArray[np.int32], depth: Image, count: int) -> npt.NDArray[np.float32]:
    """Return the depth in mm of the deepest passage between every two touching basins."""
    neck = np.zeros((count + 1, count + 1), np.float32)
    for axis in range(3):
        near = [slice(None)] * 3
        far = [slice(None)] * 3
        near[axis], far[axis] = slice(0, -1), slice(1, None)
        a, b = basins[tuple(near)], basins[tuple(far)]
        touch = (a != b) & (a > 0) & (b > 0)
        pass_mm = np.minimum(depth[tuple(near)], depth[tuple(far)])[touch]
        np.maximum.at(neck, (a[touch], b[touch]), pass_mm)
    return np.maximum(neck, neck.T)


def fill_lesions(abdomen: Abdomen, zone: Mask, level: Level, core: Mask) -> Mask:
    """Add what the liver encloses: vessels, and masses that most of their surface has liver."""
    hu = ndimage.gaussian_filter(abdomen.hu, 0.7)
    soft = zone & (abdomen.hu > -10)
    whole = core | _enclosed(abdomen, core, soft, 10.0, 0.5, VEIN_MM)
    whole = ndimage.binary_fill_holes(whole)
    dark = zone & (hu > WET_HU) & (hu < level.centre_hu - 0.5 * BELOW_LEVEL_HU)
    whole |= _enclosed(abdomen, whole, dark, 40.0, 0.38)
    return _ringed(whole, zone & (hu > WET_HU))


def _ringed(organ: Mask, among: Mask) -> Mask:
    """Add what ``organ`` rings in a slice of any of the three directions, if ``among`` allows.

    Holes that are closed in space are filled whatever they hold.
    """
    filled = np.zeros_like(organ)
    for axis in range(3):
        for n in np.flatnonzero(organ.any(axis=tuple({0, 1, 2} - {axis}))):
            plane = [slice(None)] * 3
            plane[axis] = slice(int(n), int(n) + 1)
            cut = organ[tuple(plane)].squeeze(axis)
            filled[tuple(plane)] |= np.expand_dims(ndimage.binary_fill_holes(cut), axis)
    return np.asarray(ndimage.binary_fill_holes(organ | (filled & among)))


def _enclosed(
    abdomen: Abdomen,
    organ: Mask,
    among: Mask,
    radius_mm: float,
    contact: float,
    thickest_mm: float = np.inf,
) -> Mask:
    """Return the lumps of ``among`` in hollows of ``organ`` that touch it with enough surface.

    A hollow is what a ball of ``radius_mm`` rolling around the organ cannot reach; the watershed
    of the distance map cuts lumps at their necks.
    """
    step = abdomen.step_mm
    block = _grown_box(organ, 1)
    inside = organ[block]
    pad = abdomen.voxels(radius_mm) + 1
    outside_mm = ndimage.distance_transform_edt(~np.pad(inside, pad)) * step
    closed = ndimage.distance_transform_edt(outside_mm <= radius_mm) * step > radius_mm
    inner = tuple(slice(pad, -pad) for _ in range(3))
    gap = ndimage.binary_opening(closed[inner] & ~inside & among[block])
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(gap), 1.0)
    tops, count = ndimage.label((ndimage.maximum_filter(depth, 7) == depth) & gap)
    lumps = watershed(-depth, tops, mask=gap)
    near = outside_mm[inner] <= 2 * step
    result = np.zeros_like(organ)
    for number, part in enumerate(ndimage.find_objects(lumps, count), start=1):
        lump = lumps[part] == number
        if depth[part][lump].max() * step > thickest_mm:
            continue
        rim = lump & ~ndimage.binary_erosion(lump)
        if (rim & near[part]).sum() >= contact * rim.sum():
            result[block][part] |= lump
    return result


def _grown_box(mask: Mask, margin: int) -> tuple[slice, slice, slice]:
    """Return the box around ``mask``, ``margin`` voxels larger where the grid allows."""
    k, j, i = (
        slice(max(0, s.start - margin), s.stop + margin)
        for s in ndimage.find_objects(mask.astype(np.uint8))[0]
    )
    return k, j, i


def smooth_organ(abdomen: Abdomen, zone: Mask, level: Level, whole: Mask) -> Mask:
    """Return the organ with a short, smooth boundary that follows the grey levels.

    Threshold dynamics: blur the mask, add how liver-like each voxel is, cut at one half.
    """
    below = (abdomen.hu - (level.centre_hu - 1.6 * BELOW_LEVEL_HU)) / BELOW_LEVEL_HU
    above = ((level.centre_hu + 2.5 * ABOVE_LEVEL_HU) - abdomen.hu) / ABOVE_LEVEL_HU
    likeness = np.clip(np.minimum(below, above), -1, 1) * 0.25
    prior = ndimage.gaussian_filter(whole.astype(np.float32), 1.5) - 0.5
    mask = whole
    for _ in range(6):
        blurred = ndimage.gaussian_filter(mask.astype(np.float32), 1.2)
        mask = (blurred - 0.5 + 0.5 * likeness + 0.5 * prior > 0) & zone
    mask = settle(abdomen, mask, zone)
    mask |= _enclosed(abdomen, mask, zone & (abdomen.hu > 0), 10.0, 0.5, VEIN_MM)
    mask = _ringed(mask, zone & (abdomen.hu > WET_HU))
    pieces, count = ndimage.label(mask)
    if count == 0:
        raise ValueError(_NO_LIVER)
    largest = np.bincount(pieces.ravel())[1:].argmax() + 1
    return np.asarray(ndimage.binary_fill_holes(pieces == largest))


def _at_end(abdomen: Abdomen, coarse: Mask) -> bool:
    """Tell whether the organ is cut by the first or last slice over more than 4 cm2."""
    least = 400 / abdomen.step_mm**2
    return bool(coarse[0].sum() > least or coarse[-1].sum() > least)


def _findings(abdomen: Abdomen, coarse: Mask, level: Level, volume_ml: float) -> list[Finding]:
    """Return what a reader must know before trusting the proposal."""
    k, j, i = (float(np.mean(c)) for c in np.nonzero(coarse))
    x, y, z = (float(v) for v in abdomen.geometry.to_world((i, j, k)))
    here = (x, y, z)
    found = [
        Finding(
            Severity.INFO,
            "liver_proposed",
            "the liver was proposed automatically",
            here,
            "go through all slices and correct it before planning",
        )
    ]
    if _at_end(abdomen, coarse):
        found.append(
            Finding(
                Severity.WARNING,
                "liver_cut_off",
                "the scan ends inside the liver, so its volume is too small",
                here,
                "use a scan that covers the whole liver",
            )
        )
    elif not USUAL_ML[0] <= volume_ml <= USUAL_ML[1]:
        found.append(
            Finding(
                Severity.WARNING,
                "liver_volume_unusual",
                f"the proposed liver measures {volume_ml:.0f} mL, outside "
                f"{USUAL_ML[0]:.0f} to {USUAL_ML[1]:.0f} mL",
                here,
                "check what is missing or what does not belong to it",
            )
        )
    if volume_ml < LEAST_ML:
        found.append(
            Finding(
                Severity.WARNING,
                "liver_little",
                f"only {volume_ml:.0f} mL of liver lie in the scan; so little may be mistaken for "
                "another organ",
                here,
                "check in every slice that this is liver",
            )
        )
    if level.centre_hu < UNENHANCED_HU:
        found.append(
            Finding(
                Severity.WARNING,
                "liver_unenhanced",
                f"the liver measures {level.centre_hu:.0f} HU: without contrast its border to "
                "muscle, bowel and heart is uncertain",
                here,
                "prefer a portal-venous series",
            )
        )
    return found
