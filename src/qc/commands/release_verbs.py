"""The verbs ``qc models ...`` and ``qc dataset ...``: arguments to calls; no logic."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(help="The model registry: what is there, what runs, what may run.", no_args_is_help=True)
dataset_app = typer.Typer(help="Data for the next training, from what the line has recorded.", no_args_is_help=True)

Config = Annotated[Path, typer.Argument(help="The line's settings file, for example configs/line.toml.", show_default=False)]
Model = Annotated[str, typer.Argument(help="A model id.", show_default=False)]
Bundle = Annotated[Path, typer.Argument(help="A bundle's folder: models/NAME.", show_default=False)]
Archive = Annotated[Path, typer.Argument(help="The archive file.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Variant = Annotated[str, typer.Option(help="Product variant; default: the settings' active one.")]
Who = Annotated[str, typer.Option(help="Who does this; default: the user's login name.")]
Why = Annotated[str, typer.Option(help="The reason; it is recorded.")]


@models_app.command("list")
def models_list(config: Config, as_json: AsJson = False) -> None:
    """Every bundle, and which recipe uses it as what."""
    from qc.commands import models

    raise typer.Exit(models.list_models(config, as_json=as_json))


@models_app.command("show")
def models_show(config: Config, model: Model, as_json: AsJson = False) -> None:
    """One model: card, lineage, gate reports, transitions."""
    from qc.commands import models

    raise typer.Exit(models.show(config, model, as_json=as_json))


@models_app.command("history")
def models_history(
    config: Config, variant: Annotated[str, typer.Option(help="Only this product variant.")] = "", as_json: AsJson = False
) -> None:
    """Every step that was ever made: when, who, through which door, why, on which gate report."""
    from qc.commands import models

    raise typer.Exit(models.history(config, variant=variant, as_json=as_json))


@models_app.command("verify")
def models_verify(config: Config, model: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None) -> None:
    """Make every check that the line makes: files, hashes, graph, golden vectors, signature where required."""
    from qc.commands import models

    raise typer.Exit(models.verify(config, model or []))


@models_app.command("diff")
def models_diff(config: Config, one: Model, other: Model) -> None:
    """What differs between two models' cards."""
    from qc.commands import models

    raise typer.Exit(models.diff(config, one, other))


@models_app.command("promote")
def models_promote(  # noqa: PLR0917  # typer turns parameters into options
    config: Config,
    model: Model,
    variant: Variant = "",
    who: Who = "",
    why: Why = "",
    override: Annotated[bool, typer.Option("--override", help="Without a passed gate report; needs --why.")] = False,
) -> None:
    """Make a model active. Needs a passed gate report (tools/gate.py --registry)."""
    from qc.commands import models

    raise typer.Exit(models.promote(config, model, variant=variant, who=who, why=why, override=override))


@models_app.command("shadow")
def models_shadow(
    config: Config,
    model: Annotated[str, typer.Argument(help="A model id; without: end the shadow.")] = "",
    variant: Variant = "",
    who: Who = "",
    share: Annotated[float, typer.Option(min=0.001, max=1, help="Of the parts that it judges.")] = 1.0,
) -> None:
    """Let a model judge beside the active one; it decides nothing."""
    from qc.commands import models

    raise typer.Exit(models.shadow(config, model, variant=variant, who=who, share=share))


@models_app.command("compare")
def models_compare(
    config: Config,
    model: Annotated[str, typer.Option(help="Only this candidate.")] = "",
    disagreements: Annotated[int, typer.Option(min=0, help="List so many of the newest parts on which the models differ.")] = 0,
    as_json: AsJson = False,
) -> None:
    """What models in the shadow have shown: joint decisions, and the differences of the rates by labels."""
    from qc.commands.shadow_results import compare

    raise typer.Exit(compare(config, model=model, disagreements=disagreements, as_json=as_json))


