-- What accounts have written to other servers and those have not taken yet: sent on by whoever starts next.
CREATE TABLE outgoing (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE, -- whose it is
    at      BIGINT NOT NULL, -- when it was written; of one pair of domains in the order of writing
    stanza  BLOB   NOT NULL
);

CREATE INDEX outgoing_account ON outgoing (account);
