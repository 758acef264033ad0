-- Files that accounts share (XEP-0363): slots, and what was put into them. The bytes are elsewhere, by token.

CREATE TABLE uploads (
    token   TEXT    NOT NULL PRIMARY KEY,
    domain  BIGINT  NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    account BIGINT  NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    type    TEXT    NOT NULL, -- media type
    size    BIGINT  NOT NULL,
    created BIGINT  NOT NULL,
    ends    BIGINT  NOT NULL, -- of the slot while nothing is in it, then of the file; 9223372036854775807: never
    stored  BOOLEAN NOT NULL
);
CREATE INDEX uploads_domain ON uploads (domain, ends);
CREATE INDEX uploads_account ON uploads (account, created);
