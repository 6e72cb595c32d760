-- Addresses that a client had signed, each with what it is for.
CREATE TABLE signed_urls (
    id          TEXT PRIMARY KEY,
    -- Of one that is a reference: the SHA-256 of it.
    secret_hash BYTEA UNIQUE,
    client_id   TEXT NOT NULL,
    url         TEXT NOT NULL,
    audience    TEXT NOT NULL,
    purpose     TEXT,
    subject     TEXT,
    single_use  BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);
CREATE INDEX signed_urls_client ON signed_urls (client_id);
CREATE INDEX signed_urls_expiry ON signed_urls (expires_at);
