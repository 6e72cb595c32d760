-- What a client proved itself with once, so that it is not taken twice, on any node: a digest of who made it and its
-- jti, until it would be refused for its age.
CREATE TABLE replays (
    digest     BYTEA PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE INDEX replays_expiry ON replays (expires_at);

-- The secret itself, sealed, of a client of client_secret_jwt: a hash verifies no MAC.
ALTER TABLE clients ADD COLUMN secret_sealed BYTEA;
