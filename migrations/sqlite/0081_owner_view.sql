-- An operator of the platform who looks at a customer's pages as its owner does, read only: whose, and until when.
ALTER TABLE logins ADD COLUMN viewing BIGINT REFERENCES tenants (id) ON DELETE SET NULL;
ALTER TABLE logins ADD COLUMN viewing_until BIGINT;
CREATE INDEX logins_viewing ON logins (viewing) WHERE viewing IS NOT NULL;
