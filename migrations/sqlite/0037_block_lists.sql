-- Lists of strangers to be kept away, which domains follow as pubsub nodes of others, as they were last known.
CREATE TABLE block_lists (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    domain  BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    service TEXT   NOT NULL, -- bare address
    node    TEXT   NOT NULL,
    read    BIGINT, -- when it was last read to the end; never: NULL
    problem TEXT   NOT NULL DEFAULT '', -- why the last attempt came to nothing; empty: it did not
    UNIQUE (domain, service, node)
);

CREATE TABLE block_list_entries (
    list   BIGINT NOT NULL REFERENCES block_lists (id) ON DELETE CASCADE,
    entry  BLOB   NOT NULL, -- SHA-256 of a bare address or of a domain
    seen   BIGINT NOT NULL, -- when it was last told that it is there
    PRIMARY KEY (list, entry)
);
