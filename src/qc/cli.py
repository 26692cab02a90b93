"""Arguments to calls to exit codes; no logic."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from qc.commands.release_verbs import dataset_app, models_app
from qc.domain.errors import CommandError, QcError

app = typer.Typer(
    help="Edge visual inspection: run a line, check it, follow it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Argument(help="The line's settings file, for example configs/line.toml.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.command()
def run(config: Config) -> None:
    """Inspect, record and publish until stopped."""
    from qc.commands.run import run as start

    raise typer.Exit(start(config))


@app.command()
def doctor(config: Config, as_json: AsJson = False) -> None:
    """Check settings, models, cameras, broker, disk, clock and permissions, and say what to do."""
    from qc.commands.doctor import doctor as examine

    raise typer.Exit(examine(config, as_json=as_json))


@app.command()
def watch(
    config: Config,
    edge: Annotated[str, typer.Option(help="site/area/line/edge; default: the edge of the settings.")] = "",
    all_edges: Annotated[bool, typer.Option("--all", help="Every edge of the broker.")] = False,
) -> None:
    """Follow an edge live over MQTT: state, counters, last verdicts, alarms."""
    from qc.commands.watch import watch as follow

    raise typer.Exit(follow(config, edge, all_edges=all_edges))


@app.command()
def status(config: Config, edge: Annotated[str, typer.Option(help="site/area/line/edge.")] = "", as_json: AsJson = False) -> None:
    """What an edge says of itself over MQTT, once."""
    from qc.commands.status import status as look

    raise typer.Exit(look(config, edge, as_json=as_json))


@app.command()
def replay(
    config: Config,
    edge: Annotated[str, typer.Option(help="site/area/line/edge.")] = "",
    from_seq: Annotated[int | None, typer.Option(min=1, help="Send events again from this sequence number on.")] = None,
    since: Annotated[str, typer.Option(help="... or from this time on, ISO 8601 with zone.")] = "",
) -> None:
    """Have an edge publish events again that were already delivered."""
    from qc.commands.replay import replay as again

    raise typer.Exit(again(config, edge, from_seq=from_seq, since=since))


@app.command()
def recipe(
    config: Config,
    variant: Annotated[str, typer.Argument(help="The product variant that comes next.")],
    operator: Annotated[str, typer.Option(help="Who; default: the user that runs this.")] = "",
    edge: Annotated[str, typer.Option(help="site/area/line/edge.")] = "",
) -> None:
    """Changeover of a running edge to another product variant, between two parts."""
    from qc.commands.recipe import change_over

    raise typer.Exit(change_over(config, edge, variant, operator=operator))


@app.command()
def relearn(
    config: Config,
    variant: Annotated[str, typer.Argument(help="Whose parts look right as they are now.")],
    reason: Annotated[str, typer.Option(help="Why: goes into the audit trail.")],
    camera: Annotated[str, typer.Option(help="Default: every camera.")] = "",
    operator: Annotated[str, typer.Option(help="Who; default: the user that runs this.")] = "",
    edge: Annotated[str, typer.Option(help="site/area/line/edge.")] = "",
) -> None:
    """Have a running edge's monitor learn anew what normal parts look like."""
    from qc.commands.relearn import relearn as again

    raise typer.Exit(again(config, edge, variant, camera=camera, reason=reason, operator=operator))


@app.command()
def demo(
    parts: Annotated[int, typer.Option(min=1, help="Parts to inspect, half of them after the changeover.")] = 400,
    rate: Annotated[float, typer.Option(min=0.1, help="Parts per second.")] = 12.0,
    mqtt_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the embedded broker; 0 takes a free one.")] = 1883,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the health checks; 0 takes a free one.")] = 8080,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Live terminal view; without it a JSON summary.")] = True,
    directory: Annotated[Path | None, typer.Option(help="Where to keep the records; default: a temporary folder.")] = None,
) -> None:
    """Inspect real solar cells with the bundled model and an embedded broker."""
    from qc.commands.demo import DemoOptions
    from qc.commands.demo import demo as show

    raise typer.Exit(show(DemoOptions(parts, rate, mqtt_port, http_port, ui, directory)))


