-- What domains, customers and the platform did and kept over time, for charts: by hour what moves, by day that and what is kept.
-- NULL: not measured. A quiet hour has no row.

ALTER TABLE domain_days ADD COLUMN stanzas BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domain_days ADD COLUMN archive_rows BIGINT;
ALTER TABLE domain_days ADD COLUMN archive_bytes BIGINT;
ALTER TABLE domain_days ADD COLUMN upload_bytes BIGINT;
ALTER TABLE domain_days ADD COLUMN certificate_ends BIGINT; -- when the one in use ended, as it was then
CREATE INDEX domain_days_day ON domain_days (day);

CREATE TABLE domain_hours (
    domain   BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    hour     BIGINT NOT NULL, -- start of the hour
    sessions BIGINT NOT NULL, -- most at a time
    stanzas  BIGINT NOT NULL,
    PRIMARY KEY (domain, hour)
);
CREATE INDEX domain_hours_hour ON domain_hours (hour);

CREATE TABLE tenant_days (
    tenant   BIGINT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    day      BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    stanzas  BIGINT NOT NULL,
    archive_rows     BIGINT,
    archive_bytes    BIGINT,
    upload_bytes     BIGINT,
    certificate_ends BIGINT, -- of the first to end
    PRIMARY KEY (tenant, day)
);
CREATE INDEX tenant_days_day ON tenant_days (day);

CREATE TABLE tenant_hours (
    tenant   BIGINT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    hour     BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    stanzas  BIGINT NOT NULL,
    PRIMARY KEY (tenant, hour)
);
CREATE INDEX tenant_hours_hour ON tenant_hours (hour);

CREATE TABLE platform_days (
    day      BIGINT PRIMARY KEY,
    sessions BIGINT NOT NULL,
    stanzas  BIGINT NOT NULL,
    archive_rows     BIGINT,
    archive_bytes    BIGINT,
    upload_bytes     BIGINT,
    certificate_ends BIGINT
);

CREATE TABLE platform_hours (
    hour     BIGINT PRIMARY KEY,
    sessions BIGINT NOT NULL,
    stanzas  BIGINT NOT NULL
);
