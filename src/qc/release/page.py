"""A gate report as text for people."""

from qc.release.report import GateReport, Outcome

_SIGN = {Outcome.PASS: "ok  ", Outcome.FAIL: "FAIL", Outcome.NOT_ENOUGH_EVIDENCE: "?   "}


def as_text(report: GateReport) -> str:
    """One line per check, the labels still needed, the answer last."""
    lines = [
        f"{report.candidate.model} against {report.incumbent.model} on {report.data or 'nothing'}",
        f"{report.parts} labelled pictures count, {report.defects} of them defects; "
        f"{report.excluded} do not: the candidate was trained on them",
        "",
    ]
    for check in report.checks:
        name = f"{check.name}, {check.slice}" if check.slice else check.name
        needed = f" (still needed: {check.labels_needed})" if check.labels_needed else ""
        lines.append(f"{_SIGN[check.outcome]}  {name}: {check.message}{needed}")
    return "\n".join([*lines, "", report.outcome.value])
