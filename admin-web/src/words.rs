//! How times, states and notices are said. Second person, present tense, no exclamation marks.

use control::Timestamp;
use control::findings::Severity;
use control::ladder::Step;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The time of the page.
pub(crate) fn now() -> Timestamp {
    control::Clock::now(&control::SystemClock)
}

/// `just now`, `3 minutes ago`, `in 2 hours`.
pub(crate) fn relative(time: Timestamp, now: Timestamp) -> String {
    let distance = time.0.abs_diff(now.0);
    if distance < 5 * SECOND {
        return if time.0 > now.0 {
            "in a moment"
        } else {
            "just now"
        }
        .to_owned();
    }
    let span = span(distance);
    if time.0 > now.0 {
        format!("in {span}")
    } else {
        format!("{span} ago")
    }
}

/// A length of time (µs) in its largest fitting unit.
pub(crate) fn span(micros: u64) -> String {
    let (count, unit) = match micros {
        m if m < MINUTE => (m / SECOND, "second"),
        m if m < HOUR => (m / MINUTE, "minute"),
        m if m < 36 * HOUR => (m / HOUR, "hour"),
        m => (m / DAY, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// `2026-11-25 20:04 UTC`.
pub(crate) fn exact(time: Timestamp) -> String {
    let text = time.to_xep0082();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => text,
    }
}

/// `2026-11-25`.
pub(crate) fn day(time: Timestamp) -> String {
    let text = time.to_xep0082();
    text.get(..10).map_or(text.clone(), str::to_owned)
}

/// Icon and colour of a status chip. The vocabulary is fixed; anything else would be a mistake of ours and looks unknown.
pub(crate) fn chip(word: &str) -> (&'static str, &'static str) {
    match word {
        "live" => ("check-full", "ok"),
        "ready" => ("check", "ok"),
        "waiting for you" => ("hand", "you"),
        "waiting for the world" => ("clock", "world"),
        "degraded" => ("warn", "warn"),
        "stopped" => ("stop", "stopped"),
        _ => ("hollow", "unknown"),
    }
}

/// Word, icon and colour of a check. "Could not ask" is hollow and grey: nothing is known to be wrong.
pub(crate) fn severity(severity: &Severity) -> (&'static str, &'static str, &'static str) {
    match severity {
        Severity::Ok => ("as wanted", "check-full", "ok"),
        Severity::Info => ("good to know", "info", "info"),
        Severity::Unknown => ("could not ask", "hollow", "unknown"),
        Severity::Warning => ("needs a look", "warn", "warn"),
        Severity::Critical => ("in the way", "bad", "bad"),
    }
}

/// A number in groups of three, apart by a narrow space.
pub(crate) fn number(count: impl std::fmt::Display) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + 8);
    for (at, digit) in digits.chars().enumerate() {
        // Four digits read well as they are.
        if at > 0 && digits.len() > 4 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A size: `17 bytes`, `4.2 kB`, `830 MB`; powers of a thousand, as disks are sold.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} bytes");
    }
    let mut tenths = u128::from(count) * 10;
    for unit in UNITS {
        tenths = tenths.div_ceil(1000);
        match tenths {
            0..100 => return format!("{}.{} {unit}", tenths / 10, tenths % 10),
            100..10_000 => return format!("{} {unit}", tenths / 10),
            _ => {}
        }
    }
    format!("{} EB", tenths / 10)
}

