"""Suggestions of dark lesions in the liver, each to be confirmed or dropped by a person.

A lump darker than the parenchyma around it is suggested when it is compact (it fills its convex
hull) and when most of its surface is liver. Fissures, veins without contrast, the gallbladder's
bed and partial volume at the rim are dark, too, but fail one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage.segmentation import watershed

from segmentation.abdomen import Image, Mask
from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, Number, Progress, Severity, silent
from segmentation.edges import block_sum, local_level, smoothed, within
from segmentation.vessels import LEVEL_MM, RIM_MM, LiverBox, liver_box
from segmentation.volume import ImageGeometry, LabelMap, Volume, require_same_grid
from segmentation.wording import counted

TUMOR = ANATOMY["tumor"]

WORK_MM = 2.0  # lumps are looked for on blocks of about this size
DARK_HU, DARK_SD = 9.0, 2.5  # deficit that parenchyma does not have, in HU and noise deviations
LEAST_CONTRAST_HU = 14.0  # mean deficit of a lump worth showing
FAT_HU = -10.0  # darker is fat or partial volume with it, no lesion
LEAST_ML = 0.2  # a ball of 7 mm
# From volume (mL): share of the surface that must be liver, share that may be cut through other
# dark tissue, and share of its convex hull that a lump must fill (voxel stairs cost 0.15). Veins
# and fissures fail; the larger a lump, the less likely is it chance, and the more likely does it
# reach the liver's surface.
DEMANDS = ((5.0, 0.5, 0.35, 0.5), (1.5, 0.6, 0.08, 0.57), (0.0, 0.85, 0.08, 0.62))
SMOOTH_MM = 0.7
BLUR_MM = 0.9  # that and a usual scanner of 0.6 mm
ROUND_MM = 2.0  # Gaussian that smooths the edge; less for lesions of under 8 mm radius
REACH_MM = 4.0  # the edge lies this near the coarse lump
BRIGHT_HU = 25.0  # a vein that nobody marked
VEIN_MM = 2.5  # the blur of a vein ends within this
CORE_MM = 3.0  # deeper in a lesion than this neither blur nor rim counts


@dataclass(frozen=True, eq=False)
class _Lump:
    """One suggestion on the work grid: its box and voxels, volume and mean deficit."""

    box: tuple[slice, slice, slice]
    voxels: Mask
    volume_ml: float
    deficit_hu: float


def propose_lesions(
    volume: Volume,
    liver: LabelMap,
    vessels: LabelMap | None = None,
    *,
    progress: Progress = silent,
) -> LabelMap:
    """Suggest dark lesions of the liver.

    Args:
        volume: contrast CT in HU, best in the portal-venous phase.
        liver: the whole liver on the same grid.
        vessels: its veins on the same grid, where known; they are never lesions.
        progress: told how far the work is.

    Raises:
        ValueError: if the image is not a CT or the liver is empty.
        FrameMismatch: if the grids differ.
    """
    if volume.quantity != "HU":
        raise ValueError(f"this needs a CT in HU, but the image holds {volume.quantity}")
    require_same_grid(volume, liver, *(() if vessels is None else (vessels,)))
    block, part = liver_box(volume, liver)
    veins = np.zeros_like(part.mask) if vessels is None else vessels.mask()[block]
    progress(0.3, "Looking for dark lumps")
    step, lumps = find_lumps(part, veins)
    array = np.zeros(volume.array.shape, np.uint8)
    findings = []
    for number, lump in enumerate(lumps):
        progress(0.5 + 0.5 * number / len(lumps), "Outlining lesions")
        sharp, box = _outlined(part, veins, lump, step)
        array[block][box] |= sharp
        findings.append(_finding(sharp, box, part.geometry, lump))
    volume_ml = float(np.count_nonzero(array)) * volume.geometry.voxel_ml
    return LabelMap(
        array,
        volume.geometry,
        {1: TUMOR},
        (_summary(len(lumps)), *findings),
        (
            Number("volume", volume_ml, "mL", "voxel count x voxel volume"),
            Number("count", float(len(lumps)), "", "lumps admitted by contrast and shape"),
        ),
    )


def find_lumps(part: LiverBox, veins: Mask) -> tuple[tuple[int, ...], list[_Lump]]:
    """Return the work grid's step in voxels and the lumps on it, largest first."""
    step = tuple(max(1, int(WORK_MM / s + 0.3)) for s in part.geometry.spacing_kji_mm)
    spacing = np.array(part.geometry.spacing_kji_mm) * step
    inside = part.mask & ~veins
    weight = block_sum(inside.astype(np.float32), step)
    hu = block_sum(np.where(inside, part.hu, 0), step) / np.maximum(weight, 1)
    full = weight > 0.5 * np.prod(step)
    smooth = _masked_blur(hu, full, 1.2 / spacing)
    level = _parenchyma(smooth, full, spacing)
    deficit = np.where(full, level - smooth, 0)
    plain = full & (np.abs(deficit) < 25)
    noise = 1.4826 * float(np.median(np.abs(deficit[plain]))) if plain.any() else 0.0
    dark = full & (deficit > max(DARK_HU, DARK_SD * noise)) & (smooth > FAT_HU)
    depth = ndimage.distance_transform_edt(dark, sampling=spacing)
    flat = ndimage.gaussian_filter(depth, 1.5 / spacing)
    tops, count = ndimage.label(_hilltops(flat) & (depth > 2.0), np.ones((3, 3, 3)))
    lumps = watershed(-flat, tops, mask=dark)
    liver = block_sum(part.mask.astype(np.float32), step) > 0.5 * np.prod(step)
    admitted = []
    for number, box in enumerate(ndimage.find_objects(lumps, count), start=1):
        if box is None:
            continue
        wide = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
        lump = _judged(wide, lumps[wide] == number, liver[wide], dark[wide], deficit[wide], spacing)
        if lump is not None:
            admitted.append(lump)
    return step, sorted(admitted, key=lambda lump: -lump.volume_ml)


