-- Authenticator apps. The seed of their codes is sealed; what opens it is outside the database.
CREATE TABLE factors (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    sealed       BYTEA NOT NULL,
    -- The time step of the last code that was taken: none counts twice.
    last_step    BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    -- Until then it is being set up, and counts for nothing.
    confirmed_at BIGINT,
    used_at      BIGINT
);
CREATE INDEX factors_user ON factors (user_id);

-- For whoever has lost the app. Each works once.
CREATE TABLE recovery_codes (
    code_hash  BYTEA PRIMARY KEY,
    user_id    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX recovery_codes_user ON recovery_codes (user_id);

-- Sign-ins of which the first step is done, bound to one browser, spent once.
CREATE TABLE sign_ins (
    id               TEXT PRIMARY KEY,
    browser          TEXT NOT NULL,
    user_id          TEXT NOT NULL,
    -- The session that is to be raised, of somebody who is signed in already.
    session_id       TEXT,
    authenticated_at BIGINT NOT NULL,
    methods          TEXT NOT NULL,
    -- Codes that were tried.
    attempts         BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
);
CREATE INDEX sign_ins_user ON sign_ins (user_id);
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at);
