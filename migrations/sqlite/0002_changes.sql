-- SQLite counts by itself only in an INTEGER PRIMARY KEY, and never twice the same only with AUTOINCREMENT.
CREATE TABLE changes (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    at         BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX changes_expiry ON changes (expires_at);
