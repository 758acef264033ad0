//! Many domains at once, as they move here together from another service.

use serde::Serialize;
use store::{DomainRow, Identity, Store, TenantId};
use xmpp::timestamp::Timestamp;

use super::State;
use crate::certificate::{CertificateUpload, Inspected, inspect};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::permission::Operation;
use crate::records::Mode;
use crate::time::plus;
use crate::{Actor, Control, csv, password};

/// Domains that go in together.
const CHUNK: usize = 500;
/// First looks at imported domains in a second: their name servers are others' too.
const LOOKS_PER_SECOND: usize = 5;
/// Draws of a label, which is the only thing here that chance can take away.
const DRAWS: usize = 3;

/// A domain to import.
#[derive(Debug)]
pub struct DomainImport {
    /// Line of the file, from 1.
    pub line: usize,
    /// In any spelling.
    pub domain: String,
    /// Its certificate, which is then used until the owner chooses otherwise.
    pub certificate: Option<CertificateUpload>,
}

/// What came of an import.
#[derive(Debug, Default, Serialize)]
pub struct DomainsImported {
    /// Domains that came.
    pub added: usize,
    /// Lines that did not become one.
    pub refused: Vec<DomainRefused>,
}

/// A line that did not become a domain.
#[derive(Debug, Serialize)]
pub struct DomainRefused {
    /// Line of the file, from 1.
    pub line: usize,
    /// As written.
    pub domain: String,
    /// Why.
    pub problem: String,
}

/// A line that can become a domain.
struct Ready {
    line: usize,
    row: DomainRow,
    certificate: Option<Inspected>,
}

/// Reads lines of `domain` or `domain,chain,key`; `read` gives the text of the file that a line names. A header line is passed
/// over.
pub fn import_rows(
    text: &str,
    read: impl Fn(&str) -> std::result::Result<String, String>,
) -> Vec<std::result::Result<DomainImport, DomainRefused>> {
    let mut rows = Vec::new();
    for (line, raw) in csv::lines(text) {
        let fields = csv::fields(raw).unwrap_or_default();
        let field = |n: usize| fields.get(n).map_or("", |field| field.trim());
        let domain = field(0).to_owned();
        if rows.is_empty() && domain.eq_ignore_ascii_case("domain") {
            continue;
        }
        let certificate = match (fields.len(), field(1), field(2)) {
            (1, ..) | (2 | 3, "", "") => Ok(None),
            (3, chain, key) if !chain.is_empty() && !key.is_empty() => read(chain)
                .and_then(|chain| Ok((chain, read(key)?)))
                .map(|(chain_pem, key)| {
                    Some(CertificateUpload {
                        chain_pem,
                        key_pem: key.into(),
                    })
                }),
            _ => Err("a line is a domain, or a domain and the files of chain and key".to_owned()),
        };
        rows.push(match certificate {
            Ok(certificate) => Ok(DomainImport {
                line,
                domain,
                certificate,
            }),
            Err(problem) => Err(DomainRefused {
                line,
                domain,
                problem,
            }),
        });
    }
    rows
}

impl Control {
    /// Adds thousands of domains to a tenant. With `proven` their ownership is taken on the platform's word, as when they are
    /// served elsewhere already: they are served from now on, and the usual grace holds until their owners have published the
    /// token. A line that cannot be used is reported, the others go in.
    pub async fn domain_import(
        &self,
        actor: &Actor,
        tenant: i64,
        domains: Vec<DomainImport>,
        proven: bool,
    ) -> Result<DomainsImported> {
        let tenant = self
            .tenant_row(actor, Operation::DomainImport, tenant)
            .await?;
        let limit = u64::from(self.limits_of(&tenant).domains);
        let used = self.store().domain_count(Some(tenant.id)).await?;
        if used + domains.len() as u64 > limit {
            return Err(ControlError::Limit {
                what: "domains",
                used,
                limit,
            });
        }
        let mut report = DomainsImported::default();
        // Each part is committed by itself, and its entry with it.
        let recorded = self.recorded(
            actor,
            Some(tenant.id),
            Operation::DomainImport,
            "",
            &tenant.name,
            if proven { "as proven, " } else { "" },
        );
        let recorded = recorded.within(limit);
        let mut chunk = Vec::new();
        for (index, domain) in domains.into_iter().enumerate() {
            match self.import_row(tenant.id, domain, proven, index).await {
                Ok(ready) => chunk.push(ready),
                Err(refused) => report.refused.push(refused),
            }
            if chunk.len() == CHUNK {
                self.import_chunk(&recorded, std::mem::take(&mut chunk), &mut report)
                    .await?;
            }
        }
        self.import_chunk(&recorded, chunk, &mut report).await?;
        report.refused.sort_by_key(|refused| refused.line);
        self.wake.notify_one();
        Ok(report)
    }