def _masked_blur(image: Image, where: Mask, sigma: npt.NDArray[np.float64]) -> Image:
    """Return the Gaussian mean of ``image`` over ``where``."""
    weight = ndimage.gaussian_filter(where.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(where, image, 0).astype(np.float32), sigma)
    return np.asarray(total / np.maximum(weight, 1e-3), np.float32)


def _parenchyma(smooth: Image, full: Mask, spacing: npt.NDArray[np.float64]) -> Image:
    """Return the parenchyma's level in HU everywhere, from voxels near it, in three turns."""
    middle = float(np.median(smooth[full]))
    level = np.full(smooth.shape, middle, np.float32)
    for reach_hu in (30.0, 18.0, 14.0):
        plain = full & (np.abs(smooth - level) < reach_hu)
        weight = ndimage.gaussian_filter(plain.astype(np.float32), 20.0 / spacing) + 1e-4
        total = ndimage.gaussian_filter(np.where(plain, smooth, 0), 20.0 / spacing)
        level = (total + 1e-4 * middle) / weight
    return np.asarray(level, np.float32)


def _hilltops(flat: Image) -> Mask:
    """Return the voxels that no neighbour within two voxels overtops."""
    return np.asarray((ndimage.maximum_filter(flat, 5) == flat) & (flat > 0))


def _judged(
    box: tuple[slice, ...],
    voxels: Mask,
    liver: Mask,
    dark: Mask,
    deficit: Image,
    spacing: npt.NDArray[np.float64],
) -> _Lump | None:
    """Return the lump if contrast, compactness and enclosure admit it."""
    volume_ml = float(voxels.sum() * np.prod(spacing)) / 1000
    deficit_hu = float(deficit[voxels].mean())
    if volume_ml < LEAST_ML or deficit_hu < LEAST_CONTRAST_HU:
        return None
    least_enclosed, most_cut, least_convex = next(d[1:] for d in DEMANDS if volume_ml >= d[0])
    rim = ndimage.binary_dilation(voxels) & ~voxels
    surface = max(1, int(rim.sum()))
    if (rim & liver & ~dark).sum() < least_enclosed * surface:
        return None
    if (rim & dark).sum() > most_cut * surface or convexity(voxels, spacing) < least_convex:
        return None
    k, j, i = box
    return _Lump((k, j, i), voxels, volume_ml, deficit_hu)


def convexity(voxels: Mask, spacing_mm: npt.NDArray[np.float64]) -> float:
    """Return the volume of the voxels over that of their convex hull, 0 to 1."""
    corners = np.argwhere(voxels)
    cube = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3)).reshape(3, -1).T
    points = (corners[:, None, :] + cube).reshape(-1, 3)
    try:
        hull = ConvexHull(points * spacing_mm).volume
    except QhullError:
        return 0.0
    return float(len(corners) * np.prod(spacing_mm) / hull)


