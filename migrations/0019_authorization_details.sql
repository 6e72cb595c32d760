-- What clients may ask for in particular, by type (RFC 9396).
CREATE TABLE authorization_types (
    name        TEXT PRIMARY KEY,
    -- The JSON Schema of its objects.
    schema      TEXT NOT NULL,
    -- How people are told of one: words with {member} places.
    description TEXT NOT NULL,
    -- The resource to which it belongs.
    resource    TEXT,
    -- Whether people are asked about it whatever they allowed before.
    each_time   BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- What was asked for in particular, as a JSON array.
ALTER TABLE device_requests ADD COLUMN details TEXT NOT NULL DEFAULT '[]';

-- What the user was asked about in particular, and allowed, as a JSON array.
ALTER TABLE consents ADD COLUMN details TEXT NOT NULL DEFAULT '[]';
