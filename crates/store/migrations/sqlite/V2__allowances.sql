-- Token buckets that every node shares, such as the log-ins of an account and of an address. A full one has no row.
CREATE TABLE allowances (
    name TEXT PRIMARY KEY,
    -- When it is full again, milliseconds UTC.
    full_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX allowances_full ON allowances (full_at);
