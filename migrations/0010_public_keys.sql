-- What is left of a signing key when the last token that it signed has expired: it verifies the ID tokens that come back
-- as hints, until the sessions of its time have ended.
CREATE TABLE public_keys (
    id          TEXT PRIMARY KEY,
    algorithm   TEXT NOT NULL,
    jwk         TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    active_from BIGINT NOT NULL,
    retired_at  BIGINT NOT NULL
);
