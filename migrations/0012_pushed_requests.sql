-- Authorization requests that clients sent ahead (RFC 9126): each has one answer. Their reference is kept as its hash alone.
CREATE TABLE pushed_requests (
    id_hash    BYTEA PRIMARY KEY,
    client_id  TEXT NOT NULL,
    params     TEXT NOT NULL,
    -- What an id_token_hint proved.
    hint       TEXT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX pushed_requests_expiry ON pushed_requests (expires_at);

-- The pushed request that is answered when the waiting one is.
ALTER TABLE pending_requests ADD COLUMN pushed BYTEA;
