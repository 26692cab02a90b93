"""Alarms over evidence: what left its bounds, since when, probably why, and what to do about it."""
