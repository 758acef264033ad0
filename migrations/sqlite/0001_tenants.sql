-- Customers, the people who act for them in the panel, and what they did.

CREATE TABLE tenants (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT   NOT NULL,
    state    TEXT   NOT NULL,
    reason   TEXT   NOT NULL DEFAULT '',
    limits   TEXT   NOT NULL DEFAULT '{}', -- JSON
    created  BIGINT NOT NULL
);

-- People of the panel; tenant is NULL for the platform's own.
CREATE TABLE operators (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    login         TEXT   NOT NULL UNIQUE, -- e-mail, lower case
    password_hash TEXT   NOT NULL,        -- argon2id, PHC string
    role          TEXT   NOT NULL,
    tenant        BIGINT REFERENCES tenants (id) ON DELETE CASCADE,
    created       BIGINT NOT NULL
);
CREATE INDEX operators_tenant ON operators (tenant);

-- One row a cookie; only the hash of the token is kept.
CREATE TABLE logins (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    operator   BIGINT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    token_hash BLOB   NOT NULL UNIQUE,
    csrf       TEXT   NOT NULL,
    agent      TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    created    BIGINT NOT NULL,
    expires    BIGINT NOT NULL
);
CREATE INDEX logins_operator ON logins (operator);
CREATE INDEX logins_expires ON logins (expires);

CREATE TABLE api_tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    operator   BIGINT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    token_hash BLOB   NOT NULL UNIQUE,
    name       TEXT   NOT NULL,
    created    BIGINT NOT NULL,
    expires    BIGINT NOT NULL
);
CREATE INDEX api_tokens_operator ON api_tokens (operator);

-- What was done, readable by the tenant. Rows outlive the objects they speak of.
CREATE TABLE audit (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant    BIGINT,
    at        BIGINT NOT NULL,
    actor     TEXT   NOT NULL,
    role      TEXT   NOT NULL,
    operation TEXT   NOT NULL,
    object    TEXT   NOT NULL,
    detail    TEXT   NOT NULL
);
CREATE INDEX audit_tenant ON audit (tenant, id);

-- Named values of the platform; sealed where they are secrets.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

-- What live servers cache has changed: appended in the transaction of the change itself.
CREATE TABLE changes (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     BIGINT NOT NULL,
    kind   TEXT   NOT NULL,
    object TEXT   NOT NULL
);
