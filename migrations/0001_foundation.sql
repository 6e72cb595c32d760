-- One text for PostgreSQL and SQLite: TEXT, BIGINT, BOOLEAN and BYTEA alone.
-- Times are microseconds since the epoch; lists and documents are JSON in TEXT.

CREATE TABLE clients (
    id          TEXT PRIMARY KEY,
    secret_hash BYTEA,
    metadata    TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    username       TEXT NOT NULL,
    username_key   TEXT NOT NULL UNIQUE,
    email          TEXT,
    email_key      TEXT UNIQUE,
    email_verified BOOLEAN NOT NULL,
    claims         TEXT NOT NULL,
    password_hash  TEXT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    disabled_at    BIGINT
);

-- A sign-in of one user in one browser: what `sid` names.
CREATE TABLE sessions (
    id               TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    methods          TEXT NOT NULL,
    device           TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    seen_at          BIGINT NOT NULL,
    idle_expires_at  BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    ended_at         BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (idle_expires_at);

-- `scope` is all that a client may do for a user; `asked` the part of it that the user was asked about and allowed: the
-- rest an administrator allowed for everybody.
CREATE TABLE consents (
    user_id    TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    scope      TEXT NOT NULL,
    asked      TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

-- What was authorised, from pending code to its end. Nothing in a row can be used as a credential.
CREATE TABLE grants (
    id                 TEXT PRIMARY KEY,
    client_id          TEXT NOT NULL,
    user_id            TEXT NOT NULL,
    session_id         TEXT NOT NULL,
    scope              TEXT NOT NULL,
    offline            BOOLEAN NOT NULL,
    refreshable        BOOLEAN NOT NULL,
    nonce              TEXT,
    authenticated_at   BIGINT NOT NULL,
    methods            TEXT NOT NULL,
    redirect_uri       TEXT NOT NULL,
    code_hash          BYTEA NOT NULL,
    code_challenge     TEXT NOT NULL,
    code_expires_at    BIGINT NOT NULL,
    redeemed_at        BIGINT,
    generation         BIGINT NOT NULL,
    rotated_at         BIGINT,
    refresh_expires_at BIGINT,
    refresh_key        TEXT,
    created_at         BIGINT NOT NULL,
    -- The end that was decided when it was allowed; until its code is redeemed, the row itself expires with the code.
    ends_at            BIGINT NOT NULL,
    expires_at         BIGINT NOT NULL,
    revoked_at         BIGINT,
    revoked_because    TEXT
);
CREATE INDEX grants_user ON grants (user_id, client_id);
CREATE INDEX grants_client ON grants (client_id);
CREATE INDEX grants_session ON grants (session_id);
CREATE INDEX grants_expiry ON grants (expires_at);

-- Authorization and sign-out requests that wait for their user, bound to one browser (or, while `browser` is empty, to
-- the first that comes), spent once. `hint` is what an
-- id_token_hint proved; the token itself is not kept.
CREATE TABLE pending_requests (
    id             TEXT PRIMARY KEY,
    kind           TEXT NOT NULL,
    browser        TEXT NOT NULL,
    params         TEXT NOT NULL,
    hint           TEXT,
    chosen_session TEXT,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL
);
CREATE INDEX pending_requests_expiry ON pending_requests (expires_at);

-- What a browser's cookie names; the cookie's value is kept as its hash alone.
CREATE TABLE browsers (
    id_hash    BYTEA PRIMARY KEY,
    data       TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX browsers_expiry ON browsers (expires_at);

-- Private keys under AES-256-GCM; what opens them is outside the database.
CREATE TABLE signing_keys (
    id          TEXT PRIMARY KEY,
    algorithm   TEXT NOT NULL,
    sealed      BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    active_from BIGINT NOT NULL,
    retired_at  BIGINT
);
