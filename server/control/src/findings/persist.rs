//! Findings about the record that names our account at the authority (dns-persist-01, draft-ietf-acme-dns-persist): whom it
//! names, and until when.

use super::codes::*;
use super::{Finding, Severity, finding, subject};
use crate::observe::{Data, Observation, Rtype, SetView};
use crate::outside::IssuerInfo;
use crate::records::{DesiredRecord, DomainFacts, Mode, Purpose, RecordValue, txt_strings};
use crate::time::{DAY, SECOND};

/// A record that ends sooner is warned about.
const ENDS_SOON: i64 = 30 * DAY;

/// What such a record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Persist<'a> {
    /// Name of the authority.
    pub issuer: &'a str,
    /// Our account there.
    pub account: &'a str,
    /// It counts until then (µs).
    pub until: Option<i64>,
}

/// Reads one: the issue value of a CAA property (RFC 8659 4.2). What no authority would believe is none.
pub(crate) fn read(text: &str) -> Option<Persist<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let issuer = parts.next().filter(|issuer| !issuer.is_empty())?;
    let (mut account, mut until) = (None, None);
    for part in parts.filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=')?;
        match key.trim().to_ascii_lowercase().as_str() {
            "accounturi" => account = Some(value.trim()),
            "persistuntil" => {
                until = Some(value.trim().parse::<i64>().ok()?.saturating_mul(SECOND))
            }
            _ => {}
        }
    }
    Some(Persist {
        issuer,
        account: account?,
        until,
    })
}

/// Does what is there name the same authority and account as what is wanted? Until when is another question.
pub(super) fn same(wanted: &str, seen: &str) -> bool {
    match (read(wanted), read(seen)) {
        (Some(wanted), Some(seen)) => {
            wanted.issuer.eq_ignore_ascii_case(seen.issuer) && wanted.account == seen.account
        }
        _ => false,
    }
}

/// Would this authority believe one of these texts of ours now?
pub(crate) fn believes(issuer: &IssuerInfo, text: &str, now: i64) -> bool {
    let Some(persist) = read(text) else {
        return false;
    };
    let named = issuer
        .persistent
        .iter()
        .any(|name| name.eq_ignore_ascii_case(persist.issuer));
    named
        && issuer.account_uri.as_deref() == Some(persist.account)
        && persist.until.is_none_or(|until| until > now)
}

/// Nothing of ours is there: what is there instead?
pub(super) fn missing(record: &DesiredRecord, view: &SetView) -> Finding {
    let severity = if record.optional {
        Severity::Info
    } else {
        Severity::Critical
    };
    let RecordValue::Txt { text: wanted } = &record.value else {
        return super::dns::unknown(record, String::new());
    };
    let issuer = read(wanted).map(|persist| persist.issuer.to_ascii_lowercase());
    let answers = view.answers();
    let texts = answers
        .iter()
        .flat_map(|answered| answered.sight.data())
        .filter_map(|data| match data {
            Data::Txt(text) => Some(text.as_str()),
            _ => None,
        });
    // Somebody else's account at the same authority, or ours misspelled.
    let other = texts
        .into_iter()
        .find(|text| {
            let named = text.split(';').next().unwrap_or_default().trim();
            Some(named.to_ascii_lowercase()) == issuer
        })
        .map(str::to_owned);
    let (code, observed, fix) = match other {
        Some(text) => (
            ACME_PERSIST_WRONG,
            txt_strings(&text),
            format!(
                "Let a TXT record {} hold the text {}.",
                record.name, record.value_text
            ),
        ),
        None => (
            ACME_PERSIST_MISSING,
            super::seen_text(view),
            format!(
                "Publish a TXT record {} with the text {}.",
                record.name, record.value_text
            ),
        ),
    };
    finding(
        code,
        severity,
        subject(record),
        &record.value_text,
        &observed,
        &super::who(view),
        fix,
    )
}

