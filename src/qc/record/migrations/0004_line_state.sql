-- Small facts that the line remembers over restarts: the active variant, the number of halts.
CREATE TABLE line_state (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