/// A size as a form holds it: exactly, where a unit and three digits after the point say it.
pub(crate) fn exact_bytes(count: u64) -> String {
    let units = [("PB", 15), ("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)];
    for (unit, power) in units {
        let (whole, part) = (10_u64.pow(power), 10_u64.pow(power - 3));
        if count < whole {
            continue;
        }
        if count.is_multiple_of(part) {
            let text = format!("{}.{:03}", count / whole, count % whole / part);
            let text = text.trim_end_matches('0').trim_end_matches('.');
            return format!("{text} {unit}");
        }
        break;
    }
    bytes(count)
}

/// The size that somebody typed: `500 MB`, `1,5 GB`, `17 bytes`, `2GiB`, or bytes alone. `None`: it is no size, or none that fits.
pub(crate) fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let binary = unit.ends_with("ib");
    let power = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" if binary => return None,
        "" | "bytes" | "byte" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let factor = u128::pow(if binary { 1024 } else { 1000 }, power);
    let (whole, part) = number.split_once(['.', ',']).unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 6 || part.contains(['.', ',']) {
        return None;
    }
    let tens = u128::pow(10, u32::try_from(part.len()).ok()?);
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    let count = digits.checked_mul(factor)? / tens;
    u64::try_from(count).ok()
}

/// What somebody signed in with, from what it says of itself: `Safari on iPhone`. What says nothing that people know is written as
/// it is.
pub(crate) fn browser(agent: &str) -> String {
    // The first that fits: the later ones stand in the names of the former as well.
    let first = |known: &[(&str, &'static str)]| {
        let found = known.iter().find(|(mark, _)| agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    let program = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let machine = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac"),
        ("CrOS", "Chromebook"),
        ("Linux", "Linux"),
    ]);
    match (program, machine) {
        (Some(program), Some(machine)) => format!("{program} on {machine}"),
        (Some(program), None) => program.to_owned(),
        (None, Some(machine)) => format!("a browser on {machine}"),
        (None, None) => agent.to_owned(),
    }
}

/// Is a check about something that stands in the DNS: a record type and a name?
pub(crate) fn in_the_dns(subject: &str) -> bool {
    let first = subject.split(' ').next().unwrap_or_default();
    ["TXT", "CNAME", "SRV", "CAA", "TLSA", "NS", "A", "AAAA"].contains(&first)
}

/// Is a check about the certificate alone?
pub(crate) fn of_the_certificate(subject: &str) -> bool {
    subject == "certificate" || subject.starts_with("certificate ")
}

/// A time that somebody picked (`2026-12-24T18:00`, as browsers send it, taken for UTC) as XEP-0082 writes it; anything else as it
/// is.
pub(crate) fn picked_time(text: &str) -> String {
    match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

/// What a code of a check means.
pub(crate) fn meaning(code: &str) -> &'static str {
    let codes = control::findings::CODES.iter();
    let known = codes.into_iter().find(|known| known.code == code);
    known.map_or("", |known| known.meaning)
}

/// A sentence whose times are written for people: `2026-11-25T20:04:14.2Z` becomes `2026-11-25 20:04 UTC`.
pub(crate) fn plain_times(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let Some(zulu) = word.find('Z') else {
            return word.to_owned();
        };
        let (time, rest) = word.split_at(zulu);
        let shaped = time.len() >= 19
            && time
                .bytes()
                .zip(*b"0000-00-00T00:00")
                .all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit(),
                    other => byte == other,
                });
        match (shaped, time.get(..10), time.get(11..16)) {
            (true, Some(day), Some(minute)) => format!("{day} {minute} UTC{}", &rest[1..]),
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What a check is about, in plain words; its subject (`SRV _xmpp-client._tcp.example.com`) stands beside it.
pub(crate) fn check(subject: &str) -> &'static str {
    let name = subject.rsplit(' ').next().unwrap_or_default();
    let starts = |label: &str| name.starts_with(label);
    match () {
        () if of_the_certificate(subject) => "Certificate",
        () if subject.starts_with("proof ") => "Whether others can verify it",
        () if subject == "public door" => "The way in for apps",
        () if subject.starts_with("sign-in ") => "Signing in as an app would",
        () if subject.starts_with("CAA") => "Who may issue certificates",
        () if starts("_domicile.") => "Ownership",
        () if starts("_acme-challenge.") => "Certificate record",
        () if starts("_xmpp-client.") => "Where apps find you",
        () if starts("_xmpp-server.") => "Where other servers find you",
        () if starts("_xmpps-client.") => "Where apps find you, encrypted at once",
        () if starts("_xmpps-server.") => "Where other servers find you, encrypted at once",
        () => "",
    }
}

/// A step of the ladder in a word or two.
pub(crate) fn step(step: &Step) -> &'static str {
    match step {
        Step::Warned => "warned",
        Step::ReadOnly => "look only",
        Step::NoFederation => "no other servers",
        Step::NoLogin => "signed out",
        Step::Erased => "erased",
    }
}