Since = Annotated[str, typer.Option("--from", help="Day or ISO 8601 time; without zone: the line's.")]
Until = Annotated[str, typer.Option("--to", help="Day (included) or ISO 8601 time; default: now.")]
GoalsFile = Annotated[Path | None, typer.Option("--goals", help="Default: goals.toml beside the line's settings.")]


@app.command()
def report(
    config: Config,
    since: Since = "",
    until: Until = "",
    compare: Annotated[str, typer.Option(help="Baseline to compare with: FROM..TO.")] = "",
    html: Annotated[Path | None, typer.Option(help="Write the page into this file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the same content as JSON into this file.")] = None,
    goals: GoalsFile = None,
) -> None:
    """Rates with intervals, goals, cost and causes of a time range (default: the last 30 days)."""
    from qc.commands.report import report as make

    raise typer.Exit(make(config, since=since, until=until, compare=compare, html=html, json_file=json_file, goals=goals))


@app.command()
def audit(
    config: Config,
    since: Since = "",
    until: Until = "",
    directory: Annotated[Path | None, typer.Option(help="Of the records; default: audits in the storage folder.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check that no record was altered, removed or inserted.")] = False,
    goals: GoalsFile = None,
) -> None:
    """Are the rates the same everywhere? Writes a dated, hash-chained record (default: the last 30 days)."""
    from qc.commands.audit import audit as compare_slices
    from qc.commands.audit import verify as check

    if verify:
        raise typer.Exit(check(config, directory=directory))
    raise typer.Exit(compare_slices(config, since=since, until=until, directory=directory, goals=goals))


@app.command()
def agreement(config: Config, since: Since = "", until: Until = "", as_json: AsJson = False) -> None:
    """How far the inspectors can be trusted: misses, false alarms, kappa, repeatability (default: the last 90 days)."""
    from qc.commands.agreement import agreement as study

    raise typer.Exit(study(config, since=since, until=until, as_json=as_json))


@app.command("plan-labels")
def plan_labels(
    half_width: Annotated[float, typer.Option(help="Wanted half-width of the interval, in points.")],
    prevalence: Annotated[float, typer.Option(help="Expected share of defective parts, in %.")],
    metric: Annotated[str, typer.Option(help="detection_rate or false_positive_rate.")] = "detection_rate",
    detection_rate: Annotated[float, typer.Option(help="Expected, in %.")] = 94.0,
    false_positive_rate: Annotated[float, typer.Option(help="Expected, in %.")] = 8.0,
    parts_per_shift: Annotated[int, typer.Option(min=1)] = 5000,
    labels_per_shift: Annotated[int, typer.Option(min=1, help="The most that people can label in one shift.")] = 60,
    most_shifts: Annotated[int, typer.Option(min=1, help="How many shifts the answer may take.")] = 1000,
    verify_all_rejects: Annotated[bool, typer.Option(help="Operators look at every rejected part anyway.")] = False,
    seconds_per_label: Annotated[float, typer.Option(min=0.1)] = 6.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated periods.")] = 0,
    as_json: AsJson = False,
) -> None:
    """How many labels, over how many shifts, at what price, for an interval of +-x points."""
    from qc.commands.plan_labels import plan, question

    asked = question(
        metric=metric,
        half_width_points=half_width,
        prevalence_percent=prevalence,
        detection_rate_percent=detection_rate,
        false_positive_rate_percent=false_positive_rate,
        parts_per_window=parts_per_shift,
        labels_per_window=labels_per_shift,
        most_windows=most_shifts,
        verify_all_rejects=verify_all_rejects,
        seconds_per_label=seconds_per_label,
    )
    raise typer.Exit(plan(asked, seed=seed, as_json=as_json))


label_app = typer.Typer(help="Labelling by spreadsheet.", no_args_is_help=True)
app.add_typer(label_app, name="label")
CsvFile = Annotated[Path, typer.Argument(help="CSV file.", show_default=False)]


@label_app.command("import")
def label_import(
    config: Config,
    file: CsvFile,
    partial: Annotated[bool, typer.Option("--partial", help="Store the good rows although others are wrong.")] = False,
) -> None:
    """Store the answers of a filled-in file; all or nothing unless --partial."""
    from qc.commands.label import import_file

    raise typer.Exit(import_file(config, file, partial=partial))


