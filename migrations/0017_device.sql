-- Devices that wait for a person at another screen (RFC 8628). `id` is that of the grant that it becomes, and both codes
-- are kept as hashes. `browser` is empty until somebody enters the code, and nobody else's from then on.
CREATE TABLE device_requests (
    id             TEXT PRIMARY KEY,
    client_id      TEXT NOT NULL,
    code_hash      BYTEA NOT NULL,
    user_code_hash BYTEA NOT NULL UNIQUE,
    scope          TEXT NOT NULL,
    address        TEXT,
    browser        TEXT NOT NULL,
    -- Microseconds between two polls; it grows when the device does not keep to it.
    pace           BIGINT NOT NULL,
    next_poll_at   BIGINT NOT NULL,
    hurried        BOOLEAN NOT NULL,
    allowed_at     BIGINT,
    denied_at      BIGINT,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);
CREATE INDEX device_requests_expiry ON device_requests (expires_at);

-- How many codes were tried in vain: by a browser, and by all.
CREATE TABLE device_attempts (
    bucket     TEXT PRIMARY KEY,
    made       BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX device_attempts_expiry ON device_attempts (expires_at);
