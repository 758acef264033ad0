-- What the operator sees of the queues is counted from indexes: leases that are held, and messages that were given up.
CREATE INDEX domains_leased ON domains (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX webhook_deliveries_given_up ON webhook_deliveries (at) WHERE due IS NULL AND (status IS NULL OR status < 200 OR status > 299);
