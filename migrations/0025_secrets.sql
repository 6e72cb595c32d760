-- Secrets that all nodes share and that never change, under AES-256-GCM; what opens them is outside the database.
CREATE TABLE secrets (
    name       TEXT PRIMARY KEY,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
