-- Passkeys of people of the panel (WebAuthn): what an authenticator proves with a key that never leaves it.
CREATE TABLE passkeys (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    operator   BIGINT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    credential BLOB   NOT NULL UNIQUE, -- the authenticator's own name for it
    public_key BLOB   NOT NULL, -- SubjectPublicKeyInfo, DER
    algorithm  BIGINT NOT NULL, -- COSE
    counter    BIGINT NOT NULL, -- of signatures, as the authenticator counts; 0: it does not
    name       TEXT   NOT NULL, -- as its owner calls it
    created    BIGINT NOT NULL,
    used       BIGINT
);
CREATE INDEX passkeys_operator ON passkeys (operator);

-- What an authenticator is asked to sign, once.
CREATE TABLE passkey_challenges (
    challenge_hash BLOB   PRIMARY KEY,
    operator       BIGINT REFERENCES operators (id) ON DELETE CASCADE, -- whose; NULL: whoever signs in
    expires        BIGINT NOT NULL
);
CREATE INDEX passkey_challenges_operator ON passkey_challenges (operator);
