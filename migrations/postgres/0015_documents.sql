-- What an account keeps for its clients (XEP-0049), and what it says about itself (XEP-0054).

CREATE TABLE private_xml (
    account   BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    namespace TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL, -- of the element
    payload   BYTEA   NOT NULL, -- the element, as it came
    PRIMARY KEY (account, namespace, name)
);

CREATE TABLE vcards (
    account BIGINT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    vcard   BYTEA   NOT NULL -- one element; without a photo that is published as an avatar (XEP-0398)
);
