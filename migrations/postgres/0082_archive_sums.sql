-- Who remembers how much each archive takes: the one row names the writer whose sums are right. Whoever else changes a sum
-- (an import, a count anew) sets another number in the same transaction, and what was remembered is read again.
CREATE TABLE archive_sums (remembers BIGINT NOT NULL);
INSERT INTO archive_sums (remembers) VALUES (0);
