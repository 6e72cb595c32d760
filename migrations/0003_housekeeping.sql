-- Who does what only one node does at a time, and until when nobody else may.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Sessions end first and go later: each step finds its own without reading the others.
DROP INDEX sessions_expiry;
CREATE INDEX sessions_open ON sessions (idle_expires_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at);
