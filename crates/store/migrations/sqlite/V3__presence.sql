-- Who may know whether and when a user is online (`all`, `contacts`, `nobody`), and when a session of theirs last began or
-- ended, to the minute (0 for never).
ALTER TABLE users ADD COLUMN presence TEXT NOT NULL DEFAULT 'all';
ALTER TABLE users ADD COLUMN last_seen BIGINT NOT NULL DEFAULT 0;
