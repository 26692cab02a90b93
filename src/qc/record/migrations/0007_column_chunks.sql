-- Records packed for reports: the few columns that rates are computed from, some thousand records to a row.
-- Made from ``inspections`` afterwards and never the only copy: a chunk may be deleted at any time.
-- All times are UTC microseconds since 1970-01-01 (columns *_us).

CREATE TABLE column_chunks (
    after_seq INTEGER NOT NULL,        -- holds every record with after_seq < seq <= last_seq
    last_seq  INTEGER PRIMARY KEY,
    first_us  INTEGER NOT NULL,        -- earliest and latest decided_us
    last_us   INTEGER NOT NULL,
    names     TEXT NOT NULL,           -- JSON: the combinations of strings, see qc.domain.columns.FIELDS
    quality   TEXT NOT NULL,           -- JSON: see qc.record.quality_reader
    body      BLOB NOT NULL            -- little-endian arrays one after the other: seq i8, decided_us i8, score f8, brightness f4, combination i4
) STRICT;
