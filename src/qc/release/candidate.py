"""Taking a candidate to the gate: what must hold before a part is judged, each as a check of the report."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from qc.domain.errors import BundleError
from qc.domain.model import ModelCard
from qc.domain.recipe import Recipe
from qc.inspection.bundle import MODEL_FILE
from qc.inspection.session import OnnxInspector, Runtime, load_inspector
from qc.release.device import size_check
from qc.release.index import Slot
from qc.release.report import Check, Outcome
from qc.release.rules import GateRules
from qc.release.signing import TrustedKeys, verify_signature


def open_candidate(
    directory: Path, runtime: Runtime, rules: GateRules, keys: TrustedKeys
) -> tuple[OnnxInspector | None, list[Check]]:
    """The loaded candidate, or None when its bundle is refused, and the checks of bundle, numeric parity, size and signature."""
    checks = [_signature(directory, rules, keys)]
    try:
        inspector = load_inspector(directory, runtime)
    except BundleError as error:
        name = "numeric parity" if "golden vector" in str(error) else "bundle"
        return None, [*checks, Check(name=name, outcome=Outcome.FAIL, message=str(error))]
    n = len(inspector.card.golden)
    checks.append(Check(name="numeric parity", outcome=Outcome.PASS, message=f"{n} golden vectors come out right", n=n))
    checks.append(size_check((directory / MODEL_FILE).stat().st_size, rules))
    return inspector, checks


def data_checks(errors: Sequence[str] | None, near_copies: int | None, rules: GateRules) -> list[Check]:
    """What the checks of the training data found. errors: None when they were not run. near_copies: labelled parts of the gate
    that are nearly the same picture as one of the training's under another name; None when nobody looked."""
    if errors is None:
        outcome = Outcome.NOT_ENOUGH_EVIDENCE if rules.require_data_checks else Outcome.PASS
        return [Check(name="data checks", outcome=outcome, message="not run: the training data was not given")]
    message = "; ".join(errors)[:1000] if errors else "no errors"
    found = [Check(name="data checks", outcome=Outcome.FAIL if errors else Outcome.PASS, message=message, n=len(errors))]
    if near_copies is not None:
        leaks = f"{near_copies} labelled parts are near copies of training pictures under other names"
        outcome = Outcome.FAIL if near_copies else Outcome.PASS
        found.append(Check(name="leakage", outcome=outcome, message=leaks, n=near_copies))
    return found


def _signature(directory: Path, rules: GateRules, keys: TrustedKeys) -> Check:
    check = Check(name="signature", outcome=Outcome.PASS, message="signed with a trusted key")
    try:
        verify_signature(directory, keys)
    except BundleError as error:
        outcome = Outcome.FAIL if rules.require_signature else Outcome.PASS
        return check.model_copy(
            update={"outcome": outcome, "message": f"not required; {error}" if outcome is Outcome.PASS else str(error)}
        )
    return check


def slot_of(card: ModelCard, recipes: Iterable[Recipe] = ()) -> Slot:
    """The model at the thresholds of the first recipe that runs it, else of its card."""
    decides: Recipe | ModelCard = next((recipe for recipe in recipes if recipe.model_id == card.model_id), card)
    return Slot(model=card.model_id, sha256=card.sha256, review_at=decides.review_at, reject_at=decides.reject_at)
