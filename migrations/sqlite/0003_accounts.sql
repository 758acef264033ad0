-- People of the hosted domains: how they prove who they are, whom they know, what waits for them.

CREATE TABLE accounts (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    domain  BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    local   TEXT   NOT NULL,
    state   TEXT   NOT NULL, -- active, suspended
    roster_version BIGINT NOT NULL, -- starts at the time of creation: an account of the same name never repeats one
    roster_since   BIGINT NOT NULL, -- changes after this version are on file
    left_at BIGINT, -- end of the last session
    created BIGINT NOT NULL,
    UNIQUE (domain, local)
);

-- SCRAM verifiers (RFC 5802 3); no password is ever stored.
CREATE TABLE credentials (
    account    BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash       TEXT   NOT NULL, -- sha-1, sha-256, sha-512
    salt       BLOB   NOT NULL,
    iterations BIGINT NOT NULL,
    stored_key BLOB   NOT NULL,
    server_key BLOB   NOT NULL,
    PRIMARY KEY (account, hash)
);

-- RFC 6121 2.1. A removed item stays as a tombstone for a while, so that a client with an older version can be told.
CREATE TABLE roster (
    account      BIGINT  NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    jid          TEXT    NOT NULL,
    name         TEXT    NOT NULL DEFAULT '',
    groups       TEXT    NOT NULL DEFAULT '[]', -- JSON
    subscription TEXT    NOT NULL, -- none, to, from, both, remove (tombstone)
    ask          BOOLEAN NOT NULL DEFAULT FALSE,
    approved     BOOLEAN NOT NULL DEFAULT FALSE,
    version      BIGINT  NOT NULL,
    PRIMARY KEY (account, jid)
);
CREATE INDEX roster_version ON roster (account, version);

-- Requests that the account has not decided (RFC 6121 3.1.3), whole.
CREATE TABLE subscription_requests (
    account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    jid     TEXT   NOT NULL,
    stanza  BLOB   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (account, jid)
);

-- Messages that wait (XEP-0160).
CREATE TABLE offline_messages (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    at      BIGINT NOT NULL,
    stanza  BLOB   NOT NULL
);
CREATE INDEX offline_messages_account ON offline_messages (account, id);
