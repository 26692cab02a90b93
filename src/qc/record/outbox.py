"""The outbox: what is still to be told, what was told, what cannot be told, and what was given up.

States of a row: pending -> sent (kept for a replay, then purged); pending -> dead (the broker refused it for good; can be
queued again); pending or dead -> dropped (the bound; the payload is gone, the fact stays visible and is counted).
Functions here run inside a transaction of the store.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from qc.domain.record import EventKind, OutboxDepth, OutboxRow
from qc.record.times import from_us, to_us

log = structlog.get_logger(__name__)

SHED_ORDER = (EventKind.LINE, EventKind.LABEL_REQUEST, EventKind.ALARM, EventKind.INSPECTION)
"""Which kind gives way first when the outbox is full; replayed rows (delivered before) give way before all of them."""

assert set(SHED_ORDER) == set(EventKind), "every kind of event needs its place in SHED_ORDER"

_ROW = "seq, event_id, kind, created_us, payload"


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """limit_bytes and limit_age_s bound what waits (and, in bytes, the dead letters); sent_* what is kept for replays."""

    limit_bytes: int = 1_000_000_000
    limit_age_s: float = 30 * 86_400
    sent_keep_s: float = 7 * 86_400
    sent_limit_bytes: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A dead letter (payload as it would go out) or a dropped event (payload empty), with the reason."""

    row: OutboxRow
    reason: str


def pending(connection: sqlite3.Connection, after_seq: int, limit: int) -> list[OutboxRow]:
    rows = connection.execute(
        f"SELECT {_ROW} FROM outbox WHERE state = 'pending' AND seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - constant
        (after_seq, limit),
    )
    return [_outbox_row(row) for row in rows]


def undelivered(connection: sqlite3.Connection, state: str, before_seq: int | None, limit: int) -> list[Undelivered]:
    """Newest first; state is ``dead`` or ``dropped``."""
    newest = 2**63 - 1 if before_seq is None else before_seq
    rows = connection.execute(
        f"SELECT {_ROW}, reason FROM outbox WHERE state = '{state}' AND seq < ? ORDER BY seq DESC LIMIT ?",  # noqa: S608 - a literal, so that the partial index serves it
        (newest, limit),
    )
    return [Undelivered(_outbox_row(row), row["reason"]) for row in rows]


def depth(connection: sqlite3.Connection, now: datetime) -> OutboxDepth:
    tally = {row["state"]: row for row in connection.execute("SELECT * FROM outbox_tally")}
    oldest = connection.execute("SELECT created_us FROM outbox WHERE state = 'pending' ORDER BY seq LIMIT 1").fetchone()
    dropped = connection.execute("SELECT coalesce(sum(row_count), 0) FROM outbox_losses").fetchone()[0]
    return OutboxDepth(
        rows=tally["pending"]["row_count"],
        bytes=tally["pending"]["byte_count"],
        oldest_age_s=max(0.0, (to_us(now) - oldest["created_us"]) / 1e6) if oldest else 0.0,
        dead=tally["dead"]["row_count"],
        dropped=dropped,
    )


