"""``qc relearn``: tell an edge that a variant's parts look right as they are now."""

import getpass
from pathlib import Path

from qc.commands.target import target
from qc.domain.record import Json
from qc.publish.client import CommandClient


def relearn(config: Path, edge: str, variant: str, *, camera: str, reason: str, operator: str) -> int:
    """Prints what is learned again. Raises ConfigError, PublishError, CommandError."""
    options, name = target(config, edge)
    body: dict[str, Json] = {"variant": variant, "reason": reason, "operator": operator or getpass.getuser()}
    if camera:
        body["camera"] = camera
    with CommandClient(options, name) as client:
        result = client.send("relearn", body, timeout_s=30.0)
    cameras = result["cameras"]
    assert isinstance(cameras, list)
    seen_by = ", ".join(str(one) for one in cameras)
    print(f"{name} learns {variant} again from its next {result['parts_needed']} parts (cameras: {seen_by})")
    return 0
