-- As whom other providers know people. `provider` is the name that the configuration gives it.
CREATE TABLE identities (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    provider   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    -- As the provider told it last; nobody is known by it.
    email      TEXT,
    created_at BIGINT NOT NULL,
    used_at    BIGINT,
    UNIQUE (provider, subject)
);
CREATE INDEX identities_user ON identities (user_id);

-- Who was sent to a provider and is to come back: bound to one browser, spent once. Of the state there is a hash alone;
-- what its answer must fit is sealed.
CREATE TABLE upstream_visits (
    state_hash BYTEA PRIMARY KEY,
    browser    TEXT NOT NULL,
    provider   TEXT NOT NULL,
    sealed     BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX upstream_visits_expiry ON upstream_visits (expires_at);

-- Identities that were proved and are nobody's: whoever proves an account in the same browser may link it.
CREATE TABLE identity_offers (
    id         TEXT PRIMARY KEY,
    browser    TEXT NOT NULL,
    provider   TEXT NOT NULL,
    subject    TEXT NOT NULL,
    email      TEXT,
    -- What waited where it came from.
    request_id TEXT,
    expires_at BIGINT NOT NULL
);
CREATE INDEX identity_offers_expiry ON identity_offers (expires_at);
