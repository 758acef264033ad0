-- Whether a person wants the nightly mail; who was here before has been getting it.
ALTER TABLE operators ADD COLUMN mail_nightly BOOLEAN NOT NULL DEFAULT TRUE;
