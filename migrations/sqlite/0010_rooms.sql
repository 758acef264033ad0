-- Rooms (XEP-0045) that outlive their occupants.

CREATE TABLE rooms (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    domain  BIGINT  NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    local   TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    listed  BOOLEAN NOT NULL,
    config  TEXT    NOT NULL, -- JSON
    salt    BLOB    NOT NULL, -- of the occupants' ids (XEP-0421)
    subject BLOB, -- the stanza that set it
    subject_at BIGINT,
    created BIGINT  NOT NULL,
    UNIQUE (domain, local)
);

-- XEP-0045 5.2, without "none".
CREATE TABLE room_affiliations (
    room        BIGINT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    jid         TEXT   NOT NULL,
    affiliation TEXT   NOT NULL, -- outcast, member, admin, owner
    nick        TEXT, -- reserved
    reason      TEXT,
    PRIMARY KEY (room, jid)
);
CREATE INDEX room_affiliations_jid ON room_affiliations (jid);
