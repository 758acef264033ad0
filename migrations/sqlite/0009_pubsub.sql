-- What accounts publish (XEP-0060, XEP-0163).

CREATE TABLE pubsub_nodes (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    account  BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name     TEXT   NOT NULL,
    config   TEXT   NOT NULL, -- JSON
    people   TEXT   NOT NULL, -- JSON: affiliations and subscriptions
    version  BIGINT NOT NULL, -- of config and people
    position BIGINT NOT NULL, -- of the item that was published last
    bytes    BIGINT NOT NULL, -- of all its items
    created  BIGINT NOT NULL,
    UNIQUE (account, name)
);

-- In the order of their publication; one that is published again moves to the end.
CREATE TABLE pubsub_items (
    node     BIGINT NOT NULL REFERENCES pubsub_nodes (id) ON DELETE CASCADE,
    id       TEXT   NOT NULL,
    position BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    payload  BLOB   NOT NULL,
    PRIMARY KEY (node, id)
);
CREATE UNIQUE INDEX pubsub_items_position ON pubsub_items (node, position);
