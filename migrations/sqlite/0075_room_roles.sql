-- Roles in rooms (XEP-0045 5.1) that somebody gave or took, other than what people's affiliations give: a role lasts as long
-- as the visit, and the server's restart is not the end of a visit.

CREATE TABLE room_roles (
    room BIGINT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    jid  TEXT   NOT NULL,
    role TEXT   NOT NULL, -- visitor, participant, moderator
    PRIMARY KEY (room, jid)
);
CREATE INDEX room_roles_jid ON room_roles (jid);
