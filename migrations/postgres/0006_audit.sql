-- What the audit log says is found by domain; API tokens reach no further than they must; an edit of a customer that was made
-- on an older row is refused.

ALTER TABLE audit ADD COLUMN domain TEXT COLLATE "C" NOT NULL DEFAULT ''; -- U-labels; empty: of no single domain
UPDATE audit SET domain = object
    WHERE (operation LIKE 'domain.%' AND operation <> 'domain.import') OR operation LIKE 'certificate.%'
       OR operation LIKE 'peer.%' OR operation = 'account.import';
UPDATE audit SET domain = SUBSTR(object, POSITION('@' IN object) + 1)
    WHERE operation LIKE 'account.%' AND operation <> 'account.import' AND POSITION('@' IN object) > 0;
CREATE INDEX audit_domain ON audit (tenant, domain, id);

ALTER TABLE api_tokens ADD COLUMN domains TEXT NOT NULL DEFAULT '[]'; -- JSON, U-labels; none: every domain
ALTER TABLE api_tokens ADD COLUMN operations TEXT NOT NULL DEFAULT '[]'; -- JSON; none: whatever its owner may do
ALTER TABLE api_tokens ADD COLUMN used_at BIGINT;

ALTER TABLE tenants ADD COLUMN revision BIGINT NOT NULL DEFAULT 0; -- counts edits
