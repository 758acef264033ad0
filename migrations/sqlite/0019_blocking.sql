-- Whom an account wants nothing of (XEP-0191), and what it says about them to the domain's owner (XEP-0377).

ALTER TABLE accounts ADD COLUMN blocked TEXT; -- addresses, one in a line

CREATE TABLE reports (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    domain  BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    at      BIGINT NOT NULL,
    account TEXT   NOT NULL, -- who reports: address, so that the report outlives the account
    jid     TEXT   NOT NULL, -- who is reported
    reason  TEXT   NOT NULL, -- spam, abuse
    text    TEXT   NOT NULL,
    ids     TEXT   NOT NULL  -- JSON: ids of messages
);
CREATE INDEX reports_domain ON reports (domain, id);
