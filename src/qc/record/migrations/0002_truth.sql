-- The truth street: tickets, labels, sampling plans, known parts, challenge parts.
-- Columns are named after the dataclasses of domain/truth.py. Times are UTC microseconds since 1970-01-01 (columns *_us), as in
-- 0001_record.sql. "Append-only" is enforced by triggers.
-- Nothing references the inspections: labels outlive the retention of records.

CREATE TABLE tickets (
    ticket_id             TEXT PRIMARY KEY,
    event_id              TEXT NOT NULL,
    part_id               TEXT NOT NULL,
    window                TEXT NOT NULL,
    stratum               TEXT NOT NULL,
    inclusion_probability REAL NOT NULL CHECK (inclusion_probability > 0 AND inclusion_probability <= 1),
    policy                TEXT NOT NULL,
    purpose               TEXT NOT NULL CHECK (purpose IN ('estimate', 'challenge', 'adjudicate', 'training', 'known')),
    created_us            INTEGER NOT NULL,
    expires_us            INTEGER NOT NULL,
    review_round          INTEGER NOT NULL DEFAULT 1 CHECK (review_round >= 1)
) STRICT;
CREATE INDEX tickets_by_event ON tickets (event_id);
CREATE INDEX tickets_by_part ON tickets (part_id);
CREATE INDEX tickets_by_time ON tickets (created_us);
CREATE INDEX tickets_by_expiry ON tickets (expires_us);
CREATE INDEX tickets_by_window ON tickets (window);
-- Two first looks answered at the same moment must not ask for the same second look twice.
CREATE UNIQUE INDEX tickets_one_look_per_round ON tickets (event_id, review_round) WHERE purpose = 'adjudicate';

CREATE TABLE labels (
    label_id      TEXT PRIMARY KEY,
    ticket_id     TEXT NOT NULL REFERENCES tickets (ticket_id),
    truth         TEXT NOT NULL CHECK (truth IN ('good', 'defect', 'unsure')),
    defect_type   TEXT NOT NULL,
    labeller      TEXT NOT NULL CHECK (labeller <> ''),
    labelled_us   INTEGER NOT NULL,
    seconds_spent REAL,
    review_round  INTEGER NOT NULL DEFAULT 1 CHECK (review_round >= 1),
    corrects      TEXT REFERENCES labels (label_id)
) STRICT;
CREATE INDEX labels_by_ticket ON labels (ticket_id);
-- One ticket is one look: one answer, then a chain of corrections, each of the one before it.
CREATE UNIQUE INDEX labels_one_answer_per_ticket ON labels (ticket_id) WHERE corrects IS NULL;
CREATE UNIQUE INDEX labels_one_correction_each ON labels (corrects) WHERE corrects IS NOT NULL;

-- What holds now: labels that no later row corrects.
CREATE VIEW current_labels AS
    SELECT * FROM labels AS l WHERE NOT EXISTS (SELECT 1 FROM labels AS c WHERE c.corrects = l.label_id);

-- Tickets that still need their picture, until expires_us.
CREATE VIEW unanswered_tickets AS
    SELECT * FROM tickets AS t WHERE NOT EXISTS (SELECT 1 FROM labels AS l WHERE l.ticket_id = t.ticket_id);

-- The plan in force in a window; written before its first part is drawn, never changed inside it.
CREATE TABLE sampling_plans (
    variant        TEXT NOT NULL,
    recipe_version TEXT NOT NULL,
    window         TEXT NOT NULL,
    policy         TEXT NOT NULL,
    created_us     INTEGER NOT NULL,
    body           TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (variant, recipe_version, window)
) STRICT;
CREATE INDEX sampling_plans_by_policy ON sampling_plans (policy);

-- Tickets with purpose 'known': the settled truth that the labeller must not see.
CREATE TABLE known_truths (
    ticket_id TEXT PRIMARY KEY REFERENCES tickets (ticket_id),
    truth     TEXT NOT NULL CHECK (truth IN ('good', 'defect'))
) STRICT;

