-- Links by which people take out what they have themselves (XEP-0227): one of an account at a time, used up when it is followed.
CREATE TABLE own_exports (
    account    BIGINT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    token_hash BLOB   NOT NULL UNIQUE,
    expires    BIGINT NOT NULL
);
