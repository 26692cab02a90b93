"""``qc recipe``: changeover of a running edge to another product variant."""

import getpass
from pathlib import Path

from qc.commands.target import target
from qc.publish.client import CommandClient


def change_over(config: Path, edge: str, variant: str, *, operator: str) -> int:
    """Prints what judges from the next part on. Raises ConfigError, PublishError, CommandError."""
    options, name = target(config, edge)
    with CommandClient(options, name) as client:
        result = client.send("recipe", {"variant": variant, "operator": operator or getpass.getuser()}, timeout_s=30.0)
    print(
        f"{name}: {result['former_variant']} -> {result['variant']}, judged by {result['model']} (recipe {result['recipe_version']})"
    )
    return 0
