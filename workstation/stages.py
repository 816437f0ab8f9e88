"""The table of stages in clinical order, and the one function that runs a plan."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Container, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from hemodynamics import dome_flow, flow, flow_reserve, network, reserve_beside
from meshing import (
    aneurysm,
    aneurysm_shape,
    aorta,
    aorta_growth,
    booleans,
    centerline,
    comparison,
    connectors,
    curvature,
    curve_cut,
    cutting,
    fitting,
    geodesics,
    image_edge,
    lettering,
    measuring,
    offsets,
    orientation,
    printability,
    remeshing,
    repair,
    shared_walls,
    surface,
    symmetry,
    tetrahedra,
    thickness,
    vessel_ends,
    vessel_findings,
    vessel_geometry,
    vessel_preparation,
    vessel_sections,
)
from segmentation import (
    airway,
    body,
    bone,
    dome,
    doubt,
    graph_cut,
    islands,
    lesions,
    level_set,
    liver,
    lung,
    models,
    operations,
    paint,
    prompt_network,
    prompted,
    random_walk,
    registration,
    resampling,
    sampling,
    seeded,
    shaping,
    skull,
    time_points,
    tubes,
    vessels,
    volume,
    watershed,
)
from segmentation.contract import Measurements, Progress, share, silent
from workstation.planning import (
    ablation,
    alignment_angles,
    aneurysm_patient,
    aneurysm_risk,
    aorta_threshold,
    bone_alignment_shoulder,
    bone_landmarks,
    bone_landmarks_humerus,
    bone_landmarks_pelvis,
    bone_landmarks_scapula,
    bone_landmarks_tibia,
    branch_territory,
    couinaud,
    cranioplasty,
    cranioplasty_insertion,
    critical_structures,
    cut_surface_stages,
    drainage,
    fibula,
    fibula_graft,
    fibula_pieces,
    fit,
    fit_mass,
    fit_placement,
    fit_strength,
    followup,
    fracture,
    guide,
    implant_body,
    implant_library_stages,
    implant_marking,
    implant_moving,
    mandible,
    margin_map,
    narrowed_piece,
    orbit_cavities,
    orbit_marking,
    orbit_plate,
    osteotomy,
    patient,
    plate,
    pressure,
    release_marking,
    resection,
    resection_reserve,
    screws,
    spread,
    staged,
    territories,
    transplant_fit,
    transplant_images,
    transplant_sheet,
    treatment,
    tumor_surroundings,
    vein_parts,
    vein_tree,
    vessel_piece,
    vessels_crossed,
)
from workstation.planning.plan import Plan, PlanError, Step
from workstation.problems import explain
from workstation.replay import Replay
from workstation.stage import Stage
from workstation.variants import Outcome, Spread, Task, Variants, one_by_one

_TABLE = (
    Stage("Case", patient.patient),
    Stage("Case", aneurysm_patient.aneurysm_patient),
    Stage("Segment", resampling.conform),
    Stage("Segment", liver.propose_liver),
    Stage("Segment", vessels.propose_vessels, version=3),
    Stage("Segment", lesions.propose_lesions),
    Stage("Segment", bone.propose_bone),
    Stage("Segment", skull.propose_skull),
    Stage("Segment", tubes.propose_bright_vessels),
    Stage("Segment", dome.propose_dome),
    Stage("Segment", lung.propose_lung),
    Stage("Segment", airway.propose_airway),
    Stage("Segment", body.propose_skin),
    Stage("Segment", models.run_model),
    Stage("Segment", operations.threshold),
    Stage("Segment", prompted.prompted, version=2),
    Stage("Segment", prompt_network.prompted_network),
    Stage("Segment", seeded.grow_from_seeds),
    Stage("Segment", seeded.refine),
    Stage("Segment", graph_cut.graph_cut),
    Stage("Segment", random_walk.random_walk),
    Stage("Segment", watershed.watershed),
    Stage("Segment", level_set.level_set),
    Stage("Segment", paint.paint),
    Stage("Segment", paint.cut_with_scissors),
    Stage("Segment", paint.fill_slices),
    Stage("Segment", operations.keep_islands),
    Stage("Segment", islands.choose_islands),
    Stage("Segment", islands.split_islands),
    Stage("Segment", operations.fill_holes),
    Stage("Segment", operations.margin),
    Stage("Segment", operations.smooth),
    Stage("Segment", shaping.smooth_together),
    Stage("Segment", shaping.hollow),
    Stage("Segment", shaping.confine),
    Stage("Segment", operations.combine),
    Stage("Segment", operations.join),
    Stage("Segment", volume.edit),
    Stage("Segment", tumor_surroundings.empty_label),
    Stage("Segment", tumor_surroundings.tumor_surroundings),
    Stage("Segment", time_points.copy_labels),
    Stage("Segment", time_points.interpolate_times),
    Stage("Segment", doubt.doubt),
    Stage("Segment", registration.register),
    Stage("Segment", registration.move_volume),
    Stage("Segment", registration.move_labels),
    Stage("Model", surface.isosurface, version=2),
    Stage("Model", surface.smooth_surface),
    Stage("Model", image_edge.fit_to_image),
    Stage("Model", shared_walls.shared_surfaces),
    Stage("Model", shared_walls.surface_of_label),
    Stage("Model", surface.decimate, version=2),
    Stage("Model", remeshing.remesh),
    Stage("Model", offsets.offset_surface),
    Stage("Model", offsets.hollow_surface),
    Stage("Model", offsets.thicken_sheet),
    Stage("Model", thickness.thickness_map),
    Stage("Model", curvature.curvature_map),
    Stage("Model", repair.repair),
    Stage("Model", cutting.cut_by_plane),
    Stage("Model", cutting.cut_by_box),
    Stage("Model", cutting.cut_by_tube),
    Stage("Model", cutting.cut_by_curved_surface),
    Stage("Model", curve_cut.cut_along_curve),
    Stage("Model", booleans.combine_surfaces),
    Stage("Model", tetrahedra.tetrahedralize, version=2),
    Stage("Model", centerline.centerline, version=2),
    Stage("Model", vessel_geometry.vessel_shape),
    Stage("Model", vessel_sections.vessel_section),
    Stage("Model", vessel_findings.stenosis),
    Stage("Model", vessel_findings.dilatation),
    Stage("Model", vessel_findings.landing_zones),
    Stage("Model", vessel_ends.cut_ends),
    Stage("Model", vessel_ends.extend_ends, version=2),
    Stage("Model", vessel_ends.cap_ends, version=2),
    Stage("Model", vessel_preparation.prepare_lumen, version=4),
    Stage("Print", printability.printability),
    Stage("Print", connectors.split_with_pins),
    Stage("Print", lettering.letter),
    Stage("Print", orientation.orient_for_print),
    Stage("Measure", measuring.distance),
    Stage("Measure", measuring.angle),
    Stage("Measure", measuring.area),
    Stage("Measure", sampling.profile),
    Stage("Measure", geodesics.geodesic),
    Stage("Measure", measuring.distance_to_surface),
    Stage("Measure", measuring.clearance),
    Stage("Measure", measuring.surface_area),
    Stage("Measure", measuring.volume),
    Stage("Measure", comparison.distance_map),
    Stage("Measure", fitting.fit_plane),
    Stage("Measure", fitting.fit_sphere),
    Stage("Measure", fitting.fit_cylinder),
    Stage("Measure", symmetry.symmetry_plane),
    Stage("Plan", vessel_piece.around_aneurysm),
    Stage("Plan", narrowed_piece.around_narrowing),
    Stage("Plan", aneurysm.neck, version=6),
    Stage("Plan", aneurysm.dome),
    Stage("Plan", aneurysm.without_sac),
    Stage("Plan", aneurysm_shape.aneurysm_shape, version=5),
    Stage("Plan", treatment.coil),
    Stage("Plan", treatment.flow_diverter),
    Stage("Plan", treatment.treatment_effect, version=2),
    Stage("Plan", flow.simulate_flow, version=11),
    Stage("Plan", dome_flow.dome_flow, version=2),
    Stage("Plan", flow_reserve.fractional_flow_reserve, version=2),
    Stage("Plan", flow_reserve.flow_reserve),
    Stage("Plan", reserve_beside.reserve_beside),
    Stage("Plan", network.circulation),
    Stage("Plan", vein_parts.tell_veins_apart, version=2),
    Stage("Plan", vein_parts.one_system),
    Stage("Plan", vein_tree.vein_tree, version=3),
    Stage("Plan", couinaud.hepatic_branches, version=3),
    Stage("Plan", couinaud.portal_branches, version=4),
    Stage("Plan", territories.territories, version=3),
    Stage("Plan", branch_territory.branch_territory),
    Stage("Plan", resection.cut_plane, version=2),
    Stage("Plan", cut_surface_stages.cut_planes),
    Stage("Plan", cut_surface_stages.cut_surface, version=2),
    Stage("Plan", cut_surface_stages.cut_by_territories),
    Stage("Plan", cut_surface_stages.cut_wedge, version=3),
    Stage("Plan", cut_surface_stages.combine_cuts),
    Stage("Plan", resection.specimen),
    Stage("Plan", resection.remnant),
    Stage("Plan", resection.margin, version=3),
    Stage("Plan", ablation.ablation_zone),
    Stage("Plan", margin_map.margin_map, version=3),
    Stage("Plan", margin_map.critical_distance, version=2),
    Stage("Plan", critical_structures.critical_labels),
    Stage("Plan", critical_structures.structure_distances),
    Stage("Plan", resection_reserve.future_remnant),
    Stage("Plan", resection_reserve.liver_reserve, version=2),
    Stage("Plan", vessels_crossed.cut_vessels, version=3),
    Stage("Plan", drainage.lost_territory, version=4),
    Stage("Plan", pressure.portal_pressure, version=4),
    Stage("Plan", staged.staged_resection),
    Stage("Plan", aneurysm_risk.aneurysm_risk, version=2),
    Stage("Plan", aorta.aorta_diameters, version=2),
    Stage("Plan", aorta_growth.aorta_growth, version=2),
    Stage("Plan", aorta_threshold.aorta_threshold),
    Stage("Plan", transplant_images.liver_graft),
    Stage("Plan", transplant_images.cavity_depth),
    Stage("Plan", transplant_images.vessel_calibres, version=2),
    Stage("Case", transplant_images.with_images, version=2),
    Stage("Plan", transplant_fit.graft_in_cavity),
    Stage("Case", cranioplasty.cranial_patient),
    Stage("Segment", cranioplasty.take_skull),
    Stage("Plan", cranioplasty.cranial_defect, version=3),
    Stage("Plan", implant_body.cranial_implant, version=4),
    Stage("Plan", implant_moving.move_implant),
    Stage("Plan", orbit_cavities.orbital_cavities),
    Stage("Plan", orbit_plate.orbital_plate),
    Stage("Plan", cranioplasty_insertion.insertion_path),
    Stage("Plan", implant_library_stages.choose_implant, version=2),
    Stage("Plan", implant_library_stages.place_implant, version=2),
    Stage("Plan", implant_library_stages.part_fit),
    Stage("Plan", fit.implant_fit, version=4),
    Stage("Plan", fit_placement.placement_error),
    Stage("Plan", fit_mass.implant_mass),
    Stage("Plan", fit_strength.implant_strength),
    Stage("Print", implant_marking.mark_implant),
    Stage("Print", orbit_marking.mark_orbital_plate),
    Stage("Case", release_marking.operated_side),
    Stage("Print", release_marking.mark_part, version=2),
    Stage("Plan", bone_landmarks.femur_landmarks),
    Stage("Plan", bone_landmarks_tibia.tibia_landmarks),
    Stage("Plan", bone_landmarks_pelvis.pelvis_landmarks),
    Stage("Plan", bone_landmarks_scapula.scapula_landmarks),
    Stage("Plan", bone_landmarks_humerus.humerus_landmarks),
    Stage("Plan", bone_alignment_shoulder.shoulder_alignment),
    Stage("Plan", alignment_angles.leg_alignment),
    Stage("Plan", alignment_angles.pelvic_alignment),
    Stage("Plan", alignment_angles.side_difference),
    Stage("Plan", osteotomy.bone_cut),
    Stage("Plan", osteotomy.osteotomy_move, version=2),
    Stage("Plan", osteotomy.osteotomy, version=2),
    Stage("Plan", osteotomy.remaining_bone),
    Stage("Plan", osteotomy.move_landmarks),
    Stage("Plan", fracture.mirrored_side, version=2),
    Stage("Plan", fracture.fragment, version=2),
    Stage("Plan", fracture.reduction_move),
    Stage("Plan", fracture.move_fragment),
    Stage("Plan", fracture.reduction_check),
    Stage("Plan", plate.plate_course, version=2),
    Stage("Plan", plate.bent_plate),
    Stage("Plan", screws.screw_paths, version=3),
    Stage("Plan", screws.screw_bodies),
    Stage("Plan", screws.screws_apart, version=2),
    Stage("Plan", guide.cutting_guide, version=2),
    Stage("Plan", mandible.take_mandible),
    Stage("Plan", mandible.mandible_border),
    Stage("Plan", mandible.mandible_midplane),
    Stage("Plan", mandible.mandible_cut, version=2),
    Stage("Plan", mandible.resected_mandible),
    Stage("Plan", mandible.remaining_mandible),
    Stage("Plan", mandible.guide_seat),
    Stage("Plan", fibula.fibula_axis),
    Stage("Case", fibula.donor_leg),
    Stage("Plan", fibula_graft.fibula_graft, version=2),
    Stage("Plan", fibula_pieces.graft_pieces),
    Stage("Plan", fibula_pieces.graft_fit, version=2),
    Stage("Plan", fibula_pieces.fibula_cut),
    Stage("Plan", fibula_pieces.rebuilt_mandible),
    Stage("Plan", fibula_pieces.plate_line),
    Stage("Plan", transplant_sheet.transplant_sheet, version=3),
    Stage("Plan", followup.transplant_followup, version=2),
    Stage("Plan", spread.spread, version=2),
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _TABLE}


class StepFailed(RuntimeError):
    """A step of a plan could not be computed; ``__cause__`` says why."""

    def __init__(self, output: str, stage: str, cause: Exception) -> None:
        problem = explain(cause)
        known = isinstance(cause, OSError | MemoryError)
        reason = problem.title if known else str(cause)
        super().__init__(f"step {output!r} ({stage}) failed: {reason}")
        self.output = output
        self.stage = stage
        self.remedy = problem.remedy if known else str(getattr(cause, "remedy", ""))


def find_stage(step: Step) -> Stage:
    """Return the stage that ``step`` calls.

    Raises:
        PlanError: if there is none of that name, or the step needs a newer version of it.
    """
    stage = STAGES.get(step.stage)
    if stage is None:
        raise PlanError(
            f"step {step.output!r} calls the unknown stage {step.stage!r}; hilum stages lists them"
        )
    if step.version > stage.version:
        raise PlanError(
            f"step {step.output!r} needs version {step.version} of {step.stage}, this Hilum has "
            f"version {stage.version}; update Hilum"
        )
    return stage


def at_present(plan: Plan, made: Container[str] = ()) -> Plan:
    """Return ``plan`` with each step at the present version of its stage.

    A step whose result is ``made``, told by its key, stays what it is: it was computed so.

    Raises:
        PlanError: for an unknown stage, or a newer version of one.
    """
    for step in plan.steps:
        version = find_stage(step).version
        if step.version != version and plan.keys()[step.output] not in made:
            plan = plan.with_step(replace(step, version=version))
    return plan


def check_plan(plan: Plan) -> None:
    """Raise unless every step calls a known stage with the inputs and parameters it takes.

    Raises:
        PlanError: for an unknown stage or input.
        StageError: for a parameter that is refused.
    """
    for step in plan.steps:
        stage = find_stage(step)
        known = {i.name: i for i in stage.inputs}
        for name in step.inputs:
            if name not in known:
                raise PlanError(f"step {step.output!r}: {step.stage} takes no input {name!r}")
        missing = [i.name for i in stage.inputs if not i.optional and i.name not in step.inputs]
        if missing:
            raise PlanError(
                f"step {step.output!r} lacks its input: {', '.join(missing)}; name the result to "
                f"take, as in {step.output}.{missing[0]}=RESULT"
            )
        stage.check_params(step.params)


@dataclass(frozen=True)
class StepRun:
    """What became of one step in one run."""

    output: str
    key: str
    state: str
    seconds: float = 0.0
    error: str = ""


def run_plan(
    plan: Plan,
    store: MutableMapping[str, Any],
    progress: Progress = silent,
    on_step: Callable[[StepRun], None] = lambda run: None,
    spread_over: Spread = one_by_one,
) -> dict[str, str]:
    """Compute what ``store`` (content key to value) lacks; return name to content key.

    ``on_step`` hears of each step as it ends: "cached", "done" or "failed". ``spread_over`` does
    the repeats of a result under other inputs.

    A step that fails stops only what needs its result; where disk or memory fail, all stops.

    Raises:
        StepFailed: from the error of the first step that failed; all other results stay.
        PlanError, StageError: before anything runs, if the plan does not hold together.
    """
    check_plan(plan)
    keys = plan.keys()
    failed: StepFailed | None = None
    lost: set[str] = set()
    for number, step in enumerate(plan.steps):
        key = keys[step.output]
        part = share(progress, number, len(plan.steps))
        part(0.0, step.output)
        if lost.intersection(step.inputs.values()):
            lost.add(step.output)
            continue
        if key in store:
            on_step(StepRun(step.output, key, "cached"))
            continue
        started = time.perf_counter()
        inputs = {argument: store[keys[name]] for argument, name in step.inputs.items()}
        try:
            stage = find_stage(step)
            given = _given(plan, store, step, stage, spread_over)
            store[key] = stage.run(inputs, step.params, part, **given)
        except (ValueError, RuntimeError, ArithmeticError, MemoryError, OSError) as error:
            on_step(StepRun(step.output, key, "failed", time.perf_counter() - started, str(error)))
            if isinstance(error, OSError | MemoryError):
                raise StepFailed(step.output, step.stage, error) from error
            if failed is None:
                failed = StepFailed(step.output, step.stage, error)
                failed.__cause__ = error
            lost.add(step.output)
            continue
        on_step(StepRun(step.output, key, "done", time.perf_counter() - started))
    progress(1.0)
    if failed is not None:
        raise failed
    return keys


def _given(
    plan: Plan, store: MutableMapping[str, Any], step: Step, stage: Stage, spread_over: Spread
) -> dict[str, Replay | Variants]:
    """Return what a stage gets that makes its first input once more, with changes."""
    arguments = inspect.signature(stage.function).parameters
    if "again" in arguments:
        return {"again": Replay(plan, store, step.inputs[stage.inputs[0].name], find_stage)}
    if "variants" in arguments:
        of = step.inputs[stage.inputs[0].name]
        return {"variants": Variants(plan, store, of, find_stage, numbers_of, spread_over)}
    return {}


def numbers_of(task: Task, progress: Progress = silent) -> Outcome:
    """Run the plan of a task; return the numbers of its result, or why it failed."""
    values = dict(task.values)
    try:
        result = values[run_plan(task.plan, values, progress)[task.output]]
    except StepFailed as error:
        return str(error)
    return Measurements(result.numbers, result.findings)
