-- What people (personal access tokens) and clients (API keys) show to an API for a long time. One of the two holds it.
CREATE TABLE api_tokens (
    id         TEXT PRIMARY KEY,
    token_hash BYTEA NOT NULL UNIQUE,
    user_id    TEXT,
    client_id  TEXT,
    name       TEXT NOT NULL,
    scope      TEXT NOT NULL,
    -- As JSON, as `aud` of an access token.
    audience   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX api_tokens_user ON api_tokens (user_id);
CREATE INDEX api_tokens_client ON api_tokens (client_id);
CREATE INDEX api_tokens_expiry ON api_tokens (expires_at);
