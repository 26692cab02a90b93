"""Tickets, labels, sampling plans and challenge parts in SQLite: append-only, in the same file as the records."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from qc.domain.errors import LabelError, StoreError, UnknownPart
from qc.domain.truth import (
    Answer,
    ChallengePart,
    ChallengePass,
    Label,
    PlanRecord,
    Purpose,
    SampleTicket,
    Truth,
    WindowProgress,
)
from qc.record.database import Database
from qc.record.times import to_us
from qc.record.truth_rows import challenge_part_of, insert_label, insert_ticket, label_of, pass_of, plan_of, ticket_of

_ANSWERS = """
    SELECT t.*, l.label_id, l.truth, l.defect_type, l.labeller, l.labelled_us, l.seconds_spent,
           l.review_round AS label_round, l.corrects, k.truth AS known_truth
    FROM labels AS l JOIN tickets AS t USING (ticket_id) LEFT JOIN known_truths AS k USING (ticket_id)
"""

_OPEN = """
    WITH waiting AS (
        SELECT t.*, MIN(t.created_us) OVER (PARTITION BY t.window) AS window_us
        FROM unanswered_tickets AS t WHERE t.expires_us > :now
    )
    SELECT w.* FROM waiting AS w
    WHERE :labeller = '' OR NOT (
        EXISTS (SELECT 1 FROM label_leases AS e
                WHERE e.ticket_id = w.ticket_id AND e.labeller <> :labeller AND e.leased_until_us > :now)
        OR (w.purpose = 'adjudicate' AND EXISTS (
                SELECT 1 FROM tickets AS t JOIN labels AS l USING (ticket_id)
                WHERE t.event_id = w.event_id AND t.purpose IN ('estimate', 'adjudicate') AND l.labeller = :labeller))
        OR (w.purpose = 'known' AND EXISTS (
                SELECT 1 FROM tickets AS t JOIN labels AS l USING (ticket_id)
                WHERE t.event_id = w.event_id AND t.purpose = 'known' AND t.policy = w.policy AND l.labeller = :labeller))
    )
    ORDER BY CASE w.purpose WHEN 'adjudicate' THEN 0 WHEN 'training' THEN 2 ELSE 1 END, w.window_us, w.ticket_id
    LIMIT :limit
