-- Where a session was begun, or renewed last.
ALTER TABLE sessions ADD COLUMN address TEXT;
