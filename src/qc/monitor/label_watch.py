"""What labels and challenge parts say about one slice: DR, FPR and prevalence against their bounds.

Keeps the looks of every labelled part of the open windows and computes a window's product from all of them in the order of
their event ids. So late labels, second looks and corrections just change the set, and a replay of the same
labels in any order gives the same value to the last bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qc.domain.record import Json
from qc.domain.truth import Truth
from qc.evaluate.adjudicate import DEFECT, GOOD, UNSURE, settle
from qc.monitor.challenge_bets import DISTANCES, challenge_log_factors
from qc.monitor.evidence import WindowedEvidence
from qc.monitor.label_bets import FRACTIONS, detection_log_factors, false_positive_log_factors, prevalence_log_factors
from qc.monitor.label_shift import LabelShift, label_shift

Floats: TypeAlias = NDArray[np.float64]

_SAID = {Truth.GOOD: GOOD, Truth.DEFECT: DEFECT, Truth.UNSURE: UNSURE}

_EARLY_WINDOWS = 2
DETECTION, FALSE_POSITIVE, PREVALENCE = "detection_rate", "false_positive_rate", "prevalence"


@dataclass(frozen=True, slots=True)
class RateBounds:
    """What the alarms hold against: a contract's floor, or a lower confidence bound of the baseline; never its point estimate."""

    detection_floor: float = 0.90
    false_positive_ceiling: float = 0.10
    prevalence_ceiling: float = 0.05


@dataclass(slots=True)
class Window:
    """One shift of the slice. q_rejected, q_accepted: smallest inclusion probability of each side in its plan.

    looks: event id -> (q, rejected, {round: said}); passes: event id -> missed.
    """

    q_rejected: float
    q_accepted: float
    looks: dict[str, tuple[float, bool, dict[int, int]]] = field(default_factory=dict)
    passes: dict[str, bool] = field(default_factory=dict)


