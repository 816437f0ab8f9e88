"""From paths to a case: which volume is meant, and a plan from a template."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segmentation.contract import Progress, share, silent
from segmentation.volume import LabelMap
from segmentation.wording import counted
from workstation.case import Case, CaseError
from workstation.case_record import now
from workstation.case_sources import accepted_codes
from workstation.dicom import files as dicom
from workstation.planning.clinical_values import with_clinical
from workstation.planning.plan import Plan
from workstation.planning.template import Template, TemplateSource
from workstation.restaging import set_one
from workstation.stages import at_present, check_plan, find_stage
from workstation.surface_source import check_reading, is_surface_file, plain_name

VOLUME_FILES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
LISTED = 5
"""How many patients or series an error names."""

REVIEW_DATE = "review_date"
"""Parameter of a stage that judges how old values are."""

ACQUIRED = "acquired"
"""Parameter of a stage that wants to know the day of the images."""

DOMINANT = 3
"""A series with this many times the slices of every other is the one that is meant."""


def is_volume_file(path: Path) -> bool:
    """Tell whether the name is that of a volume or label file, not of DICOM."""
    return path.name.lower().endswith(VOLUME_FILES)


def choose_volume(
    found: dicom.Scan,
    series_uid: str | None = None,
    modality: str | None = None,
    accept: Collection[str] = (),
) -> dicom.ScannedVolume:
    """Return the one volume that is meant.

    With a series UID that series; otherwise the only usable volume, or the one that dwarfs
    all others. ``modality`` narrows the choice. A refused volume is usable if one of its
    repairs is among the codes of ``accept``.

    Raises:
        CaseError: for two patients, no usable volume, or several candidates; it lists them.
    """
    patients = {(v.patient.patient_id, v.patient.name) for v in found.volumes}
    if series_uid is None and len(patients) > 1:
        names = sorted(f"{name or 'no name'} ({uid or 'no ID'})" for uid, name in patients)
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        raise CaseError(
            f"the images belong to {len(patients)} patients: {', '.join(names[:LISTED])}{more}; "
            "import one patient at a "
            "time, or name a series with --series"
        )
    volumes = [v for v in found.volumes if series_uid in (None, v.series_uid, v.key)]
    if not volumes:
        raise CaseError(nothing_found(found, series_uid))
    usable = [dicom.accept(v, accept) for v in volumes if _acceptable(v, accept)]
    if not usable:
        raise CaseError(f"no volume can be read: {dicom.not_repaired(volumes[0], accept)}")
    matching = [v for v in usable if modality in (None, v.modality)]
    if not matching:
        kinds = ", ".join(sorted({v.modality for v in usable}))
        raise CaseError(
            f"there is no {modality} volume among the images, only {kinds}; choose a {modality}"
        )
    matching.sort(key=_slices, reverse=True)
    if len(matching) > 1 and _slices(matching[0]) < DOMINANT * _slices(matching[1]):
        listed = "; ".join(
            f"{v.series_uid} ({v.description or 'no description'}, {_slices(v)} slices)"
            for v in matching[:LISTED]
        ).replace("; ", ", ")
        raise CaseError(
            f"{len(matching)} volumes are here: {listed}; name one with --series UID, "
            "all of them are listed by: hilum scan"
        )
    return matching[0]


def _acceptable(volume: dicom.ScannedVolume, codes: Collection[str]) -> bool:
    return volume.status != "refused" or any(r.code in codes for r in volume.repairs)


def _slices(volume: dicom.ScannedVolume) -> int:
    return volume.geometry.size[2] if volume.geometry else 0


def nothing_found(found: dicom.Scan, series_uid: str | None = None) -> str:
    """Say why no volume was found, or not the series that was asked for."""
    if series_uid is not None and found.volumes:
        known = ", ".join(v.series_uid for v in found.volumes)
        return f"there is no series {series_uid} here; the series are: {known}"
    if not found.ignored:
        return "no file was found; choose a folder, file or ZIP with DICOM images"
    example = found.ignored[0]
    return (
        f"no image volume was found among {counted(len(found.ignored), 'file')}, for example "
        f"{Path(str(example.path)).name}: {example.reason.rstrip('.')}; choose a folder, file or "
        "ZIP with DICOM images"
    )


def scan(paths: Sequence[Path], progress: Progress = silent) -> dicom.Scan:
    """Scan paths that must exist.

    Raises:
        CaseError: naming the first path that does not.
    """
    for path in paths:
        if not path.exists():
            raise CaseError(f"{path} is not there; check the path")
    return dicom.scan(list(paths), progress)


def import_volume(
    case: Case,
    paths: Sequence[Path],
    name: str = "",
    series_uid: str | None = None,
    modality: str | None = None,
    accept: Collection[str] = (),
    progress: Progress = silent,
    person: str = "",
) -> str:
    """Bring one volume into the case as a source; return the source's name.

    The name defaults to the modality in small letters; ``accept`` lists the repairs that may
    be made, ``person`` says whose it is in a case of several people.
    """
    surface = next((path for path in paths if is_surface_file(path)), None)
    if surface is not None:
        raise CaseError(f"{surface.name} is a surface, and an image is wanted here")
    if len(paths) == 1 and is_volume_file(paths[0]):
        name = name or "ct"
        case.import_file(paths[0], name, "volume")
        return name
    found = scan(paths, share(progress, 0, 2))
    chosen = choose_volume(found, series_uid, modality, accept)
    name = name or chosen.modality.lower() or "image"
    case.import_dicom(chosen, name, share(progress, 1, 2), person=person)
    return name


def import_one(
    case: Case,
    paths: Sequence[Path],
    name: str = "",
    series_uid: str | None = None,
    accept: Collection[str] = (),
    progress: Progress = silent,
) -> list[str]:
    """Bring one volume into the case as `import_volume` does; return the source's name."""
    return [import_volume(case, paths, name, series_uid, None, accept, progress)]


