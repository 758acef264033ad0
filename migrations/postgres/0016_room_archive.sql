-- What was said in rooms (XEP-0313), and how rooms look: hats of their people (XEP-0317), their vCard (XEP-0486).

CREATE TABLE room_archive (
    room   BIGINT  NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    at     BIGINT  NOT NULL, -- when it came; no two of one room are the same
    salt   BIGINT  NOT NULL, -- makes the id, which is both, unpredictable
    sender TEXT COLLATE "C" NOT NULL, -- real bare address; empty: the room itself
    nick   TEXT COLLATE "C" NOT NULL,
    open   BOOLEAN NOT NULL, -- everybody could see who it was
    total  BIGINT  NOT NULL, -- bytes of the room's archive up to and with this one, since it began
    stanza BYTEA    NOT NULL,
    PRIMARY KEY (room, at)
);
CREATE INDEX room_archive_sender ON room_archive (room, sender);

ALTER TABLE rooms ADD COLUMN hats TEXT; -- JSON
ALTER TABLE rooms ADD COLUMN vcard BYTEA;
