"""What a back-test found: changed verdicts and changed rates, per variant."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qc.domain.record import Json
from qc.domain.verdict import Decision
from qc.release.backtest import Again, Item

REJECTS = (Decision.NG.value, Decision.REVIEW.value)


@dataclass(frozen=True, slots=True)
class VariantReport:
    """recorded: parts with a verdict in the time asked for. judged: those whose picture could be judged again; unreadable: could not.

    changed: (before, after) -> parts. Rates count REVIEW as a reject and are of all recorded parts: before as recorded, after estimated from
    the judged parts of each verdict; None when no part of a verdict was drawn.
    """

    variant: str
    recorded: int
    judged: int
    unreadable: int
    changed: Mapping[tuple[str, str], int]
    rejected_before: float
    rejected_after: float | None

    def as_text(self, model: str) -> str:
        same = self.judged - sum(self.changed.values())
        changed = "".join(f"; {before} -> {after} {count}" for (before, after), count in self.changed.items())
        missing = "not known (no part of one verdict was kept by the archive's even draw)"
        after = missing if self.rejected_after is None else f"about {self.rejected_after:.1%}"
        return (
            f"{self.variant}: {self.recorded} parts recorded, {self.judged} judged again, {self.unreadable} without a readable picture\n"
            f"  verdicts: {same} unchanged{changed}\n"
            f"  rejected or reviewed, of all recorded: {self.rejected_before:.1%} before, {after} with {model}"
        )

    def as_json(self) -> dict[str, Json]:
        return {
            "variant": self.variant,
            "recorded": self.recorded,
            "judged": self.judged,
            "unreadable": self.unreadable,
            "changed": {" -> ".join(verdicts): count for verdicts, count in self.changed.items()},
            "rejected_before": self.rejected_before,
            "rejected_after": self.rejected_after,
        }


def summary(found: Sequence[Again], items: Sequence[Item], recorded: Mapping[tuple[str, str], int]) -> list[VariantReport]:
    """Of the asked parts only: the file may hold more. recorded: parts by (variant, decision), kept picture or not."""
    wanted = {item.event_id: item for item in items}
    mine = [again for again in found if again.event_id in wanted]
    reports = []
    for variant in sorted({variant for variant, _ in recorded}):
        judged = [again for again in mine if again.variant == variant and again.after]
        parts = {decision: recorded.get((variant, decision), 0) for decision in (Decision.OK.value, *REJECTS)}
        total = sum(parts.values())
        rejected = [
            count * share
            for decision, count in parts.items()
            if count
            and (share := _rejected([a for a in judged if a.before == decision and wanted[a.event_id].drawn])) is not None
        ]
        estimable = len(rejected) == sum(count > 0 for count in parts.values())
        reports.append(
            VariantReport(
                variant=variant,
                recorded=total,
                judged=len(judged),
                unreadable=sum(again.variant == variant and not again.after for again in mine),
                changed=dict(sorted(Counter((a.before, a.after) for a in judged if a.before != a.after).items())),
                rejected_before=sum(parts[decision] for decision in REJECTS) / max(1, total),
                rejected_after=sum(rejected) / max(1, total) if estimable else None,
            )
        )
    return reports


def _rejected(judged: Sequence[Again]) -> float | None:
    """Share that is rejected now; None without a part."""
    return sum(again.after in REJECTS for again in judged) / len(judged) if judged else None
