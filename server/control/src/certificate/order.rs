//! Orders: which names, at which authority, when the queue lets them go, and what a failure teaches.
//!
//! A domain that wants a certificate stands in the queue that the store keeps; its own look asks the plan ([`super::plan`])
//! whether it goes now, and places the order at once if so. Nothing is spent before the pre-flight ([`super::preflight`]).

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use store::{AuthorityRow, DomainRow, Planned, QueueRow, QueueView, Since, SpentRow};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::desk::Desk;
use super::plan::{Spent, Verdict, Waiting, Why, pause_seconds, plan, priority};
use super::preflight::{Preflight, preflight};
use super::renewal::Renewal;
use super::{ORDERED, Priority, inspect};
use crate::domain::{Choices, Memory, OrderMemory, state_of};
use crate::error::Result;
use crate::event::EventKind;
use crate::findings::covers;
use crate::observe::Observation;
use crate::outside::{
    IssueError, IssueRequest, Issued, IssuerInfo, KeyChoice, PendingOrder, ZoneChange,
};
use crate::permission::Operation;
use crate::records::{DesiredRecord, Mode, certified};
use crate::suffix::registrable;
use crate::time::{DAY, plus};
use crate::{Actor, Control, rollover};

/// Longest time an order may take before it is given up, and resumed later.
const ORDER_SECONDS: u64 = 180;
/// An order under way for longer belongs to a node that died.
const ABANDONED_SECONDS: i64 = 300;
/// Orders that a plan looks at; who stands further back is told to come again.
const LINE: u32 = 500;
/// Failures in a row after which an order goes to the next authority.
const PATIENCE: u32 = 3;
/// A name that the authority refused is left out for so long (µs), and then tried again.
const LEFT_OUT: i64 = DAY;
/// Longest rest from an authority that does not answer, in seconds.
const OUTAGE_SECONDS: i64 = 3600;

/// What a look did about the certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ordered {
    /// There is a new one.
    pub issued: bool,
    /// The queue wants to be asked again then.
    pub again: Option<Timestamp>,
}

impl Control {
    /// Orders a certificate if one is due, nothing is in the way and the queue lets it go. Called by the worker, which has just
    /// looked: the records and CAA are known, so nothing is spent on an order that must fail (ACME-09).
    pub(crate) async fn order(
        &self,
        row: &DomainRow,
        desired: &[DesiredRecord],
        seen: &Observation,
        memory: &mut OrderMemory,
    ) -> Result<Ordered> {
        let now = self.now();
        let choices = Choices::of(row);
        let asked = choices.order_wanted > memory.tried;
        let orders = Mode::parse(&row.mode).is_some_and(Mode::orders) && state_of(row).is_served();
        if !orders {
            self.unqueue(row, memory).await?;
            return Ok(Ordered::default());
        }
        if asked || now.0 >= memory.left_out_until {
            memory.left_out.clear();
        }
        let known = self.store().authority_list().await?;
        let facts = self.facts_of(row, &Memory::of(row));
        let certified = certified(&facts, self.settings());
        let method = facts.mode.method().unwrap_or_default();
        let look = |issuer: &IssuerInfo| {
            let at = (issuer, now);
            preflight(&certified, method, desired, seen, at, &memory.left_out)
        };
        let (issuer, mut ready) = choose(
            &self.parts.issuer.authorities(),
            &known,
            memory.failures,
            now,
            look,
        );
        // The domain comes first, so it is never cut off.
        let most = self.settings().authority_limits.names as usize;
        if most > 0 {
            ready.names.truncate(most);
        }
        memory.blocked = ready
            .blocked
            .iter()
            .map(|(name, why)| (name.to_string(), why.clone()))
            .collect();
        let kept = rollover::held(self, row).await?;
        let another_key = kept.needs_another_key(&choices);
        let current = self.latest_facts(row, &kept);
        let due = match &current {
            Some((facts, due)) => {
                let lacking = ready.names.iter().any(|name| {
                    !facts
                        .names
                        .iter()
                        .any(|held| covers(held, &name.to_ascii()))
                });
                asked || another_key || *due || !facts.covers_domain || lacking
            }
            None => true,
        };
        if ready.names.is_empty() || !due {
            self.unqueue(row, memory).await?;
            return Ok(Ordered::default());
        }
        let times = current
            .as_ref()
            .filter(|(facts, _)| facts.covers_domain)
            .map(|(facts, _)| (facts.not_before, facts.not_after));
        let renewal = another_key || current.as_ref().is_some_and(|(_, due)| *due);
        // Announced by the authority itself: it does not count the order (RFC 9773 5).
        let replaces = kept
            .latest()
            .map(|(_, held)| held)
            .filter(|held| held.source == ORDERED && held.authority == issuer.directory)
            .filter(|held| renewal && Renewal::of(held).window.is_some())
            .map(|held| held.chain_pem.clone());
        let given_up = kept
            .latest()
            .is_some_and(|(held, _)| choices.given_up_keys.contains(&held.key));
        let urgency = if given_up {
            Priority::First
        } else {
            priority(times, renewal, now)
        };
        let entry = QueueRow {
            domain: row.id,
            tenant: row.tenant,
            priority: urgency.number(),
            due: Timestamp(memory.wanted_since.get_or_insert(now.0).to_owned()),
            deadline: times.map(|(_, not_after)| not_after),
            names: ready
                .names
                .iter()
                .map(|name| name.to_ascii().into_owned())
                .collect(),
            registered: registered(&row.name),
            name_set: name_set(&ready.names),
            authority: issuer.directory.clone(),
            exempt: replaces.is_some(),
            failures: memory.failures,
            // Whoever asks does not wait for the pause; the authority's limits hold all the same.
            not_before: if asked {
                now
            } else {
                Timestamp(memory.not_before)
            },
            started: None,
            wait_until: None,
            why: String::new(),
        };
        self.store().queue_put(&entry).await?;
        memory.queued = true;
        if let Planned::Wait { until, why } = self.admit(&entry, asked).await? {
            tracing::debug!(domain = %row.name, why, "an order waits");
            return Ok(Ordered {
                issued: false,
                again: Some(until),
            });
        }
        let issued = self.place(row, &entry, ready, replaces, memory).await?;
        Ok(Ordered {
            issued,
            again: (!issued).then_some(Timestamp(memory.not_before)),
        })
    }

