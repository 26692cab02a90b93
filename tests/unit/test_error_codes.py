"""Whatever code an answer to a command can carry stands in the command reference, and nothing else does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = ("console/accounts.py", "commands/users.py", "label/challenge.py")
"""Raised to somebody at the terminal or in the console, never as the answer to a command. Of ``label/challenge.py`` see below."""


def raised(error: str) -> Iterator[tuple[str, str]]:
    """(file below src/qc, code) of every literal code that is given to this error, as first argument or by name."""
    for path in sorted((ROOT / "src" / "qc").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == error:
                given = [keyword.value for keyword in node.keywords if keyword.arg == "code"] or node.args[:1]
                yield from (
                    (str(path.relative_to(ROOT / "src" / "qc")), str(code.value))
                    for code in given
                    if isinstance(code, ast.Constant)
                )


def documented(page: str, heading: str) -> set[str]:
    """The codes in the first column of the table below a line that starts so."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    rows = text[text.index(heading) :].split("\n\n")[0].splitlines()
    return {found[1] for row in rows if (found := re.match(r"\| `([a-z_]+)` \|", row))}


def test_every_code_of_a_command_is_in_the_command_reference_and_no_other() -> None:
    sent = {code for file, code in raised("CommandError") if file not in ELSEWHERE} | {"unknown_challenge"}
    assert len(sent) > 12
    assert documented("mqtt.md", "| error code | of | meaning |") == sent


def test_every_code_of_a_label_is_in_the_labelling_reference() -> None:
    from qc.label.intake import LABEL_ERRORS

    sent = {code for file, code in raised("LabelError") if not file.endswith("fake.py")} | set(LABEL_ERRORS)
    assert sent - {"bad_file"} == documented("labelling.md", "| code | meaning |") - {"bad_file"}


@pytest.mark.parametrize(("error", "default"), [("LabelError", "label_refused")])
def test_no_refusal_goes_out_under_a_default_code(error: str, default: str) -> None:
    for path in sorted((ROOT / "src" / "qc").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == error:
                named = {keyword.arg for keyword in node.keywords}
                assert "code" in named, f"{path}:{node.lineno}: {error} would be sent as {default!r}"
