-- When a block list is to be read, so that processes share the work and a restart reads nothing anew.
ALTER TABLE block_lists ADD COLUMN due BIGINT NOT NULL DEFAULT 0;
-- Number of the last reading, larger than that of any before: entries carry it in `seen`, and no clock decides what has gone.
ALTER TABLE block_lists ADD COLUMN began BIGINT NOT NULL DEFAULT 0;

CREATE INDEX block_lists_due ON block_lists (due);
