-- Invitations to an account (XEP-0401): whoever has the token makes one, once.
CREATE TABLE invites (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    domain     BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    token_hash BLOB   NOT NULL UNIQUE,
    kind       TEXT   NOT NULL, -- account; contact: one who has an account elsewhere becomes the inviter's contact by it
    local      TEXT   NOT NULL DEFAULT '', -- the name that is kept for whoever is invited; empty: theirs to choose
    contact    BIGINT REFERENCES accounts (id) ON DELETE CASCADE, -- whose contact they become
    note       TEXT   NOT NULL DEFAULT '',
    invited_by TEXT   NOT NULL, -- a login, or the address of an account
    created    BIGINT NOT NULL,
    expires    BIGINT NOT NULL
);
CREATE INDEX invites_domain ON invites (domain);
CREATE INDEX invites_contact ON invites (contact);
