-- Passkeys (Web Authentication): what verifies an answer of theirs. What makes one is with their owner's device alone.
CREATE TABLE passkeys (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL,
    -- By which the device knows it.
    credential_id BYTEA NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    -- The public key and its kind, as they were when it was added (JSON).
    credential    TEXT NOT NULL,
    -- What the device has counted to: it never goes back, or stays at 0 for ever where it does not count.
    counter       BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    used_at       BIGINT
);
CREATE INDEX passkeys_user ON passkeys (user_id);