    /// Asks the plan whether this order goes now, and takes what it needs if so.
    async fn admit(&self, entry: &QueueRow, asked: bool) -> Result<Planned> {
        let now = self.now();
        let limits = self.settings().authority_limits;
        let since = Since {
            orders: limits.orders.since(now),
            certificates: limits
                .registered
                .since(now)
                .min(limits.duplicates.since(now)),
            failures: limits.failures.since(now),
        };
        let (domain, authority) = (entry.domain, entry.authority.clone());
        let decide = move |view: &QueueView| {
            // Whoever asks may try whether an outage is over. Where the authority itself has asked to be left alone, nobody may.
            let told = view
                .authorities
                .iter()
                .find(|known| known.directory == authority)
                .filter(|known| !(asked && known.down_since.is_some()))
                .map_or(Timestamp(0), |known| known.not_before);
            let line = line_at(&view.waiting, &authority);
            let spent = spent_at(&view.spent, &authority);
            let verdicts = plan(&line, &spent, &limits, told, now);
            let own = verdicts.iter().find(|(id, _)| *id == domain);
            match own.map(|(_, verdict)| *verdict) {
                Some(Verdict::Start) => Planned::Start(
                    line.iter()
                        .find(|order| order.domain == domain && !order.exempt)
                        .map(|_| counted(&authority, "order", "", now))
                        .into_iter()
                        .collect(),
                ),
                Some(Verdict::Wait { until, why }) => Planned::Wait {
                    until,
                    why: why.as_str().into(),
                },
                // It is under way elsewhere, or stands behind more than a plan looks at.
                None => Planned::Wait {
                    until: plus(now, 600),
                    why: Why::Turn.as_str().into(),
                },
            }
        };
        let abandoned = plus(now, -ABANDONED_SECONDS);
        Ok(self
            .store()
            .queue_plan(entry.domain, now, abandoned, since, LINE, decide)
            .await?)
    }

