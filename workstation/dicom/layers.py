"""Structures of one object as label maps; those that overlap are kept apart in layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from segmentation.anatomy import known_label
from segmentation.contract import Finding, Severity
from segmentation.volume import Array, ImageGeometry, Label, LabelMap
from workstation.dicom.slices import PatientIdentity
from workstation.dicom.sources import DicomError
from workstation.dicom.values import text

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LayeredLabels:
    """The structures of a DICOM object.

    Attributes:
        layers: label maps on one grid (LPS mm) that together hold every structure; a label's
            value is its number in the object. One layer unless structures overlap.
        patient: whose it is.
        findings: what a reader must know; each layer carries them too.
    """

    layers: tuple[LabelMap, ...]
    patient: PatientIdentity
    findings: tuple[Finding, ...] = ()

    @property
    def geometry(self) -> ImageGeometry:
        """The voxel grid of all layers."""
        return self.layers[0].geometry

    @property
    def labels(self) -> Mapping[int, Label]:
        """Number to label, over all layers."""
        return {value: label for layer in self.layers for value, label in layer.labels.items()}

    def mask(self, structure: int | str) -> Mask:
        """Return the voxels [k, j, i] of one structure, by number or name.

        Raises:
            ValueError: if there is none.
        """
        for layer in self.layers:
            for n, label in layer.labels.items():
                if structure in (n, label.name):
                    return layer.mask(n)
        known = ", ".join(label.name for label in self.labels.values())
        raise ValueError(f"there is no {structure!r}; the structures here are: {known}")

    def one(self, wanted: str, number: int, by_hand: bool = False) -> LabelMap:
        """Return structure ``number`` under the name ``wanted``; a finding says what it was.

        It is a warning unless a person chose it or its code says the same.
        """
        label = self.labels[number]
        mask = self.mask(number).view(np.uint8)
        known = known_label(wanted) or label
        renamed = Label(wanted, label.colour, label.code or known.code)
        findings = self.findings
        if _own_name(label.name) != wanted:
            sentence = f"the structure {label.name!r} of the file was taken as {wanted}"
            sure = by_hand or (label.code and label.code == known.code)
            severity = Severity.INFO if sure else Severity.WARNING
            findings = (*findings, Finding(severity, "structure_chosen", sentence))
        return LabelMap(mask, self.geometry, {1: renamed}, findings)


def chosen(labels: Mapping[int, Label], wanted: str, structure: str = "") -> int:
    """Return the number of the structure that is meant.

    That is the one called ``structure`` if that is given; else the one called ``wanted``, else
    the one with its SNOMED CT code, else the only one.

    Raises:
        DicomError: if it cannot be decided; it lists the names.
    """
    if structure:
        found = [n for n, x in labels.items() if x.name == structure]
        known, missing = None, f"is called {structure!r}"
    else:
        found = [n for n, x in labels.items() if wanted in (x.name, _own_name(x.name))]
        known, missing = known_label(wanted), f"is called {wanted!r}"
    if not found and known:
        found = [n for n, x in labels.items() if x.code and x.code == known.code]
    if not found and not structure:
        found = list(labels) if len(labels) == 1 else []
    if len(found) == 1:
        return found[0]
    names = ", ".join(label.name for label in labels.values()) or "none"
    several = f"{len(found)} of them could be {structure or wanted!r}"
    raise DicomError(
        f"it holds the structures {names}; {several if found else f'none {missing}'}",
        f"Name the one that is meant behind the file, as in {wanted}=FILE#NAME",
    )


def _own_name(name: str) -> str:
    known = known_label(name)
    return known.name if known else name


def layered(
    structures: Iterable[tuple[int, Label, Mask]],
    geometry: ImageGeometry,
    patient: PatientIdentity,
    findings: Iterable[Finding],
) -> LayeredLabels:
    """Put each structure into the first layer where it overlaps nothing, or into a new one."""
    layers: list[Array] = []
    owners: list[dict[int, Label]] = []
    for value, label, mask in structures:
        free = (n for n, layer in enumerate(layers) if not layer[mask].any())
        n = next(free, len(layers))
        if n == len(layers):
            layers.append(np.zeros(geometry.shape, np.uint8))
            owners.append({})
        if value > 255 and layers[n].dtype == np.uint8:
            layers[n] = layers[n].astype(np.uint16)
        layers[n][mask] = value
        owners[n][value] = label
    notes = tuple(findings)
    if not layers:
        raise DicomError("it holds no structure")
    if len(layers) > 1:
        sentence = f"structures overlap; they are kept in {len(layers)} layers"
        notes = (*notes, Finding(Severity.INFO, "structures_overlap", sentence))
    maps = tuple(LabelMap(a, geometry, own, notes) for a, own in zip(layers, owners))
    return LayeredLabels(maps, patient, notes)


def patient_of(data: Dataset) -> PatientIdentity:
    """Return who a data set says the patient is."""
    return PatientIdentity(
        text(data, "PatientName"),
        text(data, "PatientID"),
        text(data, "PatientBirthDate"),
        text(data, "PatientSex"),
    )
