-- The log and the directory. Times are milliseconds UTC. `changed` is the number of the commit that last wrote the row
-- (what `Sync` compares). No index holds a column of `conversations` that an append updates; `entries` has no foreign keys.

-- Facts about the database itself: its epoch, the number of the last commit, the commit up to which deletions were purged.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    bio TEXT NOT NULL DEFAULT '',
    password_hash TEXT,
    created BIGINT NOT NULL
);

CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    user_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    access_hash BLOB UNIQUE,
    access_expires BIGINT NOT NULL,
    generation BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX devices_user ON devices (user_id);

-- At most one row of a device has no `exchanged_at`: the token that is good now. The others are kept until they expire,
-- so that a stolen one is known when it is used again.
CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY,
    device_id BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    exchanged_at BIGINT
) WITHOUT ROWID;
CREATE INDEX refresh_tokens_device ON refresh_tokens (device_id);

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    head BIGINT NOT NULL DEFAULT 0,
    floor BIGINT NOT NULL DEFAULT 1,
    last_message_seq BIGINT NOT NULL DEFAULT 0,
    last_active BIGINT NOT NULL,
    members_version BIGINT NOT NULL DEFAULT 1,
    member_count BIGINT NOT NULL,
    history_visible BIGINT NOT NULL,
    join_by_default BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL
);
CREATE INDEX conversations_default ON conversations (id) WHERE join_by_default = 1;

-- Who claimed the direct of a pair; the notes of one user are the pair of that user with itself.
CREATE TABLE directs (
    user_lo BIGINT NOT NULL,
    user_hi BIGINT NOT NULL,
    conversation_id BIGINT NOT NULL,
    PRIMARY KEY (user_lo, user_hi)
) WITHOUT ROWID;

-- `role` is NULL for somebody who left; `left_active` is when the conversation was last active then.
-- `version` is the version of the member list that wrote the row.
CREATE TABLE members (
    conversation_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    role TEXT,
    version BIGINT NOT NULL,
    left_active BIGINT,
    changed BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;
CREATE INDEX members_user ON members (user_id, conversation_id);
CREATE INDEX members_version ON members (conversation_id, version);

CREATE TABLE intervals (
    conversation_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    join_seq BIGINT NOT NULL,
    leave_seq BIGINT,
    PRIMARY KEY (conversation_id, user_id, join_seq)
) WITHOUT ROWID;

CREATE TABLE cursors (
    conversation_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    read BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITHOUT ROWID;

-- An empty value is a deletion.
CREATE TABLE own_state (
    user_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    written BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (user_id, kind, key)
) WITHOUT ROWID;
CREATE INDEX own_state_deleted ON own_state (written) WHERE value = '';

-- An erased row has no body; everything else stays.
CREATE TABLE entries (
    conversation_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    sender_id BIGINT NOT NULL,
    time BIGINT NOT NULL,
    client_msg_id BLOB NOT NULL,
    request_hash BLOB NOT NULL,
    ref_seq BIGINT,
    erased BIGINT NOT NULL DEFAULT 0,
    body BLOB,
    changed BIGINT NOT NULL,
    UNIQUE (conversation_id, seq),
    UNIQUE (client_msg_id, sender_id, conversation_id)
);
CREATE INDEX entries_messages ON entries (conversation_id, seq, sender_id, erased) WHERE kind = 'message';

-- Whom a message names; user 0 stands for everybody.
CREATE TABLE mentions (
    conversation_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, user_id, seq)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    sender_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    conversation_id BIGINT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (sender_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_created ON idempotency_keys (created);

-- Default conversations that an account has been asked to join already.
CREATE TABLE default_offers (
    user_id BIGINT NOT NULL,
    conversation_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, conversation_id)
) WITHOUT ROWID;
