-- Certificates of domains that have left, what keeps lists quick, and what mail has told. They are revoked at their authority, whenever that can be reached.
CREATE TABLE acme_revocations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    domain     TEXT   NOT NULL, -- its name, for the log
    authority  TEXT   NOT NULL, -- directory URL
    chain_pem  TEXT   NOT NULL,
    not_after  BIGINT NOT NULL, -- nothing has to be revoked any more then
    failures   BIGINT NOT NULL DEFAULT 0,
    not_before BIGINT NOT NULL -- tried next
);
CREATE INDEX acme_revocations_due ON acme_revocations (not_before);

-- Lists of domains, and what fails for how many, are read from these, whatever else the rows hold.
CREATE INDEX domains_listed ON domains (tenant, state, name);
CREATE INDEX findings_failing ON findings (code, domain) WHERE severity IN ('warning', 'critical');
CREATE INDEX certificates_ending ON certificates (not_after) WHERE state = 'current';

-- Most sessions that a domain had on a day, for its chart.
CREATE TABLE domain_days (
    domain   BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    day      BIGINT NOT NULL, -- start of the day
    sessions BIGINT NOT NULL,
    PRIMARY KEY (domain, day)
);

-- The nightly mail: by customer the last night (start of the day) that was written for, by domain what was told.
CREATE TABLE mails (
    tenant BIGINT PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    night  BIGINT NOT NULL
);
CREATE TABLE domain_told (
    domain BIGINT PRIMARY KEY REFERENCES domains (id) ON DELETE CASCADE,
    told   TEXT NOT NULL -- JSON
);
