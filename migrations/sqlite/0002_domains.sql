-- Hosted domains: who has them, what the world shows of them, their identities and the peers they talk to.

CREATE TABLE domains (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        BIGINT  NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL, -- U-labels
    label         TEXT    NOT NULL UNIQUE, -- left-most label of the SRV target in the platform's zone
    state         TEXT    NOT NULL,
    reason        TEXT    NOT NULL DEFAULT '',
    suspended_by  TEXT    NOT NULL DEFAULT '',
    mode          TEXT    NOT NULL,
    token         TEXT    NOT NULL, -- ownership, published as TXT
    verified_at   BIGINT,
    policy        TEXT    NOT NULL, -- XEP-0238
    allow_peers   TEXT    NOT NULL DEFAULT '[]', -- JSON
    block_peers   TEXT    NOT NULL DEFAULT '[]', -- JSON
    settings      TEXT    NOT NULL DEFAULT '{}', -- JSON
    look          TEXT, -- JSON, the last observation
    checked_at    BIGINT,
    next_check_at BIGINT,
    lease_owner   TEXT,
    lease_until   BIGINT,
    created       BIGINT  NOT NULL,
    revision      BIGINT  NOT NULL DEFAULT 0, -- counts edits: one made on an older row is refused
    UNIQUE (tenant, name)
);
-- Several may claim a name; one at a time has proved it.
CREATE UNIQUE INDEX domains_proved ON domains (name) WHERE verified_at IS NOT NULL;
CREATE INDEX domains_name ON domains (name);
CREATE INDEX domains_due ON domains (next_check_at);

-- Names that were hosted here: answered with host-gone (RFC 6120 4.9.3.5).
CREATE TABLE domains_departed (
    name TEXT PRIMARY KEY,
    at   BIGINT NOT NULL
);

CREATE TABLE certificates (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    domain     BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    chain_pem  TEXT   NOT NULL,
    key_sealed BLOB   NOT NULL,
    not_after  BIGINT NOT NULL,
    source     TEXT   NOT NULL,
    state      TEXT   NOT NULL, -- current, next, retired
    created    BIGINT NOT NULL,
    key_since  BIGINT NOT NULL
);
CREATE UNIQUE INDEX certificates_current ON certificates (domain) WHERE state = 'current';
CREATE INDEX certificates_domain ON certificates (domain, id);

CREATE TABLE acme_accounts (
    directory   TEXT PRIMARY KEY,
    credentials BLOB NOT NULL -- sealed
);

-- At most one order under way a domain; remembered before it is finalized.
CREATE TABLE acme_orders (
    domain     BIGINT PRIMARY KEY REFERENCES domains (id) ON DELETE CASCADE,
    url        TEXT NOT NULL,
    key_sealed BLOB NOT NULL,
    csr        BLOB NOT NULL
);

CREATE TABLE findings (
    domain     BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    code       TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    severity   TEXT   NOT NULL,
    expected   TEXT   NOT NULL,
    observed   TEXT   NOT NULL,
    asked      TEXT   NOT NULL,
    fix        TEXT   NOT NULL,
    since      BIGINT NOT NULL,
    next_check BIGINT,
    PRIMARY KEY (domain, code, subject)
);

-- The last attempts of a pair of domains.
CREATE TABLE peers (
    domain   BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    peer     TEXT   NOT NULL,
    attempts TEXT   NOT NULL, -- JSON, bounded by the writer
    updated  BIGINT NOT NULL,
    PRIMARY KEY (domain, peer)
);
CREATE INDEX peers_updated ON peers (domain, updated);