class LabelWatch:
    """keep: windows whose labels may still come in (the lifetime of a ticket). third_look: as ``label.LookRules``."""

    def __init__(self, bounds: RateBounds, *, keep: int = 12, third_look: bool = True) -> None:
        self.bounds = bounds
        self._third_look = third_look
        self._windows: dict[str, Window] = {}
        self._early: dict[str, dict[str, bool]] = {}
        self._stale: set[str] = set()
        """Windows whose product must be computed again before it is used."""
        self._evidence = {
            DETECTION: WindowedEvidence((len(FRACTIONS), len(DISTANCES)), keep),
            FALSE_POSITIVE: WindowedEvidence((len(FRACTIONS),), keep),
            PREVALENCE: WindowedEvidence((len(FRACTIONS),), keep),
        }

    def start(self, window: str, *, q_rejected: float, q_accepted: float) -> None:
        """A window begins under a plan with these smallest inclusion probabilities; once per window."""
        if window in self._windows:
            return
        self._refresh()  # before the oldest window is closed
        self._windows[window] = Window(q_rejected, q_accepted, passes=self._early.pop(window, {}))
        for evidence in self._evidence.values():
            evidence.start(window)
        self._stale.add(window)
        still = {name for evidence in self._evidence.values() for name in evidence.windows}
        self._windows = {name: kept for name, kept in self._windows.items() if name in still}

    def label(self, window: str, event_id: str, *, q: float, rejected: bool, review_round: int, truth: Truth) -> bool:
        """One look; a later one of the same round replaces it.

        False when it cannot count: the window is unknown or closed, or q is below the smallest of the window's plan, against
        which the bets were laid (the plan was made after the window had begun).
        """
        known = self._windows.get(window)
        if known is None or q < (known.q_rejected if rejected else known.q_accepted):
            return False
        _, _, looks = self._windows[window].looks.setdefault(event_id, (q, rejected, {}))
        looks[review_round] = _SAID[truth]
        self._stale.add(window)
        return True

    def challenge(self, window: str, event_id: str, *, missed: bool) -> bool:
        """One pass of a challenge part; idempotent by event id. False when the window is not open.

        The first part of a shift may be a challenge part, told before the window has begun: it waits for that.
        """
        if window not in self._windows:
            self._early.setdefault(window, {})[event_id] = missed
            while len(self._early) > _EARLY_WINDOWS:
                del self._early[next(iter(self._early))]
            return False
        self._windows[window].passes[event_id] = missed
        self._stale.add(window)
        return True

    @property
    def windows(self) -> int:
        """Windows whose labels still count."""
        return len(self._windows)

    def log_value(self, quantity: str) -> float:
        self._refresh()
        return self._evidence[quantity].log_value()

    def restart_evidence(self, quantity: str) -> None:
        """Forget the evidence of one quantity: its alarm was acknowledged. Its next window starts it again."""
        self._refresh()
        self._evidence[quantity].restart()

    def restart(self) -> None:
        """Forget everything: another model or other thresholds judge from now on."""
        self._windows.clear()
        self._early.clear()
        self._stale.clear()
        for evidence in self._evidence.values():
            evidence.restart()

    def telling(self, quantity: str) -> list[str]:
        """Event ids behind the evidence, newest window first: escapes and missed challenges, false rejects, or defects."""
        found: list[str] = []
        for name in reversed(list(self._windows)):
            window = self._windows[name]
            events, defective, rejected, _ = self._settled(window)
            wanted = {DETECTION: defective & ~rejected, FALSE_POSITIVE: ~defective & rejected, PREVALENCE: defective}[quantity]
            found += [event for event, hit in zip(events, wanted, strict=True) if hit]
            if quantity == DETECTION:
                found += sorted(event for event, missed in window.passes.items() if missed)
        return found

    def shift(self) -> LabelShift:
        """What became more frequent among the rejects, over the windows that are kept."""
        return label_shift([self._settled(window)[1:] for window in self._windows.values()])

    def _refresh(self) -> None:
        for name in self._stale & self._windows.keys():
            self._recompute(name)
        self._stale.clear()

    def _recompute(self, name: str) -> None:
        window, bounds = self._windows[name], self.bounds
        _, y, d, q = self._settled(window)
        missed = np.array([window.passes[event] for event in sorted(window.passes)], bool)
        challenges = challenge_log_factors(missed, floor=bounds.detection_floor).sum(0)
        dr = detection_log_factors(y, d, q, q_limit=window.q_rejected, floor=bounds.detection_floor).sum(0)
        fpr = false_positive_log_factors(y, d, q, q_limit=window.q_accepted, ceiling=bounds.false_positive_ceiling).sum(0)
        lowest = min(window.q_rejected, window.q_accepted)
        prevalence = prevalence_log_factors(y, q, q_limit=lowest, ceiling=bounds.prevalence_ceiling).sum(0)
        self._evidence[DETECTION].put(name, dr[:, None] + challenges)
        self._evidence[FALSE_POSITIVE].put(name, fpr)
        self._evidence[PREVALENCE].put(name, prevalence)

    def _settled(self, window: Window) -> tuple[list[str], NDArray[np.bool_], NDArray[np.bool_], Floats]:
        """Confirmed parts in the order of their event ids: ids, defective, rejected, q. Unconfirmed defects do not count yet."""
        events = sorted(window.looks)
        rows = [
            (i, number, said, window.looks[event][1])
            for i, event in enumerate(events)
            for number, said in window.looks[event][2].items()
        ]
        if not rows:
            none = np.zeros(0, bool)
            return [], none, none, np.zeros(0)
        index, number, said, rejected = (np.array(column) for column in zip(*rows, strict=True))
        truth = settle(index, number, said, rejected.astype(bool), third_look=self._third_look)
        use = ~truth.unconfirmed & ~truth.unsure
        kept = [events[int(i)] for i in truth.event[use]]
        d = np.array([window.looks[event][1] for event in kept], bool)
        q = np.array([window.looks[event][0] for event in kept], float)
        return kept, truth.defective[use], d, q

    def state(self) -> dict[str, Json]:
        self._refresh()
        windows: dict[str, Json] = {
            name: {
                "q_rejected": w.q_rejected,
                "q_accepted": w.q_accepted,
                "looks": {event: [q, d, {str(r): s for r, s in looks.items()}] for event, (q, d, looks) in w.looks.items()},
                "passes": dict(w.passes),
            }
            for name, w in self._windows.items()
        }
        early: dict[str, Json] = {name: dict(passes) for name, passes in self._early.items()}
        return {
            "windows": windows,
            "early": early,
            "evidence": {name: evidence.state() for name, evidence in self._evidence.items()},
        }

    def restore(self, state: Mapping[str, Json]) -> None:
        windows, early, evidence = state["windows"], state["early"], state["evidence"]
        assert isinstance(early, dict)
        assert isinstance(windows, dict)
        assert isinstance(evidence, dict)
        self._windows = {name: _window(body) for name, body in windows.items()}
        self._early = {
            name: {event: bool(missed) for event, missed in passes.items()}
            for name, passes in early.items()
            if isinstance(passes, dict)
        }
        for name, body in evidence.items():
            assert isinstance(body, dict)
            self._evidence[name].restore(body)


def _window(body: Json) -> Window:
    assert isinstance(body, dict)
    looks, passes = body["looks"], body["passes"]
    assert isinstance(looks, dict)
    assert isinstance(passes, dict)
    window = Window(float(str(body["q_rejected"])), float(str(body["q_accepted"])))
    for event, row in looks.items():
        assert isinstance(row, list)
        q, rejected, said = row
        assert isinstance(said, dict)
        window.looks[event] = (float(str(q)), bool(rejected), {int(r): int(str(s)) for r, s in said.items()})
    window.passes = {event: bool(missed) for event, missed in passes.items()}
    return window