    async fn import_row(
        &self,
        tenant: TenantId,
        import: DomainImport,
        proven: bool,
        index: usize,
    ) -> std::result::Result<Ready, DomainRefused> {
        let DomainImport {
            line,
            domain,
            certificate,
        } = import;
        let refused = |error: ControlError| DomainRefused {
            line,
            domain: domain.clone(),
            problem: error.to_string(),
        };
        let name = self
            .usable_domain("domain", &domain)
            .await
            .map_err(refused)?;
        if certificate.is_some() && !proven {
            return Err(refused(ControlError::invalid(
                "certificate",
                "",
                "a certificate can be used once the domain is shown to be the customer's",
                "Import it as proven, or upload the certificate later.",
            )));
        }
        let now = self.now();
        let certificate = certificate
            .map(|given| inspect(&given.chain_pem, &given.key_pem, &name, now))
            .transpose()
            .map_err(refused)?;
        let mode = match &certificate {
            Some(_) => Mode::Uploaded,
            None => Mode::default(),
        };
        let state = if proven {
            State::Verified
        } else {
            State::Claimed
        };
        let row = DomainRow {
            mode: mode.as_str().into(),
            state: state.as_str().into(),
            verified_at: proven.then_some(now),
            next_check_at: Some(look_at(now, index)),
            ..self.new_row(tenant, &name)
        };
        Ok(Ready {
            line,
            row,
            certificate,
        })
    }

    async fn import_chunk(
        &self,
        recorded: &Store,
        mut chunk: Vec<Ready>,
        report: &mut DomainsImported,
    ) -> Result<()> {
        for _ in 0..DRAWS {
            let rows: Vec<_> = chunk
                .iter()
                .map(|ready| {
                    let identity = ready.certificate.as_ref().map(|inspected| {
                        let identity = Identity {
                            chain_pem: inspected.chain_pem.clone(),
                            key_pem: inspected.key_pem.expose().to_owned().into(),
                        };
                        (identity, inspected.facts.not_after)
                    });
                    (ready.row.clone(), identity)
                })
                .collect();
            let added = recorded.domain_import(&rows, self.now()).await?;
            let mut left = Vec::new();
            for (mut ready, added) in chunk.into_iter().zip(added) {
                let name = &ready.row.name;
                if added {
                    report.added += 1;
                    self.tell(&ready.row, EventKind::DomainAdded);
                } else if self.held(name).await?
                    || self
                        .store()
                        .domain_find(name)
                        .await?
                        .iter()
                        .any(|row| row.tenant == ready.row.tenant)
                {
                    report.refused.push(DomainRefused {
                        line: ready.line,
                        domain: name.to_string(),
                        problem: "it is here already".into(),
                    });
                } else {
                    ready.row.label = password::token(5).expose().to_owned();
                    left.push(ready);
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            chunk = left;
        }
        Err(ControlError::internal("no free label could be drawn"))
    }
}

fn look_at(now: Timestamp, index: usize) -> Timestamp {
    let seconds = i64::try_from(index / LOOKS_PER_SECOND).unwrap_or(i64::MAX / 2_000_000);
    plus(now, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_people_write_them() {
        let text = "domain,chain,key\n# moved\none.example\ntwo.example, two.pem ,two.key\nthree.example,,\n\
                    four.example,four.pem\nfive.example,gone.pem,five.key\n";
        let read = |name: &str| match name {
            "gone.pem" => Err("gone.pem: not there".to_owned()),
            name => Ok(format!("<{name}>")),
        };
        let rows: Vec<_> = import_rows(text, read)
            .into_iter()
            .map(|row| match row {
                Ok(row) => {
                    let files = row
                        .certificate
                        .map(|c| format!(" {} {}", c.chain_pem, c.key_pem.expose()));
                    format!("{} {}{}", row.line, row.domain, files.unwrap_or_default())
                }
                Err(refused) => format!("{} {}: {}", refused.line, refused.domain, refused.problem),
            })
            .collect();
        assert_eq!(
            rows,
            [
                "3 one.example",
                "4 two.example <two.pem> <two.key>",
                "5 three.example",
                "6 four.example: a line is a domain, or a domain and the files of chain and key",
                "7 five.example: gone.pem: not there",
            ]
        );
    }

    #[test]
    fn first_looks_are_spread() {
        let now = Timestamp(0);
        assert_eq!(look_at(now, LOOKS_PER_SECOND - 1), now);
        assert_eq!(look_at(now, 10 * LOOKS_PER_SECOND), plus(now, 10));
    }
}