def import_surfaces(
    case: Case,
    paths: Sequence[Path],
    name: str = "",
    reading: Mapping[str, Any] = MappingProxyType({}),
    progress: Progress = silent,
) -> list[str]:
    """Bring surface files into the case as they are; return the names of the sources.

    A name is that of the file unless one file has a ``name`` of its own. ``reading`` says the
    "unit" and "space" of files that name none.

    Raises:
        CaseError: for a name that the plan gives to a result, or one name for several files.
        UnreadableSurface: for a file that holds no surface.
    """
    said = check_reading(reading)
    made = {step.output for step in case.plan().steps} if case.plan_number else set()
    if name in made:
        raise CaseError(f"the plan makes {name!r} itself; choose another name for the surface")
    if name and len(paths) > 1:
        raise CaseError(f"{len(paths)} surfaces cannot all be {name!r}; import them one by one")
    names = []
    for n, path in enumerate(paths):
        own = name or plain_name(path)
        own = f"{own[:35]}_file" if own in made else own
        case.import_file(path, own, "surface", None, said, share(progress, n, len(paths)))
        names.append(own)
    return names


def import_parts(
    case: Case,
    paths: Sequence[Path],
    name: str = "",
    series_uid: str | None = None,
    accept: Collection[str] = (),
    progress: Progress = silent,
) -> list[str]:
    """Bring every volume of one series into the case: NAME, NAME_2, ... in its own order.

    Which part each is (its time, echo and so on) stands in the source's record under "part".
    The originals, which may be one file for all, are kept once.

    Raises:
        CaseError: if no series is meant beyond doubt, or a part of it cannot be read.
    """
    found = scan(paths, share(progress, 0, 2))
    volumes = _series_of(found, series_uid)
    refused = [v for v in volumes if not _acceptable(v, accept)]
    if refused:
        raise CaseError(f"{refused[0].description}: {dicom.not_repaired(refused[0], accept)}")
    volumes = [dicom.accept(v, accept) for v in volumes]
    name = name or volumes[0].modality.lower() or "image"
    names = [name, *(f"{name}_{n + 2}" for n in range(len(volumes) - 1))]
    reading = share(progress, 1, 2)
    for n, (own, volume) in enumerate(zip(names, volumes)):
        case.import_dicom(volume, own, share(reading, n, len(names)), family=volumes)
    return names


