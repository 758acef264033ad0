-- What customers may have: plans that the operator makes.

CREATE TABLE plans (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL UNIQUE,
    usual        BOOLEAN NOT NULL DEFAULT FALSE, -- of customers that were given no other
    limits       TEXT    NOT NULL, -- JSON; what it does not name follows the configuration
    soft_percent BIGINT  NOT NULL, -- of a limit: from there on its owner is warned
    created      BIGINT  NOT NULL,
    revision     BIGINT  NOT NULL DEFAULT 0 -- counts edits
);
CREATE UNIQUE INDEX plans_usual ON plans (usual) WHERE usual;

ALTER TABLE tenants ADD COLUMN plan BIGINT REFERENCES plans (id); -- NULL: the usual one
CREATE INDEX tenants_plan ON tenants (plan);