"""
_PLANS = "SELECT * FROM sampling_plans"


class SqliteTruthStore:
    """The TruthStore on a ``Database``; closing the database is its owner's business."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Labels and tickets

    def add(self, label: Label | None = None, tickets: Sequence[SampleTicket] = ()) -> None:
        with self._database.write() as connection:
            if label is not None:
                _check_label(connection, label)
                insert_label(connection, label)
                connection.execute("DELETE FROM label_leases WHERE ticket_id = ?", (label.ticket_id,))
            for ticket in tickets:
                if not _already_asked(connection, ticket):
                    insert_ticket(connection, ticket)

    def add_known(self, ticket: SampleTicket, truth: Truth) -> None:
        with self._database.write() as connection:
            insert_ticket(connection, ticket)
            connection.execute("INSERT INTO known_truths VALUES (?, ?)", (ticket.ticket_id, truth.value))

    def ticket(self, ticket_id: str) -> SampleTicket:
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM tickets WHERE ticket_id = ?", (ticket_id,)).fetchone()
        if row is None:
            raise UnknownPart(f"no ticket {ticket_id!r}")
        return ticket_of(row)

    def tickets_of_part(self, part_id: str) -> list[SampleTicket]:
        return self._tickets("SELECT * FROM tickets WHERE part_id = ? ORDER BY created_us, ticket_id", (part_id,))

    def label(self, label_id: str) -> Label | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT *, review_round AS label_round FROM labels WHERE label_id = ?", (label_id,)
            ).fetchone()
        return None if row is None else label_of(row)

    def answers_of_event(self, event_id: str) -> list[Answer]:
        return self._answers("WHERE t.event_id = ?", [event_id])

    def answers(
        self, *, since: datetime | None = None, until: datetime | None = None, windows: Sequence[str] | None = None
    ) -> list[Answer]:
        conditions, values = _between("t.created_us", since, until)
        if windows is not None:
            conditions.append(f"t.window IN ({', '.join('?' * len(windows))})")
            values.extend(windows)
        return self._answers("WHERE " + " AND ".join(conditions) if conditions else "", values)

    def progress(self, window: str, now: datetime) -> WindowProgress:
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT COUNT(*) AS asked, COALESCE(SUM(done), 0) AS answered,
                          COALESCE(SUM(NOT done AND expires_us <= ?), 0) AS expired
                   FROM (SELECT t.expires_us, EXISTS (SELECT 1 FROM labels AS l WHERE l.ticket_id = t.ticket_id) AS done
                         FROM tickets AS t WHERE t.window = ? AND t.purpose = 'estimate')""",
                (to_us(now), window),
            ).fetchone()
        return WindowProgress(asked=row["asked"], answered=row["answered"], expired=row["expired"])

    # The queue

    def open_tickets(self, now: datetime, *, labeller: str = "", limit: int | None = None) -> list[SampleTicket]:
        values = {"now": to_us(now), "labeller": labeller, "limit": -1 if limit is None else limit}
        return self._tickets(_OPEN, values)

    def claim(self, ticket_id: str, labeller: str, now: datetime, until: datetime) -> bool:
        with self._database.write() as connection:
            changed = connection.execute(
                """INSERT INTO label_leases (ticket_id, labeller, leased_until_us)
                   SELECT ticket_id, :labeller, :until FROM unanswered_tickets WHERE ticket_id = :ticket_id AND expires_us > :now
                   ON CONFLICT (ticket_id) DO UPDATE SET labeller = excluded.labeller, leased_until_us = excluded.leased_until_us
                   WHERE label_leases.labeller = excluded.labeller OR label_leases.leased_until_us <= :now""",
                {"ticket_id": ticket_id, "labeller": labeller, "now": to_us(now), "until": to_us(until)},
            ).rowcount
        return changed == 1

    def release(self, ticket_id: str, labeller: str) -> None:
        with self._database.write() as connection:
            connection.execute("DELETE FROM label_leases WHERE ticket_id = ? AND labeller = ?", (ticket_id, labeller))

    # Sampling plans

    def add_plan(self, plan: PlanRecord) -> PlanRecord:
        key = (plan.variant, plan.recipe_version, plan.window)
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO sampling_plans VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (variant, recipe_version, window) DO NOTHING",
                (*key, plan.policy, to_us(plan.created_at), plan.body),
            )
            row = connection.execute(f"{_PLANS} WHERE variant = ? AND recipe_version = ? AND window = ?", key).fetchone()
        return plan_of(row)

    def plan(self, variant: str, recipe_version: str, window: str) -> PlanRecord | None:
        plans = self._plans("WHERE variant = ? AND recipe_version = ? AND window = ?", (variant, recipe_version, window))
        return plans[0] if plans else None

    def latest_plan(self, variant: str, recipe_version: str) -> PlanRecord | None:
        plans = self._plans(
            "WHERE variant = ? AND recipe_version = ? ORDER BY created_us DESC, rowid DESC LIMIT 1", (variant, recipe_version)
        )
        return plans[0] if plans else None

    def plans(self, policy: str) -> list[PlanRecord]:
        return self._plans("WHERE policy = ? ORDER BY created_us, rowid", (policy,))

    # Challenge parts

    def register_challenge(self, part: ChallengePart) -> None:
        with self._database.write() as connection:
            taken = connection.execute(
                "SELECT challenge_id FROM challenge_parts WHERE challenge_id = ? OR part_id = ?",
                (part.challenge_id, part.part_id),
            ).fetchone()
            if taken is not None:
                raise StoreError(
                    f"challenge part {part.challenge_id!r} (part id {part.part_id!r}) is registered already "
                    f"as {taken['challenge_id']!r}; choose another id"
                )
            connection.execute(
                "INSERT INTO challenge_parts VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    part.challenge_id,
                    part.part_id,
                    part.variant,
                    part.defect_type,
                    part.severity,
                    to_us(part.registered_at),
                    None if part.retired_at is None else to_us(part.retired_at),
                ),
            )

    def retire_challenge(self, challenge_id: str, at: datetime) -> None:
        with self._database.write() as connection:
            changed = connection.execute(
                "UPDATE challenge_parts SET retired_us = ? WHERE challenge_id = ? AND retired_us IS NULL",
                (to_us(at), challenge_id),
            ).rowcount
            if not changed and not _challenge_exists(connection, challenge_id):
                raise UnknownPart(f"no challenge part {challenge_id!r} is registered")

    def challenge_parts(self, *, include_retired: bool = False) -> list[ChallengePart]:
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT c.*, (SELECT MAX(passed_us) FROM challenge_passes AS p WHERE p.challenge_id = c.challenge_id) AS used_us
                   FROM challenge_parts AS c WHERE :all OR retired_us IS NULL ORDER BY challenge_id""",
                {"all": include_retired},
            ).fetchall()
        return [challenge_part_of(row) for row in rows]

    def add_pass(self, challenge_pass: ChallengePass) -> None:
        with self._database.write() as connection:
            if not _challenge_exists(connection, challenge_pass.challenge_id):
                raise UnknownPart(f"no challenge part {challenge_pass.challenge_id!r} is registered")
            connection.execute(
                "INSERT INTO challenge_passes VALUES (?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING",
                (
                    challenge_pass.event_id,
                    challenge_pass.challenge_id,
                    challenge_pass.window,
                    to_us(challenge_pass.passed_at),
                    int(challenge_pass.rejected),
                ),
            )

    def passes(self, *, since: datetime | None = None, until: datetime | None = None) -> list[ChallengePass]:
        conditions, values = _between("passed_us", since, until)
        where = "WHERE " + " AND ".join(conditions) if conditions else ""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT * FROM challenge_passes {where} ORDER BY passed_us, rowid", values).fetchall()  # noqa: S608 - fixed text
        return [pass_of(row) for row in rows]

    def _tickets(self, query: str, values: Sequence[object] | dict[str, object]) -> list[SampleTicket]:
        with self._database.read() as connection:
            return [ticket_of(row) for row in connection.execute(query, values)]

    def _answers(self, where: str, values: list[object]) -> list[Answer]:
        with self._database.read() as connection:
            rows = connection.execute(f"{_ANSWERS} {where} ORDER BY l.rowid", values).fetchall()
        return [
            Answer(ticket_of(row), label_of(row), None if row["known_truth"] is None else Truth(row["known_truth"]))
            for row in rows
        ]

    def _plans(self, where: str, values: Sequence[object]) -> list[PlanRecord]:
        with self._database.read() as connection:
            return [plan_of(row) for row in connection.execute(f"{_PLANS} {where}", values)]


