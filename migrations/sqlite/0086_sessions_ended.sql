-- Nobody may take this session up any more: what waits for it finds another way at the next start. It was signed out, or its
-- client came back and has not acknowledged all of it yet.

ALTER TABLE sessions ADD COLUMN ended BOOLEAN NOT NULL DEFAULT FALSE;