def _series_of(found: dicom.Scan, series_uid: str | None) -> list[dicom.ScannedVolume]:
    """Return the volumes of one series in order of their parts."""
    known = list(dict.fromkeys(v.series_uid for v in found.volumes))
    named = [v.series_uid for v in found.volumes if series_uid in (v.series_uid, v.key)]
    wanted = named[0] if named else known[0] if len(known) == 1 and series_uid is None else None
    if wanted is None:
        if series_uid is None and known:
            raise CaseError(
                f"{len(known)} series are here: {', '.join(known[:LISTED])}; "
                "name one with --series UID"
            )
        raise CaseError(nothing_found(found, series_uid))
    return [v for v in found.volumes if v.series_uid == wanted]


def start_plan(
    case: Case,
    template: Template,
    paths: Mapping[str, Path],
    settings: Sequence[tuple[str, str, Any]] = (),
    progress: Progress = silent,
    accept: Collection[str] = (),
    options: Sequence[str] = (),
) -> Plan:
    """Import the given sources, start a plan from ``template`` and keep it in the case.

    ``paths`` goes from a template's source name to a file or folder; sources that the case
    already holds are used too, as far as they lie in the frame of the image. ``settings`` are
    (step, parameter, value) and win over the case's clinical record. ``accept`` lists the
    repairs that may be made to images; which were made is written into the plan. ``options`` are
    those of the template's optional steps that are wanted. The "step"
    ``source.NAME`` sets the unit or space of a surface file.

    Raises:
        PlanError, StageError: for a source, step or parameter that does not fit; CaseError and
            DicomError for images that do not.
    """
    settings, said = _said_of_files(template, settings)
    here = case.record.sources
    held = _held(template, paths, here)
    kinds = source_kinds(template, paths)
    kinds |= {n: here[template.sources[n].source_name]["kind"] for n in held if n not in kinds}
    draft = template.plan("", dict.fromkeys((*paths, *held), ""), kinds)
    draft = template.with_options(draft, options)
    check_plan(with_settings(draft, settings))  # a typing error costs no import
    frame_uid = _import_sources(case, template, paths, kinds, said, accept, progress)
    keys, accepted = _used(template, paths, held, here, frame_uid)
    empty = _empty(case, template, template.plan(frame_uid, keys, kinds))
    plan = template.with_options(template.plan(frame_uid, keys, kinds, empty), options)
    plan = with_settings(with_clinical(plan, case.record.clinical_record()), settings)
    plan = template.spared(plan, options)
    plan = of_today(_dated(at_present(template.agreed(plan, options)), here))
    plan = replace(plan, accepted=accepted)
    check_plan(plan)
    case.add_plan(plan, f"Start {template.title.lower()}")
    return plan


def source_kinds(template: Template, paths: Mapping[str, Path]) -> dict[str, str]:
    """Return of which of its kinds each given source of a template is, by the names of the files.

    Raises:
        CaseError: if a file is none of them.
    """
    known = template.sources
    return {name: _kind_of(known[name], path) for name, path in paths.items() if name in known}


