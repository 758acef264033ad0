//! Names in the platform's zone that nobody owns: left behind by a crash between two steps, or by a database that was restored
//! from before they were taken away.
//!
//! The zone is read as it stands, then every name that is spelled as ours are is looked up among the domains. A name is ours by
//! its form only, and an operator may have names of a like form in the same zone: so a name is taken away only where all that
//! stands there is of the kinds that we write, and its addresses are ours; and it is shown before. Refuses: anything outside
//! [`PlatformSettings::platform_zone`](crate::PlatformSettings).

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::outside::{ZoneChange, ZoneName};
use crate::permission::Operation;
use crate::time::{DAY, HOUR};
use crate::{Actor, Control};

/// Letters of a domain's label ([`crate::password::token`] of five bytes).
const LABEL_LETTERS: usize = 8;
/// The worker looks this often; a zone that cannot be read is tried again sooner.
const WATCHED: i64 = DAY;
const TRIED_AGAIN: i64 = HOUR;
/// Names told in a line of the log.
const NAMED: usize = 5;
/// Names taken away in one update: each takes some 50 bytes of at most 64 KiB.
const AT_ONCE: usize = 500;

/// A name that nobody owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// Absolute, without the last dot.
    pub name: String,
    /// What stands there: type and value, as zone files write them.
    pub records: Vec<(String, String)>,
    /// Why it is left alone; empty: it is ours to take away.
    pub kept: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneCheck {
    /// Below which name domains have theirs.
    pub zone: String,
    /// Names of hosted domains and claims.
    pub owned: usize,
    /// Names that nobody owns.
    pub orphans: Vec<Orphan>,
    /// They have been taken away, but for those that are left alone.
    pub repaired: bool,
}

/// What of ours a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The host that SRV records lead to.
    Target,
    /// Where challenges are shown.
    Challenge,
    /// A TLSA set.
    Tlsa,
}

impl Part {
    /// Types that we write there.
    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Target => &["A", "AAAA"],
            Self::Challenge => &["TXT"],
            Self::Tlsa => &["TLSA"],
        }
    }
}

/// The label of a name that is spelled as ours are, and what it is; `None`: it is somebody else's.
fn ours<'a>(name: &'a str, zone: &str) -> Option<(&'a str, Part)> {
    let rest = name.strip_suffix(zone)?.strip_suffix('.')?;
    let parts: Vec<&str> = rest.split('.').collect();
    let (label, part) = match *parts {
        [label] => (label, Part::Target),
        [label, "_acme"] => (label, Part::Challenge),
        [port, "_tcp", label] => {
            let port = port.strip_prefix('_')?;
            port.parse::<u16>().ok()?;
            (label, Part::Tlsa)
        }
        _ => return None,
    };
    let drawn = label.len() == LABEL_LETTERS
        && label
            .bytes()
            .all(|letter| matches!(letter, b'a'..=b'z' | b'2'..=b'7'));
    drawn.then_some((label, part))
}

/// Why a name of our form is left alone.
fn kept(found: &ZoneName, part: Part, addresses: &[IpAddr]) -> &'static str {
    let written = part.types();
    if found
        .records
        .iter()
        .any(|(kind, _)| !written.contains(&kind.as_str()))
    {
        return "something stands there that is never written here";
    }
    let here = |value: &str| {
        let address = value.parse::<IpAddr>();
        address.is_ok_and(|address| addresses.contains(&address))
    };
    if part == Part::Target && found.records.iter().any(|(_, value)| !here(value)) {
        return "an address stands there that is not this service's";
    }
    ""
}

/// What the worker found when it last looked.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    again: Option<Timestamp>,
    orphans: Option<u64>,
}

impl Control {
    /// Names of the platform's zone that nobody owns and that are ours to take away, as the worker last found them; `None`: it has
    /// not looked yet, or cannot.
    pub(crate) fn zone_orphans(&self) -> Option<u64> {
        let seen = self.zone_watch.0.lock();
        seen.unwrap_or_else(PoisonError::into_inner).orphans
    }

    /// Looks once a day, and only looks: what it finds is in the log, on the operators' first page and in a metric.
    pub(crate) async fn zone_look(&self) {
        let now = self.now();
        {
            let mut seen = self
                .zone_watch
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if seen.again.is_some_and(|again| now < again) {
                return;
            }
            seen.again = Some(Timestamp(now.0.saturating_add(TRIED_AGAIN)));
        }
        let found = match self.zone_check(&Actor::system("worker"), false).await {
            Ok(found) => found,
            Err(error) => {
                // A zone that is not to be transferred to us is no fault: whoever wants to know allows it.
                tracing::info!(error = %error.log_text(), "the platform's zone cannot be read whole, so names that nobody owns are not looked for");
                return;
            }
        };
        let ours = found.orphans.iter().filter(|orphan| orphan.kept.is_empty());
        let names: Vec<&str> = ours.map(|orphan| orphan.name.as_str()).collect();
        if !names.is_empty() {
            let some = names.get(..NAMED).unwrap_or(&names).join(", ");
            tracing::warn!(count = names.len(), names = %some, "names in the platform's zone that nobody owns: look with \"domicile zone check\"");
        }
        self.zone_counted(names.len() as u64);
    }

