"""A hole in the vault of a skull: found, told by side, and filled with the bone that is missing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from segmentation.anatomy import ANATOMY
from segmentation.contract import Finding, FrameMismatch, Number, Progress, Severity, silent
from segmentation.measured import Measured
from segmentation.volume import Floats, Label, LabelMap, Vector
from workstation.planning.aneurysm_patient import BY_HAND, PatientFacts
from workstation.planning.cranioplasty_rays import Mask
from workstation.planning.cranioplasty_target import (
    SLANT_MM,
    Completion,
    Hole,
    NoDefect,
    Target,
    Vault,
    drawn_hole,
    find_holes,
    find_target,
    sampled,
    vault_of,
)

Side = Literal["left", "right", "bilateral"]

DEFECT = Label("defect", (0xE0, 0x70, 0x60))
SKULL = Label("skull", ANATOMY["bone"].colour, "89546000")

HOW = {
    "mirror": "the other side, mirrored and laid onto the rim",
    "partly": "the other side as far as it is there, and the vault around it continued",
    "completion": "the vault around it continued, since there is hardly anything to mirror",
    "smooth": "the vault around it continued without the mirror, as was asked for",
}
"""What the missing bone was made from, in words."""


FILM_MM = 2.5
"""What would lie over bone around the hole and is thinner than this, is no missing bone."""


class WrongSide(ValueError):
    """The hole lies on another side than was declared."""


def cranial_patient(*, side: Side | None = None, progress: Progress = silent) -> PatientFacts:
    """Which side of the skull the operation is on.

    It is compared with the side that the hole in the image lies on; where they differ, nothing is
    planned.

    Args:
        side: The patient's side of the hole; bilateral is one across the midline.
        progress: told how far the work is.
    """
    progress(1.0)
    if side is None:
        text = "the side of the operation was not declared, so it cannot be checked"
        note = Finding(Severity.WARNING, "side_unknown", text, remedy="set patient.side")
        return PatientFacts(findings=(note,))
    return PatientFacts(facts={"side": side}, origins={"side": BY_HAND})


def take_skull(labels: LabelMap, *, label: str = "", progress: Progress = silent) -> LabelMap:
    """Take the skull out of a label file.

    Args:
        labels: the labelled voxels.
        label: name of the skull's label; empty takes "skull" if there is one, else all labels.
        progress: told how far the work is.

    Raises:
        ValueError: if there is no such label, or it has no voxel.
    """
    names = [known.name for known in labels.labels.values()]
    wanted = label or ("skull" if "skull" in names else "")
    mask = labels.mask(wanted or None)
    if not mask.any():
        raise ValueError("the label of the skull has no voxel; choose another file or label")
    progress(1.0)
    return LabelMap(mask.view(np.uint8), labels.geometry, {1: SKULL})


def cranial_defect(
    skull: LabelMap,
    plane: Measured,
    patient: PatientFacts | None = None,
    *,
    click_mm: Vector | None = None,
    outline_mm: tuple[Vector, ...] = (),
    completion: Completion = "auto",
    progress: Progress = silent,
) -> LabelMap:
    """Find the hole in the skull and fill in the bone that is missing.

    A hole is where rays from the middle of the vault meet no bone. The bone that belongs there is
    the other side, mirrored at the mid-sagittal plane and laid onto the rim; across the midline
    it is the vault around the hole, continued as it varies elsewhere.

    Args:
        skull: the skull, a label of this name or the only one.
        plane: the mid-sagittal plane.
        patient: the declared side; a hole on another side is refused.
        click_mm: a point in or near the hole that is meant; empty takes the largest hole.
        outline_mm: points drawn around the hole, in their order, three or more; they replace the
            hole that would be found. Bone within them stays.
        completion: auto mirrors what can be mirrored; smooth continues the vault without it.
        progress: told how far the work is.

    Raises:
        NoDefect: if there is no hole of 2 cm2 or more in the vault, none near the click, or
            nothing missing within the outline.
        NoVault: if the label is no skull.
        WrongSide: if the hole lies on another side than was declared.
        FrameMismatch: if the plane lies in another frame of reference.
    """
    vault = vault_of_label(skull, plane)
    progress(0.1, "looking for the hole")
    others: list[Hole]
    if outline_mm:
        hole, others = drawn_hole(vault, np.asarray(outline_mm, float)), []
    else:
        hole, others = _chosen(find_holes(vault), vault, click_mm)
    declared = None if patient is None else patient.facts.get("side")
    require_side(hole.side, declared)
    progress(0.4, "filling in the missing bone")
    target = find_target(vault, hole.directions, completion)
    progress(0.7, "marking the missing bone")
    array = _filled(vault, target)
    volume = float(np.count_nonzero(array)) * skull.geometry.voxel_ml
    rays = "rays from the middle of the vault"
    numbers = (
        Number("volume", volume, "mL", "voxel count x voxel volume"),
        Number("area", hole.area_cm2, "cm2", f"{rays} that meet no bone, at its median distance"),
        Number("mirrored", 100 * target.mirrored, "%", "of the hole, made from the other side"),
        Number("edge_step", float(np.median(target.step_mm)), "mm",
               "outside of the filled-in bone, 4 to 8 mm from the hole, off the bone there; median",
               high=float(np.percentile(target.step_mm, 95)), low=0.0),
    )  # fmt: skip
    findings = (*_told(hole, target, vault), *_others(others))
    return LabelMap(array, skull.geometry, {1: DEFECT}, findings, numbers)


def vault_of_label(skull: LabelMap, plane: Measured) -> Vault:
    """Return the skull of a label with the mid-sagittal plane as its mirror.

    Raises:
        FrameMismatch: if the plane lies in another frame of reference.
        NoVault: if the label is no skull.
    """
    if plane.frame_uid != skull.geometry.frame_uid:
        raise FrameMismatch("the mid-sagittal plane lies in another frame than the skull")
    names = [known.name for known in skull.labels.values()]
    mask = skull.mask("skull" if "skull" in names else None)
    normal = np.asarray(plane.places["normal"], float)
    return vault_of(mask, skull.geometry, np.asarray(plane.places["point_mm"], float), normal)


def side_of(points_mm: Floats, plane: Measured) -> str:
    """Return the side on which points (n, 3) lie: "left", "right" or "bilateral"."""
    normal = np.asarray(plane.places["normal"], float)
    left = float(((points_mm - np.asarray(plane.places["point_mm"])) @ normal > 0).mean())
    return "left" if left > 0.9 else "right" if left < 0.1 else "bilateral"


def require_side(found: str, declared: object) -> None:
    """Raise unless what was found lies on the declared side, where one was.

    Raises:
        WrongSide: if not.
    """
    if declared is not None and found != declared:
        where = {"bilateral": "across the midline"}.get(found, f"on the patient's {found}")
        raise WrongSide(
            f"the hole lies {where}, but the side declared for the operation is {declared}; check "
            "the image and patient.side, or click on the hole that is meant"
        )


def _chosen(holes: list[Hole], vault: Vault, click_mm: Vector | None) -> tuple[Hole, list[Hole]]:
    """Return the hole that is meant and the others."""
    if not holes:
        raise NoDefect(
            "the vault of the skull has no hole of 2 cm² or more; choose another label, or lower "
            "the threshold of the bone"
        )
    if click_mm is None:
        return holes[0], holes[1:]
    way = np.asarray(click_mm, float) - vault.centre_mm
    way /= np.linalg.norm(way)
    nearest = [float((hole.directions @ way).max()) for hole in holes]
    best = int(np.argmax(nearest))
    if nearest[best] < np.cos(np.radians(15)):
        raise NoDefect("there is no hole near the click; click into the hole")
    return holes[best], holes[:best] + holes[best + 1 :]


def _filled(vault: Vault, target: Target) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the voxels of the missing bone: between the new surfaces, in the hole, no bone.

    Walls of the hole that slant against rays end where bone begins; films over bone are left out.
    """
    grid = vault.geometry
    array = np.zeros(grid.shape, np.uint8)
    block = _block(vault, target)
    k, j, i = np.meshgrid(*(np.arange(s.start, s.stop) for s in block), indexing="ij")
    points = grid.to_world(np.stack([i, j, k], axis=-1).reshape(-1, 3)) - vault.centre_mm
    near = np.flatnonzero(np.nan_to_num(sampled(target.chart, target.away_mm, points), nan=1e3)
                          < SLANT_MM)  # fmt: skip
    ways = points[near]
    radius = np.linalg.norm(ways, axis=1)
    there = ~np.isnan(target.bone.outer)
    old = [sampled(target.chart, np.where(there, wall, 0.0), ways)
           for wall in (target.bone.outer, target.bone.inner)]  # fmt: skip
    new = [sampled(target.chart, wall, ways) for wall in (target.outer_mm, target.inner_mm)]
    marrow = (radius < old[0]) & (radius > old[1])
    filled = np.zeros(k.shape, np.bool_)
    filled.flat[near] = (radius <= new[0]) & (radius >= new[1]) & ~marrow
    filled &= ~vault.mask[block]
    hole = np.zeros(k.shape, np.bool_)
    hole.flat[near] = sampled(target.chart, target.hole.astype(float), ways) > 0.5
    array[block] = _without_films(filled, hole, grid.spacing_kji_mm)
    return array


