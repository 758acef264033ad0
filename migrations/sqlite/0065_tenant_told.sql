-- What was last told by mail of a customer as a whole: the ladder, what of its plan is used up.
CREATE TABLE tenant_told (
    tenant BIGINT PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    told   TEXT   NOT NULL -- JSON
);