-- Who is looking at which ticket now. The only table here whose rows change: a lease is no evidence.
CREATE TABLE label_leases (
    ticket_id       TEXT PRIMARY KEY REFERENCES tickets (ticket_id),
    labeller        TEXT NOT NULL,
    leased_until_us INTEGER NOT NULL
) STRICT;

CREATE TABLE challenge_parts (
    challenge_id  TEXT PRIMARY KEY,
    part_id       TEXT NOT NULL UNIQUE,
    variant       TEXT NOT NULL,
    defect_type   TEXT NOT NULL,
    severity      TEXT NOT NULL,
    registered_us INTEGER NOT NULL,
    retired_us    INTEGER
) STRICT;

CREATE TABLE challenge_passes (
    event_id     TEXT PRIMARY KEY,
    challenge_id TEXT NOT NULL REFERENCES challenge_parts (challenge_id),
    window       TEXT NOT NULL,
    passed_us    INTEGER NOT NULL,
    rejected     INTEGER NOT NULL CHECK (rejected IN (0, 1))
) STRICT;
CREATE INDEX challenge_passes_by_part ON challenge_passes (challenge_id, passed_us);
CREATE INDEX challenge_passes_by_window ON challenge_passes (window);

CREATE TRIGGER tickets_no_update BEFORE UPDATE ON tickets BEGIN SELECT RAISE(ABORT, 'tickets are append-only'); END;
CREATE TRIGGER tickets_no_delete BEFORE DELETE ON tickets BEGIN SELECT RAISE(ABORT, 'tickets are append-only'); END;
CREATE TRIGGER labels_no_update BEFORE UPDATE ON labels BEGIN SELECT RAISE(ABORT, 'labels are append-only'); END;
CREATE TRIGGER labels_no_delete BEFORE DELETE ON labels BEGIN SELECT RAISE(ABORT, 'labels are append-only'); END;
CREATE TRIGGER plans_no_update BEFORE UPDATE ON sampling_plans BEGIN SELECT RAISE(ABORT, 'sampling plans are append-only'); END;
CREATE TRIGGER plans_no_delete BEFORE DELETE ON sampling_plans BEGIN SELECT RAISE(ABORT, 'sampling plans are append-only'); END;
CREATE TRIGGER known_no_update BEFORE UPDATE ON known_truths BEGIN SELECT RAISE(ABORT, 'known truths are append-only'); END;
CREATE TRIGGER known_no_delete BEFORE DELETE ON known_truths BEGIN SELECT RAISE(ABORT, 'known truths are append-only'); END;
CREATE TRIGGER passes_no_update BEFORE UPDATE ON challenge_passes BEGIN SELECT RAISE(ABORT, 'challenge passes are append-only'); END;
CREATE TRIGGER passes_no_delete BEFORE DELETE ON challenge_passes BEGIN SELECT RAISE(ABORT, 'challenge passes are append-only'); END;
CREATE TRIGGER challenge_parts_no_delete BEFORE DELETE ON challenge_parts
    BEGIN SELECT RAISE(ABORT, 'challenge parts are retired, not deleted'); END;
CREATE TRIGGER challenge_parts_only_retire BEFORE UPDATE ON challenge_parts
    WHEN OLD.retired_us IS NOT NULL OR NEW.challenge_id <> OLD.challenge_id OR NEW.part_id <> OLD.part_id
        OR NEW.variant <> OLD.variant OR NEW.defect_type <> OLD.defect_type OR NEW.severity <> OLD.severity
        OR NEW.registered_us <> OLD.registered_us
    BEGIN SELECT RAISE(ABORT, 'a challenge part can only be retired, once'); END;
CREATE TRIGGER labels_correct_same_ticket BEFORE INSERT ON labels
    WHEN NEW.corrects IS NOT NULL AND NOT EXISTS (SELECT 1 FROM labels WHERE label_id = NEW.corrects AND ticket_id = NEW.ticket_id)
    BEGIN SELECT RAISE(ABORT, 'a correction belongs to the ticket of the label that it corrects'); END;
