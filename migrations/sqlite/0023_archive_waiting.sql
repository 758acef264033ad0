-- Archived messages that are durable and not yet in their place: what came in one commit is one row, and many of them are
-- moved to `archive` at a time. A message is told apart by its account there; of an account that is gone it is dropped.

CREATE TABLE archive_waiting (
    id   INTEGER PRIMARY KEY,
    rows BLOB    NOT NULL -- store::archive::log
);
