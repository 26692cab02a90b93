"""Arguments to calls to exit codes; no logic."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from qc.domain.errors import CommandError, QcError

app = typer.Typer(help="Edge visual inspection: run a line, check it, follow it.", no_args_is_help=True, add_completion=False)

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
