-- People of the panel: how colleagues come, and what they show beside their passwords.

-- Whoever has the link becomes an operator, once.
CREATE TABLE invitations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     BIGINT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    token_hash BLOB   NOT NULL UNIQUE,
    role       TEXT   NOT NULL,
    note       TEXT   NOT NULL, -- whom it is meant for
    invited_by TEXT   NOT NULL, -- a login
    created    BIGINT NOT NULL,
    expires    BIGINT NOT NULL
);
CREATE INDEX invitations_tenant ON invitations (tenant);

-- A second factor (RFC 6238).
CREATE TABLE second_factors (
    operator      BIGINT PRIMARY KEY REFERENCES operators (id) ON DELETE CASCADE,
    secret_sealed BLOB   NOT NULL,
    last_step     BIGINT NOT NULL DEFAULT 0, -- the newest period whose code was used: none is used twice
    since         BIGINT -- NULL: not shown to work yet
);

-- Each is good once, in place of a code. Drawn with 80 bits, so their hashes need no salt.
CREATE TABLE recovery_codes (
    operator  BIGINT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    code_hash BLOB   NOT NULL,
    PRIMARY KEY (operator, code_hash)
);

-- The password was right; the second factor is not shown yet.
CREATE TABLE half_logins (
    token_hash BLOB   PRIMARY KEY,
    operator   BIGINT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    expires    BIGINT NOT NULL
);
CREATE INDEX half_logins_operator ON half_logins (operator);

ALTER TABLE tenants ADD COLUMN second_factor BOOLEAN NOT NULL DEFAULT FALSE; -- its people must have one
