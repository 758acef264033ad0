-- Which bucket an object is in, by name: a configuration may come to name another, and what is in the first is not in the second.
ALTER TABLE uploads ADD COLUMN bucket TEXT; -- NULL: in the directory, or in the one that there was before this column
ALTER TABLE uploads_gone ADD COLUMN bucket TEXT NOT NULL DEFAULT ''; -- '': likewise

CREATE OR REPLACE FUNCTION uploads_go() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO uploads_gone (place, bucket) VALUES (OLD.place, COALESCE(OLD.bucket, '')) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
