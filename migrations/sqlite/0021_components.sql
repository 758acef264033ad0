-- Programs that answer for a name below a domain (XEP-0114), and what they prove themselves with. Which there are is also
-- among the domain's settings.

CREATE TABLE components (
    domain BIGINT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    label  TEXT   NOT NULL,
    secret_sealed BLOB NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (domain, label)
);
