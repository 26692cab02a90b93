"""May CANDIDATE take the place of the active model? Judges both on the same labelled parts by the rules of configs/gate.toml.

Exit code 0 PASS, 2 FAIL, 3 NOT ENOUGH EVIDENCE, 1 for an error, 130 interrupted. With --registry the report opens the way to
`qc models promote`.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from qc.commands.logs import set_up_logs
from qc.domain.errors import QcError, ReleaseError
from qc.domain.recipe import Recipe
from qc.inspection.session import Runtime, load_inspector
from qc.release.candidate import data_checks, open_candidate, slot_of
from qc.release.evidence import Contender
from qc.release.gate import refused_report, run_gate
from qc.release.page import as_text
from qc.release.registry import Registry
from qc.release.report import Outcome
from qc.release.signing import load_keys
from qc.settings.files import load_recipes
from qc.settings.gate import load_gate
from qc.training import gate_data
from qc.training.dataset import read_dataset


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidate", type=Path, help="a bundle: models/NAME")
    parser.add_argument("--against", type=Path, required=True, help="the active model's bundle")
    parser.add_argument("--data", type=Path, required=True, help="labelled parts that neither model was made from")
    parser.add_argument("--split", default="", help="only this split of --data, for example test")
    parser.add_argument("--training-data", type=Path, nargs="+", default=[], help="what the candidate was trained on")
    parser.add_argument("--variant", nargs="+", default=[], help="variants that the active model serves (default: its card's)")
    parser.add_argument("--recipes", type=Path, help="recipe files, for regions and the active model's thresholds")
    parser.add_argument("--rules", type=Path, default=Path(__file__).parents[1] / "configs/gate.toml")
    parser.add_argument("--public-key", type=Path, nargs="+", default=[])
    parser.add_argument("--registry", type=Path, help="keep the report in this model directory")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    set_up_logs("warning", "text")
    if a.registry and not a.registry.is_dir():
        raise ReleaseError(f"--registry {a.registry}: no such folder; give the model directory of the line")
    rules, runtime = load_gate(a.rules), Runtime(intra_op_threads=1)
    data = gate_data.labelled_split(read_dataset(a.data), a.split)
    training = [gate_data.training_share(a.candidate, read_dataset(path)) for path in a.training_data]
    recipes = load_recipes(a.recipes) if a.recipes else {}
    if a.candidate.resolve() == a.against.resolve():
        raise ReleaseError(f"{a.candidate}: is the active model itself; name another candidate")
    active = load_inspector(a.against, runtime)
    running = [recipe for recipe in recipes.values() if recipe.model_id == active.card.model_id]
    incumbent = Contender(slot_of(active.card, running), active)
    serves = a.variant or list(active.card.variants) or list(data.variants)
    known = gate_data.trained_on(training)
    candidate, findings = open_candidate(a.candidate, runtime, rules, load_keys(a.public_key))
    findings += data_checks(gate_data.data_errors(training), gate_data.near_copies(training, data, known), rules)
    if candidate is None:
        slot = Registry(a.candidate.parent).slot(a.candidate.name)
        report = refused_report(slot, incumbent.slot, findings, rules=rules, serves=serves, made_at=datetime.now(UTC))
    else:
        report = run_gate(
            gate_data.labelled_parts(data, serves),
            Contender(slot_of(candidate.card, recipes.values()), candidate),
            incumbent,
            rules,
            recipe_of=lambda variant: recipes.get(variant) or next(iter(running), Recipe(variant, "", 0.5, 0.5)),
            recipes=[recipe.variant for recipe in running],
            data=f"{a.data.name}, {data.content_hash()[:12]}",
            trained_on=known,
            findings=findings,
            progress=lambda what, done, total: print(f"\r{what} {done}/{total} ", end="", file=sys.stderr),
            serves=serves,
            made_at=datetime.now(UTC),
        )
    print(report.model_dump_json(indent=1) if a.json else f"\n{as_text(report)}")
    if a.registry:
        print(f"kept as {Registry(a.registry).add_report(report)}", file=sys.stderr)
    return {Outcome.PASS: 0, Outcome.FAIL: 2, Outcome.NOT_ENOUGH_EVIDENCE: 3}[report.outcome]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QcError as error:
        sys.exit(f"gate.py: {error}")
    except KeyboardInterrupt:
        print("\ngate.py: interrupted; no report was kept", file=sys.stderr)
        sys.exit(130)