    /// Places the order, keeps what came of it. `true`: there is a new certificate.
    async fn place(
        &self,
        row: &DomainRow,
        entry: &QueueRow,
        ready: Preflight,
        replaces: Option<String>,
        memory: &mut OrderMemory,
    ) -> Result<bool> {
        let store = self.domain_store(row);
        let choices = Choices::of(row);
        let kept = rollover::held(self, row).await?;
        let key = kept
            .key_to_keep(&choices, ORDERED, self.now(), &store)
            .await?;
        let resume = store.order_get().await?.map(|order| PendingOrder {
            authority: order.authority,
            url: order.url,
            key_pem: order.key_pem.as_str().into(),
            csr_der: order.csr,
        });
        memory.tried = self.now().0;
        let facts = self.facts_of(row, &Memory::of(row));
        if facts.mode == Mode::DelegatedChallenge {
            // What an order left behind that broke off, here or on a node that died. If the zone cannot be reached, the order says so.
            let name = facts.challenge(self.settings());
            let _ = self.parts.zone.apply(&[ZoneChange::Erase { name }]).await;
        }
        let desk = Desk {
            control: self,
            row,
            challenge: facts.challenge(self.settings()),
            names: ready.names.clone(),
        };
        let request = IssueRequest {
            domain_id: row.id.0,
            names: ready.names,
            authority: entry.authority.clone(),
            methods: ready.methods,
            key: key.map_or(KeyChoice::New, KeyChoice::Keep),
            replaces,
            // An order at another authority is not this one's; it lapses there.
            resume: resume
                .filter(|order| order.authority.is_empty() || order.authority == entry.authority)
                // Its key may be the one that is given up.
                .filter(|_| !kept.needs_another_key(&choices)),
        };
        let answer = tokio::time::timeout(
            Duration::from_secs(ORDER_SECONDS),
            self.parts.issuer.issue(request, &desk),
        )
        .await;
        let failure = match answer {
            Ok(Ok(issued)) => {
                match inspect(&issued.chain_pem, &issued.key_pem, &row.name, self.now()) {
                    Ok(inspected) => {
                        let ahead = self.is_awaited(row).await?;
                        let recorded = self.recorded_of(
                            &Actor::system("worker"),
                            row,
                            Operation::CertificateOrder,
                            &inspected.fingerprint,
                        );
                        self.install(&recorded, row, &inspected, ORDERED, ahead)
                            .await?;
                        self.order_done(row, entry, &issued).await?;
                        store.order_clear().await?;
                        *memory = OrderMemory {
                            tried: memory.tried,
                            left_out: std::mem::take(&mut memory.left_out),
                            left_out_until: memory.left_out_until,
                            blocked: std::mem::take(&mut memory.blocked),
                            ..OrderMemory::default()
                        };
                        return Ok(true);
                    }
                    Err(error) => {
                        IssueError::Refused(format!("what it issued cannot be used: {error}"))
                    }
                }
            }
            Ok(Err(error)) => error,
            // The order stays stored: the next attempt resumes it.
            Err(_) => IssueError::Unavailable("no certificate in time".into()),
        };
        tracing::warn!(domain = %row.name, error = %failure, "no certificate");
        if !matches!(failure, IssueError::Unavailable(_)) {
            store.order_clear().await?;
        }
        self.order_failed(row, entry, &failure, memory).await?;
        self.tell(row, EventKind::Certificate);
        Ok(false)
    }

    /// Counts what was issued, and leaves the queue.
    async fn order_done(&self, row: &DomainRow, entry: &QueueRow, issued: &Issued) -> Result<()> {
        let now = self.now();
        // Made ahead or in use: it is the newest.
        let rows = self.domain_store(row).certificate_list().await?;
        if let Some(held) = rows.first() {
            self.domain_store(row)
                .certificate_set_authority(held.id, &issued.authority)
                .await?;
        }
        if !issued.announced {
            let mut rows = vec![
                counted(&entry.authority, "certificate", &entry.registered, now),
                counted(&entry.authority, "certificate", &entry.name_set, now),
            ];
            // It was thought not to be counted, and was.
            if entry.exempt {
                rows.push(counted(&entry.authority, "order", "", now));
            }
            self.store().spent_add(&rows).await?;
        }
        self.store().queue_remove(row.id).await?;
        self.authority_heard(&entry.authority, None).await
    }