def shed(connection: sqlite3.Connection, limit_bytes: int) -> int:
    """Make room when more than limit_bytes wait, oldest first in SHED_ORDER; returns how many events were lost.

    Room is made for another 1 % at once, so that a full outbox does not cost every later part a search.
    """
    waiting = waiting_bytes(connection)
    if waiting <= limit_bytes:
        return 0
    excess = waiting - (limit_bytes - limit_bytes // 100)
    replayed, freed = _oldest(connection, "state = 'pending' AND sent_us IS NOT NULL", excess)
    connection.executemany("UPDATE outbox SET state = 'sent' WHERE seq = ?", [(seq,) for seq in replayed])
    lost = 0
    for kind in SHED_ORDER:
        if freed >= excess:
            break
        minor = "" if kind is EventKind.INSPECTION else " AND kind <> 'inspection'"  # the index that holds only the others
        seqs, size = _oldest(connection, f"state = 'pending' AND kind = '{kind}'{minor}", excess - freed)
        drop(connection, seqs, "outbox full")
        freed += size
        lost += len(seqs)
    log.warning("outbox_full", limit_bytes=limit_bytes, dropped=lost, replay_cut=len(replayed))
    return lost


def drop(connection: sqlite3.Connection, seqs: Sequence[int], reason: str) -> None:
    """Give events up for ever: the payload goes, the row stays as evidence until it is purged, the count stays for good."""
    for seq in seqs:
        connection.execute(
            "INSERT INTO outbox_losses (kind, reason, row_count) SELECT kind, ?, 1 FROM outbox WHERE seq = ? "
            "ON CONFLICT DO UPDATE SET row_count = row_count + 1",
            (reason, seq),
        )
        connection.execute("UPDATE outbox SET state = 'dropped', payload = x'', reason = ? WHERE seq = ?", (reason, seq))


def waiting_bytes(connection: sqlite3.Connection, state: str = "pending") -> int:
    return int(connection.execute("SELECT byte_count FROM outbox_tally WHERE state = ?", (state,)).fetchone()[0])


def tidy(connection: sqlite3.Connection, limits: OutboxLimits, now: datetime, max_rows: int) -> int:
    """One short step of house-keeping over at most max_rows rows per rule; returns how many rows it touched (0: all done)."""
    now_us = to_us(now)
    too_old_us = now_us - int(limits.limit_age_s * 1e6)
    touched = 0
    for state, reason in (("pending", "too old"), ("dead", "dead letter too old")):
        seqs = _too_old(connection, state, too_old_us, max_rows)
        drop(connection, seqs, reason)
        touched += len(seqs)
    excess = waiting_bytes(connection, "dead") - limits.limit_bytes
    if excess > 0:
        seqs, _ = _oldest(connection, "state = 'dead'", excess, max_rows)
        drop(connection, seqs, "too many dead letters")
        touched += len(seqs)
    keep_us = int(limits.sent_keep_s * 1e6)
    purge = _too_old(connection, "dropped", too_old_us - keep_us, max_rows)
    query = "SELECT seq FROM outbox WHERE state = 'sent' AND sent_us < ? ORDER BY sent_us LIMIT ?"
    purge += [row[0] for row in connection.execute(query, (now_us - keep_us, max_rows))]
    excess = waiting_bytes(connection, "sent") - limits.sent_limit_bytes
    if excess > 0:
        purge += _oldest(connection, "state = 'sent'", excess, max_rows, order="sent_us")[0]
    purged = connection.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in set(purge)]).rowcount
    return touched + max(0, purged)


def _too_old(connection: sqlite3.Connection, state: str, before_us: int, max_rows: int) -> list[int]:
    """Among the first max_rows rows of the state: seq follows time closely enough that no further ones need a look."""
    waiting = "SELECT seq, created_us, sent_us IS NOT NULL AS sent FROM outbox WHERE state"
    query = f"{waiting} = '{state}' ORDER BY seq LIMIT ?"  # state comes from this module
    looked_at = connection.execute(query, (max_rows,))
    return [row["seq"] for row in looked_at if row["created_us"] < before_us and not (state == "pending" and row["sent"])]


def _oldest(
    connection: sqlite3.Connection, condition: str, wanted_bytes: int, max_rows: int = -1, order: str = "seq"
) -> tuple[list[int], int]:
    """The oldest rows that together hold wanted_bytes, or all there are; and how many bytes they hold."""
    query = f"SELECT seq, length(payload) FROM outbox WHERE {condition} ORDER BY {order} LIMIT ?"  # noqa: S608 - as above
    seqs: list[int] = []
    size = 0
    for seq, length in connection.execute(query, (max_rows,)):
        if size >= wanted_bytes:
            break
        seqs.append(seq)
        size += length
    return seqs, size


def _outbox_row(row: sqlite3.Row) -> OutboxRow:
    return OutboxRow(row["seq"], row["event_id"], EventKind(row["kind"]), from_us(row["created_us"]), row["payload"])
