-- The console: who may log in, who is logged in, and the areas that labellers marked on defective parts.
-- All times are UTC microseconds since 1970-01-01 (columns *_us).

CREATE TABLE console_users (
    name          TEXT PRIMARY KEY,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'engineer', 'admin')),
    password_hash TEXT NOT NULL,          -- argon2id, with its parameters
    created_us    INTEGER NOT NULL
) STRICT;

CREATE TABLE console_sessions (
    token_hash TEXT PRIMARY KEY,          -- SHA-256 of the cookie: a copy of this file opens no session
    user_name  TEXT NOT NULL REFERENCES console_users (name) ON DELETE CASCADE,
    csrf       TEXT NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT;
CREATE INDEX console_sessions_user ON console_sessions (user_name);
CREATE INDEX console_sessions_expiry ON console_sessions (expires_us);

CREATE TABLE label_marks (
    label_id TEXT PRIMARY KEY REFERENCES labels (label_id),
    boxes    TEXT NOT NULL                -- JSON: [[x, y, width, height], ...] relative to the frame
) STRICT;
