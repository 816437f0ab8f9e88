"""One stage from file to file, without a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meshing.faults import PRINTED, fault_warnings
from meshing.files import WRITTEN, write_surface
from meshing.reading import Unit, read_surface
from meshing.surface import SurfaceMesh
from segmentation import models
from segmentation.contract import Finding, Progress, share, silent
from segmentation.images import ENDINGS, read_labels, read_volume, write_labels
from segmentation.volume import LabelMap, Volume
from segmentation.wording import counted
from workstation.dicom import files as dicom
from workstation.dicom.segmentation_object import AlgorithmType, Drawn, write_segmentation
from workstation.importing import choose_volume, is_volume_file, scan
from workstation.stage import Stage, StageError
from workstation.stages import STAGES

MODEL = "model:"
SURFACE = "surface."
"""What a parameter of the surface begins with, where a label is written as one."""
ISOSURFACE = "meshing.isosurface"
DOME, VESSELS = "segmentation.propose_dome", "segmentation.propose_bright_vessels"
_MOST_LABELS = 150


def methods() -> dict[str, Stage]:
    """Return what turns one image into a label, by its short name."""
    found = {}
    for stage in STAGES.values():
        if [i.kind for i in stage.inputs] == ["Volume"] and stage.output_kind == "LabelMap":
            name = stage.function.__name__.removeprefix("propose_").removesuffix("_from_seeds")
            found[name] = stage
    return found


def label_methods() -> dict[str, Stage]:
    """Return what turns one label into another, by its short name."""
    return {
        stage.function.__name__.removeprefix("propose_"): stage
        for stage in STAGES.values()
        if [i.kind for i in stage.inputs] == ["LabelMap"] and stage.output_kind == "LabelMap"
    }


def segment_file(
    method: str,
    image: Path,
    label: Path,
    params: Mapping[str, Any] = {},
    series_uid: str | None = None,
    progress: Progress = silent,
    also: Sequence[Path] = (),
) -> LabelMap | SurfaceMesh:
    """Segment an image file, DICOM folder or ZIP and write the label file, or its surface.

    A method that works on a label, such as ``dome``, takes a label file; an image in its place
    is first labelled where it shows bright vessels.

    ``method`` is a stage by its short name, or else a model: ``NAME`` or ``model:NAME``. Models
    that take several images find the others in ``also``.

    The label goes to .nii.gz, .nii, .nrrd or .mha, to .dcm as a Segmentation if the image is
    DICOM, or as a closed surface to .stl, .ply, .obj, .vtp, .3mf or .glb; parameters that begin
    with ``surface.`` are then those of `meshing.isosurface`, and faults of a surface for printers
    are among its findings, as warnings. Nothing is written if the result is
    empty or the work fails.

    Raises:
        StageError: for a method or parameter that there is not.
        ValueError: for an ending or image that cannot be used, or an empty result.
    """
    check_target(label, (*ENDINGS, ".dcm", *WRITTEN))
    drawing = _drawing(params, label)
    stage, fixed = _chosen(method)
    params = {**fixed, **{n: v for n, v in params.items() if not n.startswith(SURFACE)}}
    stage.check_params(params)
    if len(also) >= len(stage.inputs):
        images = counted(len(stage.inputs), "image")
        raise StageError(f"{method} takes {images}, not {1 + len(also)}")
    if label.suffix.lower() == ".dcm" and is_volume_file(image):
        raise ValueError(f"{image.name} is not DICOM, so the label cannot be; choose .nii.gz")
    value, scanned = _read_input(stage, image, series_uid, share(progress, 0, 3))
    others = [_beside(value, path) for path in also]
    inputs = dict(zip((i.name for i in stage.inputs), [value, *others]))
    result: LabelMap = stage.run(inputs, params, share(progress, 1, 3))
    if not result.array.any():
        raise ValueError(f"{method} found nothing in {image}; no file was written")
    if drawing is not None:
        mesh = STAGES[ISOSURFACE].run({"labels": result}, drawing, share(progress, 2, 4))
        return _written(mesh, label, drawing, share(progress, 3, 4))
    progress(0.9, f"writing {label.name}")
    if label.suffix.lower() == ".dcm":
        assert scanned is not None
        asked = [p for p in stage.parameters.values() if p.required and p.name not in fixed]
        automatic = not asked
        kind: AlgorithmType = "AUTOMATIC" if automatic else "SEMIAUTOMATIC"
        write_segmentation(Drawn(result, kind, stage.name), scanned, label, title=method)
    else:
        write_labels(result, label)
    return result


def _drawing(params: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """Return how to draw the surface that ``path`` is to hold; None where it is to hold a label.

    Raises:
        StageError: for a parameter that there is not, or that nothing uses.
    """
    drawing = {n.removeprefix(SURFACE): v for n, v in params.items() if n.startswith(SURFACE)}
    if path.suffix.lower() in WRITTEN:
        STAGES[ISOSURFACE].check_params(drawing)
        return drawing
    if drawing:
        name = f"{SURFACE}{next(iter(drawing))}"
        raise StageError(f"{name} is of use only where a surface is written, not {path.name}")
    return None


def _written(
    mesh: SurfaceMesh, path: Path, drawing: Mapping[str, Any], progress: Progress
) -> SurfaceMesh:
    """Write a drawn surface; return it with warnings of what a printer could not make of it."""
    warnings: tuple[Finding, ...] = ()
    if path.suffix.lower() in PRINTED:
        # Each triangle that is drawn stays between its voxels; only decimation may cross them.
        reduced = bool(drawing.get("triangles"))
        warnings = fault_warnings(mesh, crossings=reduced, progress=progress)
    write_surface(mesh, path)
    return replace(mesh, findings=(*mesh.findings, *warnings))


def _chosen(method: str) -> tuple[Stage, Mapping[str, str]]:
    """Return the stage that ``method`` names, and what of its parameters is fixed by that."""
    stage = (label_methods() | methods()).get(method)
    if stage is not None:
        return stage, {}
    names = [listed.name for listed in models.known_models()]
    name = method.removeprefix(MODEL)
    if name not in names:
        known = ", ".join([*methods(), *label_methods(), *(MODEL + n for n in names)])
        raise StageError(f"there is no method {method!r}; there are: {known}")
    return STAGES["segmentation.run_model"], models.fixed_params(models.find_model(name).card)


def _read_input(
    stage: Stage, path: Path, series_uid: str | None, progress: Progress
) -> tuple[Volume | LabelMap, dicom.ScannedVolume | None]:
    """Return what a stage works on, and the DICOM that it comes from, if any."""
    if stage.inputs[0].kind != "LabelMap":
        return read_image(path, series_uid, progress)
    if is_volume_file(path) and _is_label_file(path):
        return read_labels(path), None
    if stage.name != DOME:
        raise ValueError(f"{path.name} is an image; {stage.name} needs a label file")
    image, scanned = read_image(path, series_uid, share(progress, 0, 2))
    vessels = STAGES[VESSELS].run({"volume": image}, {}, share(progress, 1, 2))
    return vessels, scanned


def _is_label_file(path: Path) -> bool:
    """Tell whether a file holds labels: few whole numbers, most of them 0."""
    values, counts = np.unique(read_volume(path).array, return_counts=True)
    whole = bool(np.all(values == np.rint(values))) and values[0] == 0
    return whole and len(values) <= _MOST_LABELS and counts[0] > counts[1:].sum()


def _beside(volume: Volume | LabelMap, path: Path) -> Volume:
    """Return a further image; a file without a frame of its own is taken to lie beside."""
    if is_volume_file(path):
        return read_volume(path, frame_uid=volume.geometry.frame_uid)
    return read_image(path, None, silent)[0]


def read_image(
    image: Path, series_uid: str | None, progress: Progress
) -> tuple[Volume, dicom.ScannedVolume | None]:
    """Return the image in a file, DICOM folder or ZIP, and the DICOM it comes from, if any."""
    if is_volume_file(image):
        return read_volume(image), None
    chosen = choose_volume(scan([image], share(progress, 0, 2)), series_uid)
    return dicom.read(chosen, share(progress, 1, 2)), chosen


def mesh_file(
    label: Path,
    surface: Path,
    name_or_value: str = "",
    params: Mapping[str, Any] = {},
    progress: Progress = silent,
) -> SurfaceMesh:
    """Make the closed surface of a label file and write it; points are LPS mm.

    Faults of a surface for printers are among its findings, as warnings.

    Raises:
        ValueError: if there is no such label, it is empty, or the ending cannot be written.
    """
    if not label.exists():
        raise ValueError(f"{label} is not there; check the path")
    labels = read_labels(label)
    stage = STAGES[ISOSURFACE]
    chosen = _named(labels, name_or_value)
    made = share(progress, 0, 2)
    mesh: SurfaceMesh = stage.run({"labels": labels}, {**params, "label": chosen}, made)
    if not len(mesh.triangles):
        raise ValueError(f"the label is empty in {label}; no file was written")
    return _written(mesh, surface, params, share(progress, 1, 2))


def repair_file(
    damaged: Path,
    surface: Path,
    params: Mapping[str, Any] = {},
    unit: Unit = "mm",
    progress: Progress = silent,
) -> SurfaceMesh:
    """Repair a surface file into another and return the result, LPS mm.

    Raises:
        ValueError: if it would overwrite the original, cannot be read, or cannot be repaired.
        StageError: for a parameter that there is not.
    """
    if surface.exists() and damaged.exists() and surface.samefile(damaged):
        raise ValueError(f"{surface} is the original, which stays as it is; name another file")
    stage = STAGES["meshing.repair"]
    stage.check_params(params)
    result: SurfaceMesh = stage.run({"mesh": read_surface(damaged, unit=unit)}, params, progress)
    write_surface(result, surface)
    return result


def _named(labels: LabelMap, name_or_value: str) -> str:
    """Return the name of the label that a name or a value means; "" means all."""
    names = {label.name for label in labels.labels.values()}
    if name_or_value.isdecimal() and name_or_value not in names:
        value = int(name_or_value)
        if value not in labels.labels:
            known = ", ".join(f"{v} ({label.name})" for v, label in labels.labels.items())
            raise ValueError(f"there is no label {value}; the labels here are: {known or 'none'}")
        return labels.labels[value].name
    return name_or_value


def check_target(path: Path, endings: tuple[str, ...]) -> None:
    """Raise unless a file of one of these endings can be written.

    Raises:
        ValueError: for another ending or a folder that is not there.
    """
    if not path.name.lower().endswith(endings):
        raise ValueError(f"{path.name!r} names no format; choose one of: {', '.join(endings)}")
    if not path.parent.is_dir():
        raise ValueError(f"the folder {path.parent} is not there; make it first")