def _block(vault: Vault, target: Target) -> tuple[slice, ...]:
    """Return the part of the grid in which the missing bone lies."""
    chart, grid = target.chart, vault.geometry
    shown = (target.away_mm < SLANT_MM) & ~np.isnan(target.outer_mm)
    ways = chart.directions()[shown]
    corners = [ways * (target.outer_mm[shown] - deep)[:, None] for deep in (0.0, 20.0)]
    index = grid.to_index(chart.centre_mm + np.concatenate(corners))
    low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 3, grid.size)
    return tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1]))


def _without_films(filled: Mask, hole: Mask, spacing_mm: Vector) -> Mask:
    """Return what is thicker than a film and hangs together with the hole, or is the hole."""
    core = ndimage.distance_transform_edt(filled, spacing_mm) > FILM_MM / 2
    thick = filled & (ndimage.distance_transform_edt(~core, spacing_mm) <= FILM_MM / 2)
    pieces, count = ndimage.label(thick | (filled & hole))
    sizes = np.bincount(pieces[hole & (pieces > 0)], minlength=count + 1)
    return np.asarray((pieces > 0) & (pieces == int(sizes.argmax())))


def _told(hole: Hole, target: Target, vault: Vault) -> tuple[Finding, ...]:
    middle = vault.centre_mm + hole.directions.mean(axis=0) * float(np.nanmedian(target.outer_mm))
    place = (float(middle[0]), float(middle[1]), float(middle[2]))
    where = {"bilateral": "crosses the midline"}.get(hole.side, f"is on the patient's {hole.side}")
    side = Finding(
        Severity.INFO,
        f"defect_{hole.side}",
        f"the hole {where}, with {hole.area_cm2:.0f} cm² of the vault missing",
        place,
    )
    grave = Severity.INFO if target.how == "mirror" else Severity.WARNING
    text = f"the missing bone was made from {HOW[target.how]}"
    remedy = "" if target.how == "mirror" else "look at the shape from all sides before it is used"
    return side, Finding(grave, f"target_{target.how}", text, place, remedy)


def _others(holes: list[Hole]) -> tuple[Finding, ...]:
    if not holes:
        return ()
    sizes = ", ".join(f"{hole.area_cm2:.0f} cm² {hole.side}" for hole in holes[:4])
    text = f"the vault has other holes: {sizes}; the largest or the clicked one was taken"
    return (
        Finding(Severity.WARNING, "other_defects", text, remedy="click into the one that is meant"),
    )
