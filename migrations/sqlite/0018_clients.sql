-- Clients that may come back without a password (XEP-0484), and where they want to be woken (XEP-0357).

-- Up to two for each client: a new one does not replace the one in use before it has been used itself.
CREATE TABLE client_tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account    BIGINT  NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    agent      TEXT    NOT NULL, -- the client's own name for itself (XEP-0388 2.3)
    fresh      BOOLEAN NOT NULL, -- not used yet
    mechanism  TEXT    NOT NULL, -- the only one it is good for
    key_sealed BLOB    NOT NULL, -- SHA-256 of the token
    issued     BIGINT  NOT NULL,
    expires    BIGINT  NOT NULL,
    used       BIGINT, -- last time
    software   TEXT    NOT NULL,
    device     TEXT    NOT NULL,
    UNIQUE (account, agent, fresh)
);

CREATE TABLE push_registrations (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    service TEXT   NOT NULL, -- address of the push service
    node    TEXT   NOT NULL,
    resource TEXT  NOT NULL, -- the session that asked for it last
    options BLOB, -- form to publish with, as it came
    UNIQUE (account, service, node)
);
