-- Inspection records, the outbox, the archive's index and the audit trail.
-- All times are UTC microseconds since 1970-01-01 (columns *_us): exact, sortable, timezone-free.

-- Everything that is to be told outside. seq is the edge's sequence number; AUTOINCREMENT never hands one out twice,
-- and as its counter is part of the transaction, a rollback leaves no gap.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead', 'dropped')),
    payload BLOB NOT NULL,          -- UTF-8 JSON with seq, as on the wire; empty when dropped
    sent_us INTEGER,                -- last delivery; a pending row that has one is being replayed
    reason TEXT                     -- why it is dead or dropped
);
CREATE INDEX outbox_pending ON outbox (seq) WHERE state = 'pending';
CREATE INDEX outbox_pending_minor ON outbox (kind, seq) WHERE state = 'pending' AND kind <> 'inspection';
CREATE INDEX outbox_replayed ON outbox (seq) WHERE state = 'pending' AND sent_us IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (sent_us) WHERE state = 'sent';
CREATE INDEX outbox_dead ON outbox (seq) WHERE state = 'dead';
CREATE INDEX outbox_dropped ON outbox (seq) WHERE state = 'dropped';

-- Rows and bytes per state, kept by triggers so that the depth is known without counting.
CREATE TABLE outbox_tally (
    state TEXT PRIMARY KEY,
    row_count INTEGER NOT NULL DEFAULT 0,
    byte_count INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO outbox_tally (state) VALUES ('pending'), ('sent'), ('dead'), ('dropped');
CREATE TRIGGER outbox_inserted AFTER INSERT ON outbox BEGIN
    UPDATE outbox_tally SET row_count = row_count + 1, byte_count = byte_count + length(NEW.payload) WHERE state = NEW.state;
END;
CREATE TRIGGER outbox_moved AFTER UPDATE OF state, payload ON outbox BEGIN
    UPDATE outbox_tally SET row_count = row_count - 1, byte_count = byte_count - length(OLD.payload) WHERE state = OLD.state;
    UPDATE outbox_tally SET row_count = row_count + 1, byte_count = byte_count + length(NEW.payload) WHERE state = NEW.state;
END;
CREATE TRIGGER outbox_deleted AFTER DELETE ON outbox BEGIN
    UPDATE outbox_tally SET row_count = row_count - 1, byte_count = byte_count - length(OLD.payload) WHERE state = OLD.state;
END;

-- Undelivered events given up for ever, by kind and reason; survives the purge of the rows themselves.
CREATE TABLE outbox_losses (
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (kind, reason)
) WITHOUT ROWID;

-- One row per trigger; seq is that of its outbox row, which is purged long before.
CREATE TABLE inspections (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    part_id TEXT NOT NULL,
    camera_id TEXT NOT NULL,
    captured_us INTEGER NOT NULL,
    decided_us INTEGER NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    variant TEXT NOT NULL,
    recipe_version TEXT NOT NULL,
    model_id TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    review_at REAL NOT NULL,
    reject_at REAL NOT NULL,
    score REAL,
    regions TEXT NOT NULL,          -- JSON: [[x, y, width, height, area, peak], ...]
    queued_ms REAL NOT NULL,
    preprocess_ms REAL NOT NULL,
    inference_ms REAL NOT NULL,
    total_ms REAL NOT NULL,
    brightness REAL,                -- the five quality columns are all set or all NULL
    contrast REAL,
    focus REAL,
    noise REAL,
    colour REAL,
    frame_number INTEGER NOT NULL,
    dropped_before INTEGER NOT NULL,
    source_ref TEXT NOT NULL,
    shift TEXT NOT NULL,
    role TEXT NOT NULL,
    challenge_id TEXT,
    image_ref TEXT
);
CREATE INDEX inspections_part ON inspections (part_id);
CREATE INDEX inspections_time ON inspections (decided_us);
CREATE INDEX inspections_decision ON inspections (decision, decided_us);
CREATE INDEX inspections_variant ON inspections (variant, decided_us);
CREATE INDEX inspections_challenge ON inspections (challenge_id) WHERE challenge_id IS NOT NULL;

-- Apart from inspections, so that a scan of the records does not drag the vectors along.
CREATE TABLE embeddings (
    seq INTEGER PRIMARY KEY REFERENCES inspections (seq) ON DELETE CASCADE,
    vector BLOB NOT NULL            -- little-endian float16
);

-- Parts counted per ten minutes of decided_us (bucket -1: all time), so that counters need no scan.
CREATE TABLE decision_counts (
    bucket INTEGER NOT NULL,        -- decided_us / 600,000,000
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    parts INTEGER NOT NULL,
    PRIMARY KEY (bucket, decision, reason)
) WITHOUT ROWID;

CREATE TABLE audit (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,           -- JSON object
    outcome TEXT NOT NULL
);
CREATE INDEX audit_time ON audit (at_us);

-- The archive's index: which file holds which picture of which event. Several rows may share one file (same content).
CREATE TABLE images (
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,             -- 'picture' or 'heatmap'
    file_name TEXT NOT NULL,        -- SHA-256 of the content and a suffix
    media_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    decision TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (event_id, kind)
) WITHOUT ROWID;
CREATE INDEX images_age ON images (decision, created_us);
CREATE INDEX images_file ON images (file_name);
