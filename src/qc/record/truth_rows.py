"""Rows of the truth tables to domain types and back."""

import sqlite3

from qc.domain.truth import ChallengePart, ChallengePass, Label, PlanRecord, Purpose, SampleTicket, Truth
from qc.record.rows import TICKET_COLUMNS, insertion, ticket_values
from qc.record.times import from_us, to_us


def insert_ticket(connection: sqlite3.Connection, ticket: SampleTicket) -> None:
    connection.execute(insertion("tickets", TICKET_COLUMNS), ticket_values(ticket))


def insert_label(connection: sqlite3.Connection, label: Label) -> None:
    connection.execute(
        "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            label.label_id,
            label.ticket_id,
            label.truth.value,
            label.defect_type,
            label.labeller,
            to_us(label.labelled_at),
            label.seconds_spent,
            label.review_round,
            label.corrects,
        ),
    )


def ticket_of(row: sqlite3.Row) -> SampleTicket:
    return SampleTicket(
        ticket_id=row["ticket_id"],
        event_id=row["event_id"],
        part_id=row["part_id"],
        window=row["window"],
        stratum=row["stratum"],
        inclusion_probability=row["inclusion_probability"],
        policy=row["policy"],
        purpose=Purpose(row["purpose"]),
        created_at=from_us(row["created_us"]),
        expires_at=from_us(row["expires_us"]),
        review_round=row["review_round"],
    )


def label_of(row: sqlite3.Row) -> Label:
    return Label(
        label_id=row["label_id"],
        ticket_id=row["ticket_id"],
        truth=Truth(row["truth"]),
        defect_type=row["defect_type"],
        labeller=row["labeller"],
        labelled_at=from_us(row["labelled_us"]),
        seconds_spent=row["seconds_spent"],
        review_round=row["label_round"],
        corrects=row["corrects"],
    )


def plan_of(row: sqlite3.Row) -> PlanRecord:
    return PlanRecord(
        variant=row["variant"],
        recipe_version=row["recipe_version"],
        window=row["window"],
        policy=row["policy"],
        created_at=from_us(row["created_us"]),
        body=row["body"],
    )


def challenge_part_of(row: sqlite3.Row) -> ChallengePart:
    return ChallengePart(
        challenge_id=row["challenge_id"],
        part_id=row["part_id"],
        variant=row["variant"],
        defect_type=row["defect_type"],
        severity=row["severity"],
        registered_at=from_us(row["registered_us"]),
        retired_at=None if row["retired_us"] is None else from_us(row["retired_us"]),
        last_used=None if row["used_us"] is None else from_us(row["used_us"]),
    )


def pass_of(row: sqlite3.Row) -> ChallengePass:
    return ChallengePass(
        event_id=row["event_id"],
        challenge_id=row["challenge_id"],
        window=row["window"],
        passed_at=from_us(row["passed_us"]),
        rejected=bool(row["rejected"]),
    )
