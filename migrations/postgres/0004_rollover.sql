-- Identities made ahead of their use.

ALTER TABLE certificates ADD COLUMN since BIGINT NOT NULL DEFAULT 0; -- when it came into its state; 0: before this was kept
CREATE UNIQUE INDEX certificates_next ON certificates (domain) WHERE state = 'next';