@models_app.command("canary")
def models_canary(  # noqa: PLR0917  # typer turns parameters into options
    config: Config,
    model: Model,
    variant: Variant = "",
    who: Who = "",
    why: Why = "",
    share: Annotated[float | None, typer.Option(min=0.001, max=1, help="Of the parts; default 0.1, with --minutes 1.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, max=7 * 24 * 60, help="For so long; default: until promoted or rolled back.")
    ] = None,
) -> None:
    """Let a model decide a share of the parts, or all of them for a while; it loses the decision by itself when it does badly."""
    from qc.commands import models

    raise typer.Exit(models.canary(config, model, variant=variant, who=who, why=why, share=share, minutes=minutes))


@models_app.command("rollback")
def models_rollback(config: Config, variant: Variant = "", who: Who = "", why: Why = "") -> None:
    """End a running canary; without one, make the previous model active again."""
    from qc.commands import models

    raise typer.Exit(models.rollback(config, variant=variant, who=who, why=why))


@models_app.command("gc")
def models_gc(config: Config, keep: Annotated[int, typer.Option(min=0, help="Unused bundles to keep, the newest.")] = 2) -> None:
    """Remove bundles that no recipe uses."""
    from qc.commands import models

    raise typer.Exit(models.gc(config, keep=keep))


@models_app.command("keygen")
def models_keygen(name: Annotated[Path, typer.Argument(help="Writes NAME.key and NAME.pub.", show_default=False)]) -> None:
    """Make a key pair for signing bundles."""
    from qc.commands import models

    raise typer.Exit(models.keygen(name))


@models_app.command("sign")
def models_sign(
    bundle: Bundle, key: Annotated[Path, typer.Option(help="The private key from keygen.", show_default=False)]
) -> None:
    """Check a bundle and sign all of its files."""
    from qc.commands import models

    raise typer.Exit(models.sign(bundle, key))


@models_app.command("export")
def models_export(bundle: Bundle, archive: Archive) -> None:
    """Write a bundle as one file."""
    from qc.commands import models

    raise typer.Exit(models.export(bundle, archive))


@models_app.command("import")
def models_import(config: Config, archive: Archive) -> None:
    """Take a bundle in from an archive, after every check. No recipe uses it yet."""
    from qc.commands import models

    raise typer.Exit(models.import_(config, archive))


@dataset_app.command("export")
def dataset_export(  # noqa: PLR0917  # typer turns parameters into options
    config: Config,
    out: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    since: Annotated[datetime | None, typer.Option(help="Decided from here on, local time.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Decided before, local time.")] = None,
    variant: Annotated[str, typer.Option(help="Only this product variant.")] = "",
    verdict: Annotated[str, typer.Option(help="Only parts with this verdict: OK, REVIEW, NG.")] = "",
    label: Annotated[str, typer.Option(help="Only parts labelled good or defect.")] = "",
    purpose: Annotated[str, typer.Option(help="Only labels for estimate or training.")] = "",
    add_to: Annotated[Path | None, typer.Option(help="A data set to add to; copies are left out.")] = None,
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share of parts kept for judging: split test.")] = 0.0,
    group: Annotated[str, typer.Option(help="What must not be torn by a split: part or run.")] = "part",
    name: Annotated[
        list[str] | None, typer.Option(help="START=VARIANT: parts whose id (barcode) starts so are of this variant; repeatable.")
    ] = None,
) -> None:
    """Labelled parts with their pictures as a data set for tools/train.py, checked."""
    from qc.commands.dataset import Choice, export, names_of

    times = [moment.astimezone() if moment else None for moment in (since, until)]
    choice = Choice(times[0], times[1], variant, verdict, label, purpose, test_share, group, names_of(name or []))
    raise typer.Exit(export(config, out, choice, add_to=add_to))


@dataset_app.command("suggest")
def dataset_suggest(
    config: Config,
    count: Annotated[int, typer.Option(min=1, help="How many parts.")] = 50,
    days: Annotated[float, typer.Option(min=0.01, help="Among the parts of the last days.")] = 7.0,
    variant: Annotated[str, typer.Option(help="Only this product variant.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show them.")] = False,
) -> None:
    """Ask for labels of the parts from which a model would learn most; never mixed with the samples for rates."""
    from qc.commands.dataset import ask_for_training

    raise typer.Exit(ask_for_training(config, count=count, days=days, variant=variant, dry_run=dry_run))
