-- Files of uploads in a bucket (XEP-0363): each has the key of its object, from before the first byte goes there. What loses its
-- row, for whatever reason, leaves the key behind, so that the object goes too.

ALTER TABLE uploads ADD COLUMN place TEXT; -- NULL: in the directory

CREATE TABLE uploads_gone (
    place TEXT NOT NULL PRIMARY KEY
);

CREATE TRIGGER uploads_go AFTER DELETE ON uploads WHEN OLD.place IS NOT NULL
BEGIN
    INSERT OR IGNORE INTO uploads_gone (place) VALUES (OLD.place);
END;
