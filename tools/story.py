"""The whole story on real images: commissioning, healthy weeks, decay, alarm, labels, retraining, gate, shadow, canary, promotion, report.

Example: tools/story.py --scenario solar --seeds 0 --out var/stories            (resumes: a finished seed is not run again)
         tools/story.py --out var/stories --write docs/story.md                 (tables of everything that is there)
"""

import argparse
import fcntl
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from stories.acts import Story
from stories.broker import broker
from stories.scenario import Scenario, load_scenario
from stories.tables import scenario_section, write_tables

from qc.commands.logs import set_up_logs
from qc.domain.errors import QcError

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ("solar", "lighting", "changeover-pcb", "changeover-cubes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scenario", nargs="+", default=[], help=f"{', '.join(SCENARIOS)}, or a file like configs/stories/solar.toml"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder: one JSON per scenario and seed, and everything the edge kept"
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the image sets")
    parser.add_argument("--write", type=Path, help="put the tables between this page's marks")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for seed in a.seeds:
        for name in a.scenario:
            run(_path(name), seed, a.data, a.out)
    for name in a.scenario:
        print(f"\n{scenario_section(a.out, load_scenario(_path(name)))}")
    if a.write:
        write_tables(a.out, a.write, [_path(name) for name in SCENARIOS])
    return 0


def _path(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else ROOT / "configs" / "stories" / f"{name}.toml"


def run(path: Path, seed: int, data: Path, out: Path) -> None:
    """One story, unless its JSON is there or another process is at it."""
    scenario = load_scenario(path)
    file = out / f"{scenario.name}-{seed}.json"
    with (out / f"{scenario.name}-{seed}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not file.exists():
            tell(scenario, seed, data, out, file)


def tell(scenario: Scenario, seed: int, data: Path, out: Path, file: Path) -> None:
    """Run it and write its JSON."""
    print(f"== {scenario.title}; seed {seed}", flush=True)
    with (out / f"{scenario.name}-{seed}.log").open("w", encoding="utf-8") as log, broker() as port:
        set_up_logs("info", "json", log)
        story = Story(scenario, seed, data=data, out=out, port=port, say=lambda text: print(f"   {text}", flush=True))
        result = story.run()
    file.write_text(json.dumps(result, indent=1, default=str) + "\n", "utf-8")
    print(f"   {result['parts']} parts, {result['cpu_s']} s of processor time: {file}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except QcError as error:
        sys.exit(f"story.py: {error}")
