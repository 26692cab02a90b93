-- What a candidate in the shadow said beside the active model. A run: one candidate against one active model of one variant.
-- All times are UTC microseconds since 1970-01-01 (columns *_us).

CREATE TABLE shadow_cells (
    run   TEXT NOT NULL,
    cell  TEXT NOT NULL CHECK (cell IN ('both_accept', 'both_reject', 'only_active_rejects', 'only_candidate_rejects')),
    parts INTEGER NOT NULL,
    PRIMARY KEY (run, cell)
) STRICT;

CREATE TABLE shadow_disagreements (
    run             TEXT NOT NULL,
    event_id        TEXT NOT NULL,
    cell            TEXT NOT NULL,
    active_score    REAL NOT NULL,
    candidate_score REAL NOT NULL,
    at_us           INTEGER NOT NULL,
    PRIMARY KEY (run, event_id)
) STRICT;
