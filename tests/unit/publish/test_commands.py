import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qc.domain.errors import CommandError
from qc.publish.commands import COMMANDS, ERROR_CODES, parse_command

GOOD = {
    "recipe": {"variant": "poly"},
    "pause": {"reason": "cleaning"},
    "resume": {},
    "trigger": {"camera": "top", "part_id": "P-9"},
    "ack-alarm": {"alarm_id": "A-1", "operator": "anna", "note": "seen"},
    "snooze-alarm": {"alarm_id": "A-1", "operator": "anna", "minutes": 30, "reason": "maintenance"},
    "replay": {"from_seq": 17},
    "snapshot": {},
    "label": {"ticket_id": "T-1", "truth": "defect", "labeller": "anna", "defect_type": "crack", "seconds_spent": 1.5},
    "challenge": {"challenge_id": "C-1", "part_id": "P-10"},
    "relearn": {"variant": "poly", "operator": "anna", "reason": "new lamps"},
    "model": {"action": "canary", "model": "pv-2", "share": 0.1},
}


def parse(name: str, body: object) -> dict:
    return dict(parse_command(name, json.dumps(body).encode(), 4096)[0].body)


def test_every_command_has_a_good_example() -> None:
    assert set(GOOD) == set(COMMANDS)


@pytest.mark.parametrize("name", GOOD)
def test_good_commands_pass_through(name: str) -> None:
    command, command_id = parse_command(name, json.dumps({**GOOD[name], "command_id": "x7"}).encode(), 4096)
    assert (command.name, command.via, command_id) == (name, "mqtt", "x7")
    assert {key: command.body[key] for key in GOOD[name]} == GOOD[name]
    assert "schema" not in command.body


def test_nothing_at_all_is_a_valid_pause() -> None:
    assert parse_command("pause", b"", 100)[0].body == {"reason": ""}


@pytest.mark.parametrize(
    ("name", "payload", "code", "says"),
    [
        ("explode", b"{}", "unknown_command", "pause"),
        ("pause", b"{", "bad_json", "JSON"),
        ("pause", b"\xff\xfe", "bad_json", "UTF-8"),
        ("pause", b"[1]", "bad_json", "not list"),
        ("pause", b"[" * 3000, "bad_json", "JSON"),
        ("pause", b"9" * 4090, "bad_json", "not int"),
        ("pause", b"x" * 4097, "too_large", "4096"),
        ("recipe", b"{}", "invalid_argument", "variant"),
        ("recipe", b'{"variant": 3}', "invalid_argument", "variant"),
        ("recipe", b'{"variant": "a", "fast": 1}', "invalid_argument", "fast"),
        ("pause", b'{"schema": "qc.command/2"}', "invalid_argument", "qc.command/1"),
        ("replay", b"{}", "invalid_argument", "either from_seq or since"),
        ("replay", b'{"from_seq": 1, "since": "2026-11-24T00:00:00Z"}', "invalid_argument", "either"),
        ("replay", b'{"since": "2026-11-24T00:00:00"}', "invalid_argument", "since"),
        ("snooze-alarm", b'{"alarm_id":"a","operator":"b","minutes":NaN,"reason":"c"}', "invalid_argument", "minutes"),
        ("label", b'{"ticket_id":"t","truth":"maybe","labeller":"x"}', "invalid_argument", "truth"),
    ],
)
def test_bad_commands_are_refused_with_code_and_hint(name: str, payload: bytes, code: str, says: str) -> None:
    with pytest.raises(CommandError, match=says) as caught:
        parse_command(name, payload, 4096)
    assert caught.value.code == code
    assert code in ERROR_CODES


def test_times_of_a_replay_keep_their_zone() -> None:
    assert parse("replay", {"since": "2026-11-24T06:00:00+01:00"})["since"] == "2026-11-24T06:00:00+01:00"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = sorted({field for body in GOOD.values() for field in body} | {"schema", "command_id"})
bodies = st.dictionaries(st.sampled_from(fields) | st.text(max_size=5), json_values, max_size=5)


def refusal(name: str, payload: bytes, max_bytes: int) -> CommandError | None:
    try:
        command, _ = parse_command(name, payload, max_bytes)
    except CommandError as error:
        return error
    json.dumps(command.body, allow_nan=False)
    return None


@given(name=st.sampled_from(sorted(COMMANDS)) | st.text(max_size=20), payload=st.binary(max_size=200))
def test_any_bytes_give_a_command_or_a_documented_refusal(name: str, payload: bytes) -> None:
    error = refusal(name, payload, 150)
    assert error is None or (error.code in ERROR_CODES and str(error))


@given(name=st.sampled_from(sorted(COMMANDS)), body=bodies)
def test_any_json_gives_a_command_or_a_documented_refusal(name: str, body: dict) -> None:
    error = refusal(name, json.dumps(body).encode(), 10_000)
    assert error is None or (error.code in ERROR_CODES and len(str(error)) < 2000)
