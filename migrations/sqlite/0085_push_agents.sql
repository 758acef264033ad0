-- Whose registration it is (XEP-0357): the client's own name for itself (XEP-0388 2.3), so that whoever signs it out ends the
-- registration with it, whatever resources it has had. NULL: it has said none, or an earlier version has written this.

ALTER TABLE push_registrations ADD COLUMN agent TEXT;
