-- Certificate orders: who waits for one, what has been spent at each authority, how each authority does, what http-01 shows.

-- At most one order a domain; it waits here until the authority's limits let it go.
CREATE TABLE acme_queue (
    domain     BIGINT PRIMARY KEY REFERENCES domains (id) ON DELETE CASCADE,
    tenant     BIGINT NOT NULL,
    priority   BIGINT NOT NULL, -- lower first
    due        BIGINT NOT NULL,
    deadline   BIGINT, -- end of the certificate in use
    names      TEXT   NOT NULL, -- JSON, A-labels, the domain first
    registered TEXT   NOT NULL, -- registered domain, by which authorities count
    name_set   TEXT   NOT NULL, -- digest of the names, by which authorities count
    authority  TEXT   NOT NULL, -- directory URL
    exempt     BOOLEAN NOT NULL, -- announced by ARI: the authority does not count it
    failures   BIGINT NOT NULL,
    not_before BIGINT NOT NULL, -- pause after a failure
    started    BIGINT, -- under way since
    wait_until BIGINT, -- what the last plan said
    why        TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX acme_queue_due ON acme_queue (priority, due);

-- What authorities count against their limits; rows older than the longest limit are swept.
CREATE TABLE acme_spent (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    authority TEXT   NOT NULL,
    kind      TEXT   NOT NULL, -- order, certificate, failure
    subject   TEXT   NOT NULL, -- '' | registered domain or set of names | name
    at        BIGINT NOT NULL
);
CREATE INDEX acme_spent_subject ON acme_spent (authority, kind, subject, at);
CREATE INDEX acme_spent_at ON acme_spent (at);

CREATE TABLE acme_authorities (
    directory  TEXT   PRIMARY KEY,
    down_since BIGINT, -- does not answer since
    not_before BIGINT NOT NULL DEFAULT 0, -- asked us to wait until
    said       TEXT   NOT NULL DEFAULT '', -- the last fault in its words
    offers     TEXT   NOT NULL DEFAULT '{}' -- JSON: what it was seen to offer
);

-- Key authorizations for http-01 (RFC 8555 8.3), while an authority looks.
CREATE TABLE acme_answers (
    name              TEXT   NOT NULL, -- A-labels
    token             TEXT   NOT NULL,
    domain            BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    key_authorization TEXT   NOT NULL,
    created           BIGINT NOT NULL,
    PRIMARY KEY (name, token)
);
CREATE INDEX acme_answers_domain ON acme_answers (domain);

-- Which authority issued it (directory URL), and what that said of its renewal (JSON).
ALTER TABLE certificates ADD COLUMN authority TEXT NOT NULL DEFAULT '';
ALTER TABLE certificates ADD COLUMN renewal TEXT;
ALTER TABLE acme_orders ADD COLUMN authority TEXT NOT NULL DEFAULT '';
