-- What happened to accounts, for their owners to read.
CREATE TABLE events (
    user_id  TEXT NOT NULL,
    at       BIGINT NOT NULL,
    kind     TEXT NOT NULL,
    -- A client, or what its owner calls something; empty where there is nothing more to say.
    about    TEXT NOT NULL,
    by_admin BOOLEAN NOT NULL,
    device   TEXT,
    address  TEXT,
    PRIMARY KEY (user_id, at, kind, about)
);
CREATE INDEX events_at ON events (at);
