"""Clinical data in FHIR R4: read into a `ClinicalRecord`, and plan results written."""