    fn zone_counted(&self, orphans: u64) {
        let mut seen = self
            .zone_watch
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        seen.again = Some(Timestamp(self.now().0.saturating_add(WATCHED)));
        seen.orphans = Some(orphans);
        drop(seen);
        self.parts.live.zone_orphans(orphans);
    }

    /// Looks for names in the platform's zone that no domain owns. With `repair` those that are ours to take away are taken away.
    ///
    /// The zone is read first and the domains after it: a domain has its row before it has its names, so what comes meanwhile is
    /// never taken for an orphan.
    pub async fn zone_check(&self, actor: &Actor, repair: bool) -> Result<ZoneCheck> {
        let operation = match repair {
            true => Operation::ZoneRepair,
            false => Operation::ZoneCheck,
        };
        let settings = self.settings();
        actor.check(operation, None, "zone", &settings.platform_zone)?;
        let mut check = ZoneCheck {
            zone: settings.platform_zone.clone(),
            owned: 0,
            orphans: Vec::new(),
            repaired: false,
        };
        for found in self.parts.zone.names().await? {
            let Some((label, part)) = ours(&found.name, &settings.platform_zone) else {
                continue;
            };
            if self.store().domain_find_label(label).await?.is_some() {
                check.owned += 1;
                continue;
            }
            check.orphans.push(Orphan {
                kept: kept(&found, part, &settings.addresses).to_owned(),
                name: found.name,
                records: found.records,
            });
        }
        if repair {
            self.announced_here(actor, operation, &check.zone).await?;
            let gone: Vec<&Orphan> = check
                .orphans
                .iter()
                .filter(|orphan| orphan.kept.is_empty())
                .collect();
            for some in gone.chunks(AT_ONCE) {
                for orphan in some {
                    self.announced_here(actor, operation, &orphan.name).await?;
                }
                let changes: Vec<_> = some
                    .iter()
                    .map(|orphan| ZoneChange::Erase {
                        name: orphan.name.clone(),
                    })
                    .collect();
                self.parts.zone.apply(&changes).await?;
            }
            check.repaired = true;
            self.zone_counted(0);
        }
        Ok(check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_form_are_ours() {
        let zone = "on.hosting.example";
        let check = |name: &str, expected| assert_eq!(ours(name, zone), expected, "{name}");
        check(
            "abcdefg2.on.hosting.example",
            Some(("abcdefg2", Part::Target)),
        );
        check(
            "abcdefg2._acme.on.hosting.example",
            Some(("abcdefg2", Part::Challenge)),
        );
        check(
            "_5269._tcp.abcdefg2.on.hosting.example",
            Some(("abcdefg2", Part::Tlsa)),
        );
        for other in [
            "on.hosting.example",
            "abcdefg2.hosting.example",
            "abcdefg2.on.hosting.example.net",
            "abcdefg2xon.hosting.example",
            "panel.on.hosting.example",
            "abcdefg1.on.hosting.example",
            "abcdefg22.on.hosting.example",
            "a.abcdefg2.on.hosting.example",
            "_x._tcp.abcdefg2.on.hosting.example",
            "_99999._tcp.abcdefg2.on.hosting.example",
            "_25._udp.abcdefg2.on.hosting.example",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn what_is_not_written_here_is_left_alone() {
        let addresses = [[192, 0, 2, 1].into()];
        let check = |part, records: &[(&str, &str)], alone: bool| {
            let found = ZoneName {
                name: "n".into(),
                records: records
                    .iter()
                    .map(|(kind, value)| ((*kind).to_owned(), (*value).to_owned()))
                    .collect(),
            };
            let why = kept(&found, part, &addresses);
            assert_eq!(!why.is_empty(), alone, "{records:?}: {why}");
        };
        check(Part::Target, &[("A", "192.0.2.1")], false);
        check(
            Part::Target,
            &[("A", "192.0.2.1"), ("A", "192.0.2.7")],
            true,
        );
        check(Part::Target, &[("A", "192.0.2.1"), ("MX", "10 m.")], true);
        check(Part::Target, &[("CNAME", "x.")], true);
        check(Part::Challenge, &[("TXT", "\"x\"")], false);
        check(Part::Challenge, &[("A", "192.0.2.1")], true);
        check(Part::Tlsa, &[("TLSA", "3 1 1 00")], false);
    }
}
