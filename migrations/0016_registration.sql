-- Who registered a client itself, with what it manages that: null of those that an administrator made.
ALTER TABLE clients ADD COLUMN registered_by TEXT;
ALTER TABLE clients ADD COLUMN registration_token BYTEA;
-- Whether an administrator answers for what people are shown of it.
ALTER TABLE clients ADD COLUMN verified BOOLEAN NOT NULL DEFAULT TRUE;
-- When it goes, if nobody has used it by then; null once somebody has.
ALTER TABLE clients ADD COLUMN unused_at BIGINT;
CREATE INDEX clients_unused ON clients (unused_at) WHERE unused_at IS NOT NULL;

-- Initial access tokens (RFC 7591 §3), as their hashes.
CREATE TABLE registration_tokens (
    id         TEXT PRIMARY KEY,
    token_hash BYTEA NOT NULL UNIQUE,
    verifies   BOOLEAN NOT NULL,
    uses_left  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
