-- A message that is being sent is told from one that waits for its next attempt: until then it is taken.
ALTER TABLE webhook_deliveries ADD COLUMN taken BIGINT;
CREATE INDEX webhook_deliveries_taken ON webhook_deliveries (webhook, taken) WHERE taken IS NOT NULL;
