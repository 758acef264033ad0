-- What a domain's own relays for calls (XEP-0215) know too: credentials are made with it.
CREATE TABLE external_secrets (
    domain        BIGINT PRIMARY KEY REFERENCES domains (id) ON DELETE CASCADE,
    secret_sealed BYTEA  NOT NULL
);
