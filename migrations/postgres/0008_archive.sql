-- What passed an account and is kept for it (XEP-0313), and what the account wants of that (XEP-0441).

CREATE TABLE archive (
    account  BIGINT  NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at       BIGINT  NOT NULL, -- when it came; no two of one account are the same
    salt     BIGINT  NOT NULL, -- makes the id, which is both, unpredictable
    peer     TEXT COLLATE "C" NOT NULL, -- the other side's bare address
    resource TEXT COLLATE "C" NOT NULL, -- and resource, or nothing
    sent     BOOLEAN NOT NULL, -- by the account
    message  BIGINT  NOT NULL, -- hash of the stanza's id; 0 without one
    total    BIGINT  NOT NULL, -- bytes of the account's archive up to and with this one, since it began
    stanza   BYTEA   NOT NULL,
    PRIMARY KEY (account, at)
);
CREATE INDEX archive_peer ON archive (account, peer, at);

ALTER TABLE accounts ADD COLUMN archive_preferences TEXT; -- <prefs/> of XEP-0441

-- A message that waits and is in the archive is kept there only; its own stanza is empty then.
ALTER TABLE offline_messages ADD COLUMN archived BIGINT;
