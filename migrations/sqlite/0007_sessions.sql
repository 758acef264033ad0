-- Sessions that wait for their clients while the server is not there (XEP-0198 5): written when it stops, taken up when it
-- starts, and forgotten when their client has come back or their time is over.

CREATE TABLE sessions (
    id       TEXT   NOT NULL PRIMARY KEY, -- what the client calls it
    account  BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    resource TEXT   NOT NULL,
    presence BLOB, -- as last broadcast; NULL: not available
    flags    TEXT   NOT NULL, -- words: interested, …
    handled  BIGINT NOT NULL, -- stanzas of the client
    sent     BIGINT NOT NULL, -- stanzas to it, those not acknowledged included
    unacknowledged BIGINT NOT NULL, -- how many of the stanzas have been sent
    stanzas  BLOB   NOT NULL, -- each: time, length, bytes
    proved   BIGINT NOT NULL, -- when the store was asked for what proved the account
    since    BIGINT NOT NULL, -- nobody has been there since
    seconds  BIGINT NOT NULL  -- for so long it waits
);
CREATE INDEX sessions_account ON sessions (account);
