-- What has to be sent once what it tells of is committed. A row goes when it was delivered, or after `expires_at`.
-- Whoever tries moves `next_at` ahead and counts the attempt, so that nobody else tries at the same time.
CREATE TABLE outbox (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    payload    TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_at);
CREATE INDEX outbox_expiry ON outbox (expires_at);
