-- What programs have asked for under a key of theirs (Idempotency-Key), and what they were answered. Kept for a day.
CREATE TABLE idempotency_keys (
    operator      BIGINT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    key_hash      BLOB   NOT NULL,
    request       BLOB   NOT NULL, -- SHA-256 of path and body
    status        BIGINT, -- NULL: under way
    answer_sealed BLOB, -- may hold a secret that is shown once
    at            BIGINT NOT NULL,
    PRIMARY KEY (operator, key_hash)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);
