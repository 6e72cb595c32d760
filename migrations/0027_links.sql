-- What the secret in a mailed link may do, once. Of the secret there is a hash alone. There is one row for a purpose and
-- a subject, so that a new link ends the one before.
CREATE TABLE links (
    purpose     TEXT NOT NULL,
    subject     TEXT NOT NULL,
    secret_hash BYTEA NOT NULL UNIQUE,
    detail      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    spent_at    BIGINT,
    PRIMARY KEY (purpose, subject)
);
CREATE INDEX links_expiry ON links (expires_at);