    /// Keeps what a failed order taught: when to try again, which optional names to leave out, and what the authority counts.
    async fn order_failed(
        &self,
        row: &DomainRow,
        entry: &QueueRow,
        failure: &IssueError,
        memory: &mut OrderMemory,
    ) -> Result<()> {
        let pace = self.settings().pace;
        let now = self.now();
        memory.failures = memory.failures.saturating_add(1);
        let jitter = spread(row).wrapping_mul(u64::from(memory.failures) + 1);
        let mut pause = pause_seconds(pace.order_pause_seconds, memory.failures, jitter);
        match failure {
            IssueError::Names(refused) => {
                let counts: Vec<SpentRow> = refused
                    .iter()
                    .map(|refused| {
                        counted(&entry.authority, "failure", &refused.name.to_ascii(), now)
                    })
                    .collect();
                self.store().spent_add(&counts).await?;
                let optional: Vec<_> = refused
                    .iter()
                    .filter(|refused| refused.name != row.name)
                    .map(|refused| refused.name.to_string())
                    .collect();
                // One failing service never blocks the domain: leave it out, and try again soon.
                if optional.len() == refused.len()
                    && optional.iter().any(|name| !memory.left_out.contains(name))
                {
                    pause = pace.order_pause_seconds.min(60);
                }
                for name in optional {
                    memory.left_out_until = now.0 + LEFT_OUT;
                    if !memory.left_out.contains(&name) {
                        memory.left_out.push(name);
                    }
                }
            }
            IssueError::RateLimited {
                wait_seconds,
                account,
            } => {
                let wait = u32::try_from(*wait_seconds).unwrap_or(86_400);
                pause = pause.max(wait);
                if *account {
                    self.authority_heard(&entry.authority, Some((failure, plus(now, wait), false)))
                        .await?;
                }
            }
            IssueError::Unavailable(_) => {
                let down = self.down_for(&entry.authority).await?;
                let first = i64::from(pace.order_pause_seconds.min(300));
                let rest = down.clamp(first.min(OUTAGE_SECONDS), OUTAGE_SECONDS);
                self.authority_heard(&entry.authority, Some((failure, plus(now, rest), true)))
                    .await?;
            }
            IssueError::Challenge(_) | IssueError::Refused(_) => {}
        }
        memory.not_before = plus(now, pause).0;
        memory.said = failure.to_string();
        self.store()
            .queue_rest(
                row.id,
                memory.failures,
                Timestamp(memory.not_before),
                Why::BackOff.as_str(),
            )
            .await?;
        Ok(())
    }

    /// How long an authority has not answered, in seconds.
    async fn down_for(&self, directory: &str) -> Result<i64> {
        let known = self.store().authority_list().await?;
        Ok(known
            .iter()
            .find(|known| known.directory == directory)
            .and_then(|known| known.down_since)
            .map_or(0, |since| (self.now().0 - since.0) / crate::time::SECOND))
    }

    /// Remembers how an authority does: `None`, well; else what it said, until when it is left alone, and whether it is down.
    async fn authority_heard(
        &self,
        directory: &str,
        trouble: Option<(&IssueError, Timestamp, bool)>,
    ) -> Result<()> {
        let known = self.store().authority_list().await?;
        let before = known
            .into_iter()
            .find(|known| known.directory == directory)
            .unwrap_or_else(|| AuthorityRow {
                directory: directory.to_owned(),
                offers: "{}".into(),
                ..AuthorityRow::default()
            });
        let mut after = before.clone();
        match trouble {
            None => {
                after.down_since = None;
                after.not_before = Timestamp(0);
                after.said.clear();
            }
            Some((said, until, down)) => {
                after.not_before = until;
                after.said = said.to_string();
                // What asks us to wait does answer.
                after.down_since = down.then(|| after.down_since.unwrap_or(self.now()));
            }
        }
        if after != before {
            self.store().authority_set(&after).await?;
        }
        Ok(())
    }

    /// Leaves the queue, if it stands in it.
    async fn unqueue(&self, row: &DomainRow, memory: &mut OrderMemory) -> Result<()> {
        memory.wanted_since = None;
        if std::mem::take(&mut memory.queued) {
            self.store().queue_remove(row.id).await?;
        }
        Ok(())
    }
}

/// The authority that an order goes to, and what may be ordered there: the preferred one, or after failures or in its outage
/// the next that the DNS allows.
fn choose(
    authorities: &[IssuerInfo],
    known: &[AuthorityRow],
    failures: u32,
    now: Timestamp,
    look: impl Fn(&IssuerInfo) -> Preflight,
) -> (IssuerInfo, Preflight) {
    let count = authorities.len().max(1);
    let turn = usize::try_from(failures / PATIENCE).unwrap_or(0) % count;
    let down = |issuer: &IssuerInfo| {
        known.iter().any(|known| {
            known.directory == issuer.directory
                && known.down_since.is_some()
                && known.not_before > now
        })
    };
    let mut order: Vec<&IssuerInfo> = authorities
        .iter()
        .cycle()
        .skip(turn)
        .take(authorities.len())
        .collect();
    order.sort_by_key(|issuer| down(issuer));
    let mut looked: Vec<(IssuerInfo, Preflight)> = order
        .into_iter()
        .map(|issuer| (issuer.clone(), look(issuer)))
        .collect();
    let best = looked
        .iter()
        .position(|(_, ready)| !ready.names.is_empty())
        .unwrap_or(0);
    if looked.is_empty() {
        return Default::default();
    }
    looked.swap_remove(best)
}

fn counted(authority: &str, kind: &str, subject: &str, at: Timestamp) -> SpentRow {
    SpentRow {
        authority: authority.to_owned(),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        at,
    }
}

