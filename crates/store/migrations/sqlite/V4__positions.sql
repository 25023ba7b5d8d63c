-- Where the entries of a log are. An index over all entries by `(conversation_id, seq)` changes a page of its own for each
-- conversation of a batch; these rows are written in runs instead. `tail` of a conversation has the rows of its last
-- entries that have none here yet: 8 bytes each, little-endian, up to the head.
ALTER TABLE conversations ADD COLUMN tail BLOB NOT NULL DEFAULT x'';

-- `author` is the sender of a message and NULL for every other kind; it and `erased` repeat what `entries` says, so that
-- counting reads nothing else.
CREATE TABLE positions (
    conversation_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    entry BIGINT NOT NULL,
    author BIGINT,
    erased BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) WITHOUT ROWID;

INSERT INTO positions (conversation_id, seq, entry, author, erased)
    SELECT conversation_id, seq, rowid, CASE WHEN kind = 'message' THEN sender_id END, erased FROM entries
    ORDER BY conversation_id, seq;

CREATE TABLE numbered_entries (
    id INTEGER PRIMARY KEY,
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
    UNIQUE (client_msg_id, sender_id, conversation_id)
);
INSERT INTO numbered_entries (id, conversation_id, seq, kind, sender_id, time, client_msg_id, request_hash, ref_seq, erased,
        body, changed)
    SELECT rowid, conversation_id, seq, kind, sender_id, time, client_msg_id, request_hash, ref_seq, erased, body, changed
    FROM entries ORDER BY rowid;
DROP TABLE entries;
ALTER TABLE numbered_entries RENAME TO entries;

-- The row of the message, so that counting mentions needs no search for it.
ALTER TABLE mentions ADD COLUMN entry BIGINT NOT NULL DEFAULT 0;
UPDATE mentions SET entry = COALESCE((SELECT p.entry FROM positions p
    WHERE p.conversation_id = mentions.conversation_id AND p.seq = mentions.seq), 0);
