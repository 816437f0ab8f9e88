"""Hand-made FHIR R4 records for tests."""

import json

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"


def patient(number="p1", **more):
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": [{"system": "urn:oid:1.2.36", "value": "MRN-7"}],
        "name": [
            {"use": "nickname", "given": ["Bobby"]},
            {"use": "official", "family": "Ödegård", "given": ["Astrid", "Maria"]},
        ],
        "birthDate": "1961-04-09",
        "gender": "female",
    } | more


def observation(code, number="o1", *, system=LOINC, display="", text="", **more):
    concept = {"coding": [{"system": system, "code": code, "display": display or code}]}
    if text:
        concept["text"] = text
    return {
        "resourceType": "Observation",
        "id": number,
        "status": "final",
        "code": concept,
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-03-01T08:30:00+01:00",
    } | more


def quantity(value, unit, code=None):
    return {"value": value, "unit": unit, "system": UCUM, "code": unit if code is None else code}


def measured(code, value, unit, number="o1", **more):
    return observation(code, number, valueQuantity=quantity(value, unit), **more)


def coded(code, system, value, display="", number="o1", **more):
    concept = {"coding": [{"system": system, "code": value, "display": display or value}]}
    return observation(code, number, valueCodeableConcept=concept, **more)


def bundle(*resources, kind="collection"):
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {"fullUrl": f"urn:uuid:{n:04d}", "resource": resource}
            for n, resource in enumerate(resources)
        ],
    }


def write(path, document):
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def whole_record():
    """A record with everything that is read, and some that is not."""
    return bundle(patient(), _specimen(), *_measures(), *_typing(), *_documents(), *_unread())


def _specimen():
    return {
        "resourceType": "Specimen",
        "id": "s1",
        "type": {"text": "Serum"},
        "subject": {"reference": "Patient/p1"},
    }


def _measures():
    pressure = observation(
        "85354-9",
        "bp",
        component=[
            {"code": {"coding": [{"system": LOINC, "code": c}]}, "valueQuantity": quantity(v, u)}
            for c, v, u in (
                ("8480-6", 126, "mm[Hg]"),
                ("8462-4", 72, "mm[Hg]"),
                ("8478-0", 12, "kPa"),
                ("8867-9", 60, "/min"),
            )
        ],
    )
    return (
        measured("29463-7", 176.37, "[lb_av]", "weight"),
        measured("8302-2", 68, "[in_i]", "height"),
        pressure,
        measured("14682-9", 88.42, "umol/L", "crea", specimen={"reference": "Specimen/s1"}),
        measured("1975-2", 2.5, "mg/dL", "bili"),
        measured("1751-7", 38, "g/L", "alb"),
        measured("6301-6", 1.2, "{INR}", "inr"),
        measured("2951-2", 139, "mmol/L", "na"),
        measured("777-3", 210, "10*3/uL", "plt"),
        measured("60985-9", 6, "mm[Hg]", "cvp"),
    )


def _typing():
    gene = {
        "code": {"coding": [{"system": LOINC, "code": "48018-6"}]},
        "valueCodeableConcept": {
            "coding": [{"system": "http://www.genenames.org", "code": "HGNC:4932"}]
        },
    }
    mfi = {"code": {"text": "MFI"}, "valueQuantity": quantity(6400, "{MFI}")}
    second = "HLA-B*07:02+HLA-B*57:01:01G"
    return (
        coded("883-9", SNOMED, "112144000", "Blood group A (finding)", "abo"),
        coded("10331-7", SNOMED, "165747007", "RhD positive", "rh"),
        coded("57290-9", "http://glstring.org", "hla#3.53.0#HLA-A*02:01+HLA-A*03:01", "", "hla-a"),
        coded("84413-4", "http://glstring.org", second, "", "hla-b", component=[gene]),
        observation(
            "x1",
            "ab",
            system="http://lab.example",
            text="HLA class I antibody",
            valueCodeableConcept={"text": "A2"},
            component=[mfi],
        ),
    )


def _documents():
    return (
        {
            "resourceType": "List",
            "id": "ua",
            "status": "current",
            "mode": "snapshot",
            "title": "Unacceptable antigens",
            "subject": {"reference": "Patient/p1"},
            "entry": [{"item": {"display": "B8"}}, {"item": {"display": "DR17"}}],
        },
        {
            "resourceType": "ImagingStudy",
            "id": "ct",
            "status": "available",
            "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"}],
            "subject": {"reference": "urn:uuid:0000"},
            "started": "2026-02-27",
            "modality": [{"code": "CT"}],
        },
        {
            "resourceType": "Consent",
            "id": "c1",
            "status": "active",
            "scope": {"text": "research"},
            "category": [{"text": "research"}],
            "patient": {"reference": "Patient/p1"},
            "policyRule": {"text": "local"},
            "provision": {"type": "permit", "period": {"start": "2026-01-01", "end": "2026-12-31"}},
        },
    )


def _unread():
    return (
        measured("4548-4", 6.1, "%", "a1c"),
        {"resourceType": "Condition", "id": "k", "subject": {"reference": "Patient/p1"}},
    )
