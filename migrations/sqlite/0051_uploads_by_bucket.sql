-- Which bucket an object is in, by name: a configuration may come to name another, and what is in the first is not in the second.
ALTER TABLE uploads ADD COLUMN bucket TEXT; -- NULL: in the directory, or in the one that there was before this column
ALTER TABLE uploads_gone ADD COLUMN bucket TEXT NOT NULL DEFAULT ''; -- '': likewise

DROP TRIGGER uploads_go;

CREATE TRIGGER uploads_go AFTER DELETE ON uploads WHEN OLD.place IS NOT NULL
BEGIN
    INSERT OR IGNORE INTO uploads_gone (place, bucket) VALUES (OLD.place, COALESCE(OLD.bucket, ''));
END;