def _outlined(
    part: LiverBox, veins: Mask, lump: _Lump, step: tuple[int, ...]
) -> tuple[Mask, tuple[slice, slice, slice]]:
    """Return the lesion at the native grid, edge at half height, and its box."""
    geometry = part.geometry
    margin = [int(np.ceil(2 * REACH_MM / s)) for s in geometry.spacing_kji_mm]
    bounds = zip(lump.box, step, margin, part.mask.shape)
    k, j, i = (slice(max(0, s.start * n - m), min(s.stop * n + m, w)) for s, n, m, w in bounds)
    coarse = np.zeros([s.stop - s.start for s in (k, j, i)], bool)
    fine = lump.voxels
    for axis, n in enumerate(step):
        fine = np.repeat(fine, n, axis)
    offset = [s.start * n - o.start for s, n, o in zip(lump.box, step, (k, j, i))]
    target = tuple(slice(o, min(o + w, c)) for o, w, c in zip(offset, fine.shape, coarse.shape))
    coarse[target] = fine[tuple(slice(0, t.stop - t.start) for t in target)]
    return _at_half_height(part, veins, coarse, (k, j, i), lump.volume_ml), (k, j, i)


def _at_half_height(
    part: LiverBox, veins: Mask, coarse: Mask, box: tuple[slice, slice, slice], lump_ml: float
) -> Mask:
    """Return the lesion around ``coarse``: darker than half way between lesion and parenchyma."""
    spacing = part.geometry.spacing_kji_mm
    hu, mask, vein = part.hu[box], part.mask[box], veins[box]
    geometry = part.geometry
    smooth = smoothed(hu, geometry, SMOOTH_MM)
    away = ndimage.distance_transform_edt(~coarse, sampling=spacing)
    depth = ndimage.distance_transform_edt(coarse, sampling=spacing)
    inner = part.depth_mm[box] > RIM_MM
    bright = vein | (smooth > np.median(smooth[mask]) + BRIGHT_HU)
    around = inner & (away > REACH_MM) & ~within(bright, VEIN_MM, geometry)
    if not around.any():
        return coarse & mask
    level = local_level(hu, around, geometry, LEVEL_MM)
    core = depth > min(CORE_MM, 0.6 * float(depth.max()))
    dark = local_level(hu, core & mask, geometry, LEVEL_MM)
    share = (level - smooth) / np.maximum(level - dark, LEAST_CONTRAST_HU / 2)
    tissue = mask & ~vein & (smooth > FAT_HU)
    reach = (away <= REACH_MM) & tissue
    # Blurring a ball lowers its surface below half height by this much, to first order.
    radius_mm = (3e3 * lump_ml / (4 * np.pi)) ** (1 / 3)
    threshold = 0.5 - BLUR_MM / (np.sqrt(2 * np.pi) * radius_mm)
    lesion = (reach & (share > threshold)) | ((depth > CORE_MM) & mask)
    whole = ndimage.binary_fill_holes(_largest_piece(lesion))
    sigma_mm = min(ROUND_MM, radius_mm / 4)
    return _largest_piece(_rounded(whole, tissue, sigma_mm / np.asarray(spacing)))


def _rounded(lesion: Mask, tissue: Mask, sigma: npt.NDArray[np.float64]) -> Mask:
    """Return the lesion with the noise of its edge smoothed and its volume kept.

    Noise pushes single voxels out of a half-height edge, and the farthest one decides the
    distance to a cut. ``sigma`` is in voxels; the result stays in ``tissue``.
    """
    blurred = np.where(tissue, ndimage.gaussian_filter(lesion.astype(np.float32), sigma), 0)
    count = int(np.count_nonzero(lesion))
    level = np.partition(blurred.ravel(), -count)[-count]
    return np.asarray(blurred >= max(float(level), 0.05))


def _largest_piece(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


def _summary(count: int) -> Finding:
    """Return the finding that says how many suggestions there are."""
    if count == 0:
        return Finding(
            Severity.INFO,
            "no_lesions",
            "no dark lesion stands out; small, bright or unenhanced ones are not looked for",
            remedy="outline lesions by hand where you see them",
        )
    return Finding(
        Severity.WARNING,
        "lesions_suggested",
        counted(count, "dark lesion was", "dark lesions were") + " suggested, none is confirmed",
        remedy="confirm or remove each of them before planning",
    )


def _finding(
    sharp: Mask, box: tuple[slice, slice, slice], geometry: ImageGeometry, lump: _Lump
) -> Finding:
    """Return where one suggestion lies."""
    k, j, i = (float(np.mean(n)) + s.start for n, s in zip(np.nonzero(sharp), box))
    x, y, z = (float(v) for v in geometry.to_world((i, j, k)))
    volume_ml = float(sharp.sum()) * geometry.voxel_ml
    return Finding(
        Severity.INFO,
        "lesion_suggested",
        f"suggested lesion of {volume_ml:.1f} mL, {lump.deficit_hu:.0f} HU darker than the liver",
        (x, y, z),
        "confirm or remove it",
    )
