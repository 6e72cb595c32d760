-- Where access tokens may be used besides the issuer (RFC 8707).
CREATE TABLE resources (
    uri                      TEXT PRIMARY KEY,
    name                     TEXT NOT NULL,
    -- The scopes that belong to it.
    scope                    TEXT NOT NULL,
    -- Seconds.
    access_token_lifetime    BIGINT,
    access_token_signing_alg TEXT,
    created_at               BIGINT NOT NULL,
    updated_at               BIGINT NOT NULL
);

-- The resources that a device asked for, as a JSON array.
ALTER TABLE device_requests ADD COLUMN resources TEXT NOT NULL DEFAULT '[]';