/// The line at one authority, as the plan takes it.
fn line_at(rows: &[QueueRow], authority: &str) -> Vec<Waiting> {
    rows.iter()
        .filter(|row| row.authority == authority)
        .map(|row| Waiting {
            domain: row.domain,
            tenant: row.tenant,
            priority: Priority::of(row.priority),
            due: row.due,
            deadline: row.deadline,
            names: row.names.clone(),
            registered: row.registered.clone(),
            name_set: row.name_set.clone(),
            exempt: row.exempt,
            not_before: row.not_before,
            started: row.started.is_some(),
        })
        .collect()
}

/// What has been spent at one authority, as the plan takes it.
fn spent_at(rows: &[SpentRow], authority: &str) -> Spent {
    let mut rows: Vec<&SpentRow> = rows
        .iter()
        .filter(|row| row.authority == authority)
        .collect();
    rows.sort_by_key(|row| row.at);
    let mut spent = Spent::default();
    for row in rows {
        let times = match row.kind.as_str() {
            "order" => &mut spent.orders,
            "certificate" => spent.certificates.entry(row.subject.clone()).or_default(),
            "failure" => spent.failures.entry(row.subject.clone()).or_default(),
            _ => continue,
        };
        times.push(row.at);
    }
    spent
}

/// The registered domain, by which authorities count; the name itself where there is none.
fn registered(name: &DomainName) -> String {
    let ascii = name.to_ascii();
    registrable(&ascii).unwrap_or(&ascii).to_owned()
}

/// A digest of the names, whatever their order.
fn name_set(names: &[DomainName]) -> String {
    let mut ascii: Vec<_> = names.iter().map(|name| name.to_ascii()).collect();
    ascii.sort();
    data_encoding::HEXLOWER.encode(&Sha256::digest(ascii.join(",")))
}

/// A number of the domain's own, for spreading renewals.
pub(crate) fn spread(row: &DomainRow) -> u64 {
    let digest = Sha256::digest(row.label.as_bytes());
    u64::from(u16::from_be_bytes([digest[0], digest[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(directory: &str) -> IssuerInfo {
        IssuerInfo {
            directory: directory.into(),
            ..IssuerInfo::default()
        }
    }

    fn passes() -> Preflight {
        Preflight {
            names: vec![DomainName::parse("example.com").unwrap()],
            ..Preflight::default()
        }
    }

    #[test]
    fn the_second_authority_is_for_failures_and_outages_of_the_first_and_only_where_caa_allows_it()
    {
        let both = [issuer("one"), issuer("two")];
        let now = Timestamp(10 * DAY);
        let chosen = |known: &[AuthorityRow], failures, allowed: &str| {
            let look = |issuer: &IssuerInfo| {
                if allowed.contains(&issuer.directory) {
                    passes()
                } else {
                    Preflight::default()
                }
            };
            choose(&both, known, failures, now, look).0.directory
        };
        let down = |until: Timestamp| {
            [AuthorityRow {
                directory: "one".into(),
                down_since: Some(Timestamp(0)),
                not_before: until,
                ..AuthorityRow::default()
            }]
        };
        assert_eq!(chosen(&[], 0, "one two"), "one");
        assert_eq!(chosen(&[], 2, "one two"), "one");
        assert_eq!(chosen(&[], 3, "one two"), "two");
        assert_eq!(chosen(&[], 6, "one two"), "one", "and back again");
        assert_eq!(chosen(&down(plus(now, 60)), 0, "one two"), "two");
        assert_eq!(chosen(&down(now), 0, "one two"), "one", "it is tried again");
        assert_eq!(
            chosen(&[], 3, "one"),
            "one",
            "CAA does not allow the second"
        );
        assert_eq!(chosen(&down(plus(now, 60)), 0, "one"), "one");
        let nobody = choose(&[], &[], 0, now, |_| passes());
        assert!(nobody.1.names.is_empty());
    }

    #[test]
    fn authorities_count_by_registered_domain_and_by_set_of_names() {
        let name = |text: &str| DomainName::parse(text).unwrap();
        assert_eq!(
            registered(&name("chat.shop.example.co.uk")),
            "example.co.uk"
        );
        assert_eq!(
            registered(&name("b\u{fc}cher.example")),
            "xn--bcher-kva.example"
        );
        let set =
            |names: &[&str]| name_set(&names.iter().map(|text| name(text)).collect::<Vec<_>>());
        assert_eq!(
            set(&["a.example", "b.example"]),
            set(&["b.example", "a.example"])
        );
        assert_ne!(set(&["a.example"]), set(&["a.example", "b.example"]));
    }
}
