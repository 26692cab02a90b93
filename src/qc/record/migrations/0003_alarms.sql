-- Alarms, and the state of the detectors that raise them.
-- All times are UTC microseconds since 1970-01-01 (columns *_us).

CREATE TABLE alarms (
    alarm_id TEXT PRIMARY KEY,
    quantity TEXT NOT NULL,
    slice TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'snoozed', 'cleared')),
    cause TEXT NOT NULL,
    action TEXT NOT NULL,
    evidence REAL NOT NULL,
    threshold REAL NOT NULL,
    message TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    updates INTEGER NOT NULL,
    parts TEXT NOT NULL,                -- JSON list of event ids
    evidence_by_cause TEXT NOT NULL,    -- JSON list of [cause, sentence]
    acknowledged_by TEXT NOT NULL,
    note TEXT NOT NULL,
    snoozed_until_us INTEGER
) WITHOUT ROWID;
-- At most one alarm of a quantity and slice that is not cleared.
CREATE UNIQUE INDEX alarms_current ON alarms (quantity, slice) WHERE state <> 'cleared';
CREATE INDEX alarms_time ON alarms (since_us);

CREATE TABLE monitor_state (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,                -- JSON
    updated_us INTEGER NOT NULL
) WITHOUT ROWID;
