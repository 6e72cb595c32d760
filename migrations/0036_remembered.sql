-- Of whoever asked to stay signed in.
ALTER TABLE sessions ADD COLUMN remembered BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE sign_ins ADD COLUMN remembered BOOLEAN NOT NULL DEFAULT FALSE;
