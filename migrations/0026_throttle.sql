-- Attempts to guess something, by what they have in common: an account, an address, a device. `key` is a keyed hash.
CREATE TABLE attempts (
    key        BYTEA PRIMARY KEY,
    count      BIGINT NOT NULL,
    -- When the next one is let through.
    next_at    BIGINT NOT NULL,
    -- Forgotten after that.
    expires_at BIGINT NOT NULL
);
CREATE INDEX attempts_expiry ON attempts (expires_at);
