-- Customers who do not answer: the steps that come, each with its date, and the one in force.

ALTER TABLE tenants ADD COLUMN ladder TEXT; -- JSON; NULL: none
ALTER TABLE tenants ADD COLUMN step TEXT NOT NULL DEFAULT ''; -- warned, read-only, no-federation, no-login, erased

-- Where customers want to hear what is done: each entry of the audit log is put in line for them with the entry itself.
CREATE TABLE webhooks (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        BIGINT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    url           TEXT   NOT NULL,
    events        TEXT   NOT NULL, -- operations and nouns between bars; empty: everything
    secret_sealed BLOB   NOT NULL,
    created       BIGINT NOT NULL
);
CREATE INDEX webhooks_tenant ON webhooks (tenant);

CREATE TABLE webhook_deliveries (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook  BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    at       BIGINT NOT NULL,
    event    TEXT   NOT NULL,
    body     TEXT   NOT NULL, -- JSON, as it is sent
    attempts BIGINT NOT NULL DEFAULT 0,
    due      BIGINT, -- NULL: settled
    status   BIGINT, -- what the last attempt was answered with
    said     TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due);
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook, id);