def _held(
    template: Template, paths: Mapping[str, Path], here: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the template's sources that the case holds already and a new plan may use."""
    held = [s.name for s in template.sources.values() if s.source_name in here]
    if any(name in template.one_of for name in paths):  # what is given now is meant
        held = [name for name in held if name not in template.one_of]
    return held


def _import_sources(
    case: Case,
    template: Template,
    paths: Mapping[str, Path],
    kinds: Mapping[str, str],
    said: Mapping[str, Mapping[str, str]],
    accept: Collection[str],
    progress: Progress,
) -> str:
    """Bring what is given into the case; return the frame of the plan, "" where none is known.

    The first image gives the frame, and a source that is none the one before it.
    """
    here = case.record.sources
    frame_uid: str | None = None
    bare = [name for name, kind in kinds.items() if kind == "surface"]  # these have no frame of own
    for source in sorted(template.sources.values(), key=lambda s: (not s.is_image, s.name in bare)):
        if source.name in paths and source.is_image:
            modality, at = source.modality or None, [paths[source.name]]
            whose = source.person
            import_volume(case, at, source.name, None, modality, accept, progress, whose)
        elif source.name in paths:
            path, own, kind = paths[source.name], source.source_name, kinds[source.name]
            case.import_file(path, own, kind, frame_uid, said.get(source.name, {}), progress)
        if source.name in kinds and (source.is_image or frame_uid is None):
            frame_uid = here[source.source_name]["frame_uid"]
    return frame_uid or ""


def _used(
    template: Template,
    paths: Mapping[str, Path],
    held: Sequence[str],
    here: Mapping[str, Mapping[str, Any]],
    frame_uid: str,
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the content keys of the sources that a plan takes, and the repairs accepted for them.

    What the case holds already is taken where it lies in the plan's frame.
    """
    keys, accepted = {}, {}
    for name in dict.fromkeys((*paths, *held)):
        own = template.sources[name].source_name
        about = here[own]
        apart = bool(template.sources[name].person) or not about["frame_uid"]
        if name in paths or apart or about["frame_uid"] == frame_uid:
            keys[name] = about["sha256"]
            if accepted_codes(about):
                accepted[own] = accepted_codes(about)
    return keys, accepted


def _empty(case: Case, template: Template, plan: Plan) -> list[str]:
    """Return the sources that hold no voxel, of those of which it matters to the template."""
    own = {name: template.sources[name].source_name for name in template.asked_to_be_marked()}
    read = {name: case.value(key, plan) for name, key in own.items() if key in plan.sources}
    return [n for n, v in read.items() if isinstance(v, LabelMap) and not v.array.any()]


def of_today(plan: Plan) -> Plan:
    """Return ``plan`` with this day as the day of every review that names none."""
    for step in plan.steps:
        known = find_stage(step).parameters
        if REVIEW_DATE in known and not step.params.get(REVIEW_DATE):
            plan = plan.with_params(step.output, **{REVIEW_DATE: now()[:10]})
    return plan


def _dated(plan: Plan, sources: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Return ``plan`` where steps that ask for the day of their images have it from the images."""
    images: dict[str, set[str]] = {name: {name} for name in plan.sources}
    for step in plan.steps:
        own = set[str]().union(*(images.get(name, set()) for name in step.inputs.values()))
        images[step.output] = own
        days = {str(sources[name].get("date", "")) for name in own} - {""}
        if ACQUIRED in find_stage(step).parameters and len(days) == 1:
            (day,) = days
            iso = f"{day[:4]}-{day[4:6]}-{day[6:8]}"
            plan = plan.with_params(step.output, **{ACQUIRED: iso})
    return plan


def _kind_of(source: TemplateSource, path: Path) -> str:
    """Return of which of its kinds a source is, by the name of its file.

    Raises:
        CaseError: if the file is none of them.
    """
    if is_surface_file(path) and "surface" in source.kinds:
        return "surface"
    if len(source.kinds) == 1:
        return source.kinds[0]
    return next(kind for kind in source.kinds if kind != "surface")


def _said_of_files(
    template: Template, settings: Sequence[tuple[str, str, Any]]
) -> tuple[list[tuple[str, str, Any]], dict[str, dict[str, str]]]:
    """Return the settings of steps, and what is said of each surface file of the template."""
    steps: list[tuple[str, str, Any]] = []
    files: dict[str, dict[str, str]] = {}
    for step, parameter, value in settings:
        if step != "source":
            steps.append((step, parameter, value))
            continue
        name, _, word = parameter.partition(".")
        source = template.sources.get(name)
        if source is None or "surface" not in source.kinds:
            known = [s.name for s in template.sources.values() if "surface" in s.kinds]
            raise CaseError(
                f"{template.name} has no surface file {name!r} to set; it has: "
                f"{', '.join(known) or 'none'}"
            )
        files.setdefault(name, {}).update(check_reading({word: value}))
    return steps, files


def with_settings(plan: Plan, settings: Sequence[tuple[str, str, Any]]) -> Plan:
    """Return ``plan`` with parameters set as (step, parameter, value); `set_one` tells more."""
    for output, word, value in settings:
        plan = set_one(plan, output, word, value)
    check_plan(plan)
    return plan
