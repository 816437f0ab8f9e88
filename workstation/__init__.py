"""The planning workstation: DICOM, plans, cases, reports, command line and window."""
