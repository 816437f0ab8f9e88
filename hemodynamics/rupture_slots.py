"""Models of rupture that combine flow and shape; each waits for its published coefficients.

Their inputs are declared, computed and shown. Coefficients that could not be read in the
papers themselves are not in this program: a file with its source switches a model on, see
`hemodynamics.score_coefficients`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from hemodynamics.score import Score
from hemodynamics.score_coefficients import Slot, declared

Ratio = Annotated[float, Ge(0), Le(1000)]
Index = Annotated[float, Ge(-1), Le(1)]
Share = Annotated[float, Ge(0), Le(1)]
Millimetres = Annotated[float, Gt(0), Le(100)]
Pascals = Annotated[float, Ge(0), Le(1000)]
Oscillation = Annotated[float, Ge(0), Le(0.5)]
Years = Annotated[float, Ge(0), Le(120)]
Site = Literal["ica", "pcom", "aca", "acom", "mca", "basilar", "vertebral", "pca"]


def suzuki(
    *,
    pressure_loss_coefficient: Annotated[float, Ge(-1000), Le(1000)] | None = None,
    osi: Oscillation | None = None,
    wss_pa: Pascals | None = None,
    wss_normalised: Ratio | None = None,
    low_shear_share: Share | None = None,
    size_mm: Millimetres | None = None,
    neck_width_mm: Millimetres | None = None,
    aspect_ratio: Ratio | None = None,
    size_ratio: Ratio | None = None,
) -> Score:
    """Rupture of a small unruptured aneurysm from flow and shape (Suzuki 2020).

    Args:
        pressure_loss_coefficient: loss of total pressure across the aneurysm, by dynamic
            pressure.
        osi: oscillatory shear index, mean over the dome.
        wss_pa: time-averaged wall shear stress, mean over the dome.
        wss_normalised: the same by that of the parent artery.
        low_shear_share: share of the dome with less than a tenth of the parent's shear.
        size_mm: largest diameter of the aneurysm.
        neck_width_mm: width of the neck.
        aspect_ratio: height by width of the neck.
        size_ratio: largest height by the diameter of the parent artery.
    """
    return declared(locals())


def xiang(
    *,
    size_ratio: Ratio | None = None,
    wss_normalised: Ratio | None = None,
    osi: Oscillation | None = None,
) -> Score:
    """Resemblance to ruptured aneurysms, the rupture resemblance score (Xiang 2011 and 2015).

    It is the probability odds / (1 + odds) of a logistic model of ruptured against unruptured
    aneurysms: a resemblance, not a prediction.

    Args:
        size_ratio: largest height by the diameter of the parent artery.
        wss_normalised: wall shear stress, mean over the dome by that of the parent artery.
        osi: oscillatory shear index, mean over the dome.
    """
    return declared(locals())


def detmer(
    *,
    age_years: Years | None = None,
    female: bool | None = None,
    site: Site | None = None,
    osi_maximum: Oscillation | None = None,
    osi: Oscillation | None = None,
    wss_pa: Pascals | None = None,
    wss_maximum_pa: Pascals | None = None,
    wss_normalised: Ratio | None = None,
    low_shear_share: Share | None = None,
    shear_concentration: Ratio | None = None,
    inflow_concentration: Ratio | None = None,
    kinetic_energy_ratio: Ratio | None = None,
    size_mm: Millimetres | None = None,
    width_mm: Millimetres | None = None,
    neck_width_mm: Millimetres | None = None,
    aspect_ratio: Ratio | None = None,
    size_ratio: Ratio | None = None,
    bottleneck_factor: Ratio | None = None,
    nonsphericity_index: Index | None = None,
    undulation_index: Index | None = None,
    ellipticity_index: Index | None = None,
) -> Score:
    """Probability that an aneurysm is a ruptured one, from patient, site, shape, flow (Detmer).

    Args:
        age_years: age.
        female: whether the patient is a woman.
        site: the artery that carries the aneurysm.
        osi_maximum: oscillatory shear index, largest on the dome.
        osi: the same, mean over the dome.
        wss_pa: time-averaged wall shear stress, mean over the dome.
        wss_maximum_pa: the same, largest on the dome.
        wss_normalised: the mean by that of the parent artery.
        low_shear_share: share of the dome with less than a tenth of the parent's shear.
        shear_concentration: shear concentration index.
        inflow_concentration: inflow concentration index.
        kinetic_energy_ratio: kinetic energy per volume in the dome by that in the parent artery.
        size_mm: largest diameter of the aneurysm.
        width_mm: largest width parallel to the neck.
        neck_width_mm: width of the neck.
        aspect_ratio: height by width of the neck.
        size_ratio: largest height by the diameter of the parent artery.
        bottleneck_factor: largest width by width of the neck.
        nonsphericity_index: nonsphericity index.
        undulation_index: undulation index.
        ellipticity_index: ellipticity index.
    """
    return declared(locals())


SLOTS = (
    Slot(
        "suzuki",
        suzuki,
        "small unruptured aneurysms (Japan); counts and interval are not established here",
        "Suzuki 2020, Stroke 51:641-643",
    ),
    Slot(
        "xiang",
        xiang,
        "119 aneurysms, 38 of them ruptured; AUC 0.83 (size ratio), 0.85 (WSS and OSI), 0.89 (all)",
        "Xiang 2011, doi:10.1161/STROKEAHA.110.592923; Xiang 2015, "
        "doi:10.1136/neurintsurg-2014-011218",
    ),
    Slot(
        "detmer",
        detmer,
        "1,631 aneurysms of 1,061 patients (United States), cross-sectional; AUC 0.84 corrected "
        "for optimism, 0.82 in Europe, 0.70 in Finland, 0.72 in Japan",
        "Detmer 2018, Int J Comput Assist Radiol Surg 13:1767; doi:10.1007/s00701-018-3712-8; "
        "PMC7132362",
    ),
)
