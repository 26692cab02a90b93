"""Alarms over evidence: detectors that bound the chance of any false alarm, one per file; pure, seeded by nothing."""
