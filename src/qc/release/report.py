"""What the gate says: check by check, and the one answer that follows from them."""

from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from qc.release.index import Slot


class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105  # an answer, no password
    FAIL = "FAIL"
    NOT_ENOUGH_EVIDENCE = "NOT ENOUGH EVIDENCE"


class Check(BaseModel):
    """One rule. slice: variant, environment or kind of disturbance, empty for the whole.

    estimate, low, high: the measured quantity with its interval, in the unit that ``message`` names. labels_needed: further labels
    ("40 defects") without which nothing can be said; empty otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    outcome: Outcome
    message: str
    slice: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    labels_needed: str = ""


class GateReport(BaseModel):
    """Candidate against incumbent. excluded: labelled parts that the candidate was trained on and that therefore do not count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = "qc.gate/1"
    made_at: AwareDatetime
    candidate: Slot
    incumbent: Slot
    variants: tuple[str, ...]
    rules_sha256: str
    data: str
    parts: int
    defects: int
    excluded: int
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """FAIL when a check fails; else NOT ENOUGH EVIDENCE when one cannot be decided; else PASS."""
        outcomes = {check.outcome for check in self.checks}
        for worst in (Outcome.FAIL, Outcome.NOT_ENOUGH_EVIDENCE):
            if worst in outcomes:
                return worst
        return Outcome.PASS

    @property
    def file_name(self) -> str:
        return f"{self.candidate.model}--{_stamp(self.made_at)}.json"

    def proves(self, candidate: Slot, incumbent: Slot, variant: str) -> bool:
        """Whether this report passed exactly this pair, thresholds included, for the variant."""
        same = self.candidate == candidate and self.incumbent == incumbent and variant in self.variants
        return same and self.outcome is Outcome.PASS


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S%f")