def _check_label(connection: sqlite3.Connection, label: Label) -> None:
    """The store's own rules, under the write lock: what two labellers at the same moment could otherwise break."""
    if connection.execute("SELECT 1 FROM tickets WHERE ticket_id = ?", (label.ticket_id,)).fetchone() is None:
        raise UnknownPart(f"no ticket {label.ticket_id!r}")
    if connection.execute("SELECT 1 FROM labels WHERE label_id = ?", (label.label_id,)).fetchone():
        raise LabelError(f"label {label.label_id!r} is stored already", code="duplicate")
    if label.corrects is None:
        if connection.execute("SELECT 1 FROM labels WHERE ticket_id = ?", (label.ticket_id,)).fetchone():
            raise LabelError(f"ticket {label.ticket_id!r} has been answered already", code="answered")
        return
    corrected = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM labels WHERE corrects = l.label_id) AS gone FROM labels AS l WHERE label_id = ? AND ticket_id = ?",
        (label.corrects, label.ticket_id),
    ).fetchone()
    if corrected is None:
        raise UnknownPart(f"ticket {label.ticket_id!r} has no label {label.corrects!r} to correct")
    if corrected["gone"]:
        raise LabelError(f"label {label.corrects!r} was corrected already; correct the newer one", code="stale_correction")


def _already_asked(connection: sqlite3.Connection, ticket: SampleTicket) -> bool:
    return (
        ticket.purpose is Purpose.ADJUDICATE
        and connection.execute(
            "SELECT 1 FROM tickets WHERE event_id = ? AND review_round = ? AND purpose = 'adjudicate'",
            (ticket.event_id, ticket.review_round),
        ).fetchone()
        is not None
    )


def _challenge_exists(connection: sqlite3.Connection, challenge_id: str) -> bool:
    return connection.execute("SELECT 1 FROM challenge_parts WHERE challenge_id = ?", (challenge_id,)).fetchone() is not None


def _between(column: str, since: datetime | None, until: datetime | None) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []
    if since is not None:
        conditions.append(f"{column} >= ?")
        values.append(to_us(since))
    if until is not None:
        conditions.append(f"{column} < ?")
        values.append(to_us(until))
    return conditions, values