/// What was just done, by the word in the address; other words say nothing.
pub(crate) fn notice(word: &str) -> Option<&'static str> {
    Some(match word {
        "welcome" => "Your account is set up. The first thing to do is below.",
        "added" => "The domain is added. It is yours once its ownership record is seen.",
        "checking" => "We are looking again now. Rows change by themselves when something is new.",
        "published" => {
            "The records are published in the sandbox. The checks follow within seconds."
        }
        "saved" => "Your changes are saved and already in use.",
        "suspended" => "Stopped. Nothing is erased, and you can start it again at any time.",
        "resumed" => "Started again.",
        "removed" => "Removed, with everything that belonged to it.",
        "invitation-removed" => "The invitation is taken back; its link opens nothing any more.",
        "factor-wanted" => {
            "Your team signs in with a second factor. Set yours up below; then everything is open to you."
        }
        "factor-removed" => {
            "The second factor is taken away. From now on the password alone signs in."
        }
        "passkey-added" => {
            "The passkey is yours. From now on it signs you in, alone or after your password."
        }
        "passkey-removed" => "The passkey is taken away. It opens nothing here any more.",
        "factor-rule" => {
            "Changed. Whoever lacks a second factor is asked for it with the next page."
        }
        "laddered" => "The steps and their dates are set; the customer sees them.",
        "off-the-ladder" => "No step is in force any more. Everything is as it was.",
        "hook-tested" => "A message is on its way. Load this page again to see what became of it.",
        "joined" => "You are in the team.",
        "plan-removed" => "The plan is removed.",
        "pinned" => "Pinned. From now on only certificates under it prove that server.",
        "unpinned" => "That server is judged like everybody else again.",
        "person-added" => "The account is added and can sign in.",
        "password-set" => "The password is set. Open sessions of this account end now.",
        "viewing" => "You see what the owner sees. Their log says that you look.",
        "viewing-ended" => "You are yourself again.",
        "device-signed-out" => "The device is signed out.",
        "certificate-revoked" => {
            "The certificate is revoked. Whoever signed in with it is signed out now."
        }
        "ordered" => "A certificate is being ordered. This page shows it as soon as it is here.",
        "uploaded" => "The certificate is in use.",
        "uploaded-ahead" => {
            "The certificate is kept for later: it is used as soon as every server may know it. The steps are below."
        }
        "another-key" => "Another key is being made. The steps are below.",
        "password-changed" => {
            "Your password is changed, and every login of yours has ended. Sign in with the new one."
        }
        "mail-on" => "We write to you when something has changed, at most once a night.",
        "mail-off" => "We write to you no more. What changes at your domains is on their pages.",
        "ended" => "That login has ended.",
        "signed-out" => "You are signed out.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (count, said) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (4_230, "4.3 kB"),
            (83_000_000, "83 MB"),
            (999_999, "1.0 MB"),
            (830_000_000_000, "830 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes(count), said);
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, count) in [
            ("500 MB", Some(500_000_000)),
            ("1.5 GB", Some(1_500_000_000)),
            ("1,5gb", Some(1_500_000_000)),
            ("2 GiB", Some(2_147_483_648)),
            ("17 bytes", Some(17)),
            ("107374182400", Some(107_374_182_400)),
            ("0", Some(0)),
            ("", None),
            ("GB", None),
            ("-1 GB", None),
            ("1.2.3 GB", None),
            ("1 ib", None),
            ("5 lots", None),
            ("99999999 PB", None),
        ] {
            assert_eq!(bytes_of(text), count, "{text}");
        }
        for count in [
            0,
            999,
            1_000,
            1_550_000_000,
            20_000_000_000,
            4_000_000_000_000,
        ] {
            assert_eq!(bytes_of(&exact_bytes(count)), Some(count));
        }
        assert_eq!(exact_bytes(1_550_000_000), "1.55 GB");
        assert_eq!(exact_bytes(20_000_000_000), "20 GB");
        // What was set by powers of two is written as it is shown elsewhere.
        assert_eq!(exact_bytes(1 << 30), "1.1 GB");
    }

    #[test]
    fn what_is_in_the_dns_leads_to_the_records() {
        for (subject, dns) in [
            ("SRV _xmpp-client._tcp.example.com", true),
            ("CNAME _acme-challenge.example.com", true),
            ("CAA example.com", true),
            ("certificate", false),
            ("public door", false),
            ("sign-in 192.0.2.1:5222", false),
        ] {
            assert_eq!(in_the_dns(subject), dns, "{subject}");
        }
        assert!(of_the_certificate("certificate rooms.example.com"));
    }

    #[test]
    fn browsers_are_called_what_people_call_them() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, said) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0",
                "Firefox on Linux",
            ),
            (
                &format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/150.0 Safari/537.36 Edg/150.0"
                ),
                "Edge on Windows",
            ),
            (
                &format!(
                    "Mozilla/5.0 (Linux; Android 16) {webkit} Chrome/150.0 Mobile Safari/537.36"
                ),
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)",
                "a browser on iPhone",
            ),
            ("curl/8.14.1", "curl/8.14.1"),
        ] {
            assert_eq!(browser(agent), said, "{agent}");
        }
    }

    #[test]
    fn a_picked_time_is_utc() {
        for (picked, written) in [
            ("2026-12-24T18:00", "2026-12-24T18:00:00Z"),
            ("2026-12-24T18:00:30", "2026-12-24T18:00:30Z"),
            ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T18:00:00+01:00"),
            ("", ""),
            ("soon", "soon"),
        ] {
            assert_eq!(picked_time(picked), written);
        }
    }

    #[test]
    fn times_read_as_people_say_them() {
        let now = Timestamp(1_000_000 * SECOND as i64);
        for (seconds, text) in [
            (0, "just now"),
            (-4, "just now"),
            (3, "in a moment"),
            (-59, "59 seconds ago"),
            (-60, "1 minute ago"),
            (-3599, "59 minutes ago"),
            (-3600, "1 hour ago"),
            (-120, "2 minutes ago"),
            (-7200, "2 hours ago"),
            (40 * 3600, "in 1 day"),
            (-86_400 * 30, "30 days ago"),
        ] {
            let then = Timestamp(now.0 + seconds * SECOND as i64);
            assert_eq!(relative(then, now), text, "{seconds}");
        }
        assert_eq!(exact(Timestamp(0)), "1970-01-01 00:00 UTC");
    }

    #[test]
    fn times_in_sentences_are_for_people() {
        for (from, to) in [
            (
                "From 2027-01-24T08:55:18.852Z on, again.",
                "From 2027-01-24 08:55 UTC on, again.",
            ),
            (
                "Back by 2027-01-24T08:55:18Z, or stopped.",
                "Back by 2027-01-24 08:55 UTC, or stopped.",
            ),
            (
                "Zoë said Z and 2027-01-24T08:55:18",
                "Zoë said Z and 2027-01-24T08:55:18",
            ),
            ("2027-01-24T08:55:xxxxZ", "2027-01-24 08:55 UTC"),
            ("ééééééééééééééééééééZ", "ééééééééééééééééééééZ"),
        ] {
            assert_eq!(plain_times(from), to);
        }
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(number(7), "7");
        assert_eq!(number(9999), "9999");
        assert_eq!(number(14_802), "14\u{202f}802");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn chips_know_the_vocabulary_and_nothing_else() {
        for word in [
            "live",
            "ready",
            "waiting for you",
            "waiting for the world",
            "degraded",
            "stopped",
        ] {
            assert_ne!(chip(word).1, "unknown", "{word}");
        }
        assert_eq!(chip("fine").1, "unknown");
    }
}