/// What is wanted cannot be said, or what is there ends.
pub(super) fn persist(
    domain: &DomainFacts,
    desired: &[DesiredRecord],
    seen: &Observation,
    issuer: &IssuerInfo,
    now: i64,
) -> Vec<Finding> {
    if domain.mode != Mode::DnsPersist {
        return Vec::new();
    }
    if domain.persist.is_none() {
        return vec![finding(
            ACME_PERSIST_UNOFFERED,
            Severity::Critical,
            format!("order {}", domain.ascii()),
            "an authority that offers dns-persist-01",
            "it was not seen to offer it",
            &issuer.name,
            "Choose another way to obtain the certificate.".into(),
        )];
    }
    let standing = desired
        .iter()
        .filter(|record| record.purpose == Purpose::Persist);
    standing
        .filter_map(|record| {
            let RecordValue::Txt { text: wanted } = &record.value else {
                return None;
            };
            let view = seen.set(Rtype::Txt, &record.name)?;
            // At each server the record that counts longest.
            let ends = view.answers().into_iter().filter_map(|answered| {
                let data = answered.sight.data().iter();
                data.filter_map(|data| match data {
                    Data::Txt(text) if same(wanted, text) => {
                        Some(read(text)?.until.unwrap_or(i64::MAX))
                    }
                    _ => None,
                })
                .max()
            });
            let ends = ends.min()?;
            (ends < now.saturating_add(ENDS_SOON)).then(|| {
                let severity = match (record.optional, ends <= now) {
                    (true, _) => Severity::Info,
                    (false, true) => Severity::Critical,
                    (false, false) => Severity::Warning,
                };
                let at = xmpp::timestamp::Timestamp(ends).to_xep0082();
                finding(
                    ACME_PERSIST_ENDS,
                    severity,
                    subject(record),
                    "a record that does not end, or later than in 30 days",
                    &format!("persistUntil {at}"),
                    &super::who(view),
                    format!(
                        "Replace the text of {} by {}, without persistUntil.",
                        record.name, record.value_text
                    ),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "ca.example; accounturi=https://ca.example/acct/1";

    #[test]
    fn what_authorities_read_is_read() {
        let ours = Persist {
            issuer: "ca.example",
            account: "https://ca.example/acct/1",
            until: None,
        };
        assert_eq!(read(OURS), Some(ours));
        let spaced = "  ca.example ;  AccountURI = https://ca.example/acct/1 ; policy=wildcard ; persistUntil = 7 ";
        assert_eq!(read(spaced).unwrap().until, Some(7 * SECOND));
        assert!(
            same(OURS, spaced) && same(OURS, "CA.example;accounturi=https://ca.example/acct/1")
        );
        for bad in [
            "",
            "ca.example",
            "ca.example; accounturi",
            "; accounturi=https://ca.example/acct/1",
            "ca.example; accounturi=https://ca.example/acct/1; persistUntil=soon",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        for other in [
            "ca.example; accounturi=https://ca.example/acct/2",
            "other.example; accounturi=https://ca.example/acct/1",
        ] {
            assert!(!same(OURS, other), "{other}");
        }
    }

    #[test]
    fn an_authority_believes_its_own_name_our_account_and_no_record_that_has_ended() {
        let issuer = IssuerInfo {
            persistent: vec!["ca.example".into(), "ca.test".into()],
            account_uri: Some("https://ca.example/acct/1".into()),
            ..IssuerInfo::default()
        };
        assert!(believes(&issuer, OURS, 0));
        assert!(believes(
            &issuer,
            &OURS.replace("ca.example;", "ca.test;"),
            0
        ));
        assert!(!believes(
            &issuer,
            &OURS.replace("ca.example;", "ca.net;"),
            0
        ));
        assert!(!believes(&issuer, &OURS.replace("/1", "/2"), 0));
        let ending = format!("{OURS}; persistUntil=10");
        assert!(believes(&issuer, &ending, 9 * SECOND));
        assert!(!believes(&issuer, &ending, 10 * SECOND));
        assert!(!believes(&IssuerInfo::default(), OURS, 0));
    }
}