@label_app.command("export")
def label_export(
    config: Config, file: CsvFile, labeller: Annotated[str, typer.Option(help="Only what this person may answer.")] = ""
) -> None:
    """Write the open tickets into a file, blind: neither score nor verdict is in it."""
    from qc.commands.label import export_file

    raise typer.Exit(export_file(config, file, labeller=labeller))


challenge_app = typer.Typer(help="Known defectives that go through the line.", no_args_is_help=True)
app.add_typer(challenge_app, name="challenge")
ChallengeId = Annotated[str, typer.Argument(help="The challenge part's id, for example C7.", show_default=False)]


@challenge_app.command("register")
def challenge_register(
    config: Config,
    challenge_id: ChallengeId,
    part_id: Annotated[str, typer.Option(help="Its barcode: what the line reads.")],
    variant: Annotated[str, typer.Option(help="Product variant, as in the recipes.")],
    defect_type: Annotated[str, typer.Option(help="What is wrong with it.")],
    severity: Annotated[str, typer.Option(help="The plant's own word.")] = "major",
) -> None:
    """Add a known defective."""
    from qc.commands.challenge import register

    raise typer.Exit(register(config, challenge_id, part_id=part_id, variant=variant, defect_type=defect_type, severity=severity))


@challenge_app.command("list")
def challenge_list(
    config: Config, include_retired: Annotated[bool, typer.Option("--all", help="Retired ones too.")] = False
) -> None:
    """Show the register, how often each part was caught, and what is due in this shift."""
    from qc.commands.challenge import show

    raise typer.Exit(show(config, include_retired=include_retired))


@challenge_app.command("retire")
def challenge_retire(config: Config, challenge_id: ChallengeId) -> None:
    """Take a part out of the rotation; its past passes stay."""
    from qc.commands.challenge import retire

    raise typer.Exit(retire(config, challenge_id))


users_app = typer.Typer(help="Who may log in to an edge's console.", no_args_is_help=True)
app.add_typer(users_app, name="users")
UserName = Annotated[str, typer.Argument(help="The user's name.", show_default=False)]


@users_app.command("list")
def users_list(config: Config) -> None:
    """Show everybody who may log in."""
    from qc.commands.users import UsersCommand

    raise typer.Exit(UsersCommand(config).list())


@users_app.command("add")
def users_add(
    config: Config, name: UserName, role: Annotated[str, typer.Option(help="viewer, operator, engineer or admin.")] = "operator"
) -> None:
    """Let somebody log in. The first user must be an admin; the password is asked for, or read from standard input."""
    from qc.commands.users import UsersCommand

    raise typer.Exit(UsersCommand(config).add(name, role))


@users_app.command("password")
def users_password(config: Config, name: UserName) -> None:
    """Give a user a new password; their sessions end."""
    from qc.commands.users import UsersCommand

    raise typer.Exit(UsersCommand(config).password(name))


@users_app.command("remove")
def users_remove(config: Config, name: UserName) -> None:
    """Take a user's access away."""
    from qc.commands.users import UsersCommand

    raise typer.Exit(UsersCommand(config).remove(name))


app.add_typer(models_app, name="models")
app.add_typer(dataset_app, name="dataset")


@app.command("version")
def show_version() -> None:
    """Print the version."""
    print(version("qc-edge"))


def main() -> None:
    """Entry point: errors meant for people go to standard error without a traceback; exit code 2."""
    try:
        app()
    except CommandError as error:
        print(f"qc: {error.code}: {error}", file=sys.stderr)
        sys.exit(2)
    except QcError as error:
        print(f"qc: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:  # a defect of the program: say so in a line; the traceback is for whoever reports it
        if "QC_DEBUG" in os.environ:
            raise
        print(f"qc: this is a defect of qc, not of your input: {type(error).__name__}: {error}", file=sys.stderr)
        print("qc: set QC_DEBUG=1 and repeat the command to get the traceback for a report", file=sys.stderr)
        sys.exit(3)
