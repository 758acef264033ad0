-- Certificates that people have uploaded for their clients (XEP-0257), which prove an account without a password.
CREATE TABLE client_certificates (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    account     BIGINT  NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL, -- the user's own for it
    fingerprint TEXT    NOT NULL, -- SHA-256 of the certificate, hexadecimal
    certificate BLOB    NOT NULL, -- DER
    manages     BOOLEAN NOT NULL, -- who logs in with it may change the list
    added       BIGINT  NOT NULL,
    expires     BIGINT  NOT NULL,
    UNIQUE (account, name),
    UNIQUE (account, fingerprint)
);

CREATE INDEX client_certificates_fingerprint ON client_certificates (fingerprint);
