-- The past of the detectors' e-values, one row per hour, quantity and slice: a year of one slice is 9,000 small rows per quantity.
-- hour: hours since 1970-01-01 UTC. Values are natural logarithms.

CREATE TABLE evidence_hours (
    hour          INTEGER NOT NULL,
    quantity      TEXT NOT NULL,
    slice         TEXT NOT NULL,
    log_value     REAL NOT NULL,       -- as of the last look in the hour
    highest       REAL NOT NULL,
    log_threshold REAL NOT NULL,
    PRIMARY KEY (hour, quantity, slice)
) STRICT, WITHOUT ROWID;
