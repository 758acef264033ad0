//! What this server implements, specification by specification, and what the compliance suites ask of one.
//!
//! Why one list: `domicile specs`, the DOAP file that clients' and servers' directories read (XEP-0453) and
//! `docs/compliance.md` say the same. Extensions that are modules say it themselves ([`modules::ALL`]); what the streams and
//! the doors do is listed here. Refuses: claims of its own; a row of the suites counts as met when what it names is
//! implemented, and which tests prove it is read from the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use modules::Spec;

/// A specification that is no module's.
#[derive(Debug)]
pub struct Implemented {
    /// Which.
    pub spec: Spec,
    /// What of it, in a few words.
    pub about: &'static str,
}

const fn xep(number: u16, version: &'static str, about: &'static str) -> Implemented {
    Implemented {
        spec: Spec::Xep(number, version),
        about,
    }
}

const fn rfc(number: u16, sections: &'static str, about: &'static str) -> Implemented {
    Implemented {
        spec: Spec::Rfc(number, sections),
        about,
    }
}

/// What streams, doors and the control plane implement.
pub static ENGINE: &[Implemented] = &[
    rfc(
        6120,
        "all",
        "XML streams, TLS, SASL, binding, stanzas, routing",
    ),
    rfc(6121, "all", "roster, presence, delivery"),
    rfc(7395, "all", "WebSocket"),
    rfc(7590, "all", "use of TLS"),
    rfc(7622, "all", "addresses"),
    rfc(7673, "all", "DANE with SRV"),
    rfc(7711, "all", "POSH, publishing and asking"),
    rfc(7712, "all", "domain name associations"),
    rfc(8555, "all", "certificates for each domain (ACME)"),
    xep(82, "1.1.1", "times"),
    xep(114, "1.6", "components"),
    xep(124, "1.11.2", "streams over HTTP requests (BOSH)"),
    xep(156, "1.4.0", "host-meta, for apps in browsers"),
    xep(160, "1.0.1", "offline messages"),
    xep(178, "1.2", "SASL EXTERNAL between servers, and for clients"),
    xep(185, "1.0", "dialback keys"),
    xep(
        198,
        "1.6.3",
        "acknowledgements and resumption, over restarts too",
    ),
    xep(205, "1.0.2", "limits against denial of service"),
    xep(206, "1.4", "XMPP over BOSH"),
    xep(220, "1.1.1", "server dialback, with errors"),
    xep(227, "1.1", "what people have, in and out as one file"),
    xep(
        288,
        "1.0.1",
        "one stream between servers for both directions",
    ),
    xep(344, "0.4", "dialback after TLS and DNSSEC"),
    xep(352, "1.0.0", "client state"),
    xep(368, "1.1.0", "direct TLS"),
    xep(386, "1.1.0", "binding with authentication"),
    xep(388, "1.0.4", "SASL2"),
    xep(440, "1.0.0", "types of channel binding"),
    xep(474, "0.5.0", "protection of SCRAM against downgrades"),
    xep(478, "0.2.0", "limits of a stream, announced"),
    xep(
        480,
        "0.2.0",
        "further verifiers of a password, from its client",
    ),
    xep(487, "0.1.0", "host-meta 2, for clients"),
    xep(484, "0.2.0", "tokens for fast log-ins, rotated"),
    xep(495, "0.1.0", "several addresses at once"),
];

/// One entry of the compliance suites 2023 (XEP-0479) that binds servers.
#[derive(Debug)]
pub struct Entry {
    /// Category.
    pub category: &'static str,
    /// Whether only the advanced column has it.
    pub advanced: bool,
    /// What it is about.
    pub about: &'static str,
    /// XEPs that must be implemented.
    pub xeps: &'static [u16],
    /// RFCs that must be.
    pub rfcs: &'static [u16],
    /// Obligations whose tests prove it, `GROUP-NN`.
    pub obligations: &'static [&'static str],
}

const BASE: bool = false;
const ADVANCED: bool = true;

const fn entry(
    category: &'static str,
    advanced: bool,
    about: &'static str,
    xeps: &'static [u16],
    rfcs: &'static [u16],
    obligations: &'static [&'static str],
) -> Entry {
    Entry {
        category,
        advanced,
        about,
        xeps,
        rfcs,
        obligations,
    }
}

/// The suites for servers, base and advanced (XEP-0479 2.1 to 2.5).
pub static SUITES: &[Entry] = &[
    entry(
        "Core",
        BASE,
        "core features",
        &[],
        &[6120],
        &[
            "STREAM-01",
            "SASL-01",
            "BIND-04",
            "STANZA-04",
            "ROUTE-08",
            "XML-01",
        ],
    ),
    entry("Core", BASE, "TLS", &[], &[7590], &["TLS-01", "TLS-12"]),
    entry(
        "Core",
        ADVANCED,
        "direct TLS",
        &[368],
        &[],
        &["TLS-31", "TLS-32", "TLS-36"],
    ),
    entry("Core", BASE, "feature discovery", &[30], &[], &["EXT-01"]),
    entry(
        "Core",
        ADVANCED,
        "feature broadcasts",
        &[115],
        &[],
        &["EXT-02"],
    ),
    entry(
        "Core",
        BASE,
        "server extensibility",
        &[114],
        &[],
        &["COMP-01", "COMP-02", "COMP-04"],
    ),
    entry(
        "Core",
        ADVANCED,
        "event publishing",
        &[163],
        &[],
        &["EXT-03", "EXT-04", "EXT-05"],
    ),
    entry(
        "Web",
        BASE,
        "connections over WebSocket",
        &[],
        &[7395],
        &["WS-01", "WS-03", "WS-07"],
    ),
    entry(
        "Web",
        BASE,
        "connections over BOSH",
        &[206, 124],
        &[],
        &["WS-20", "WS-21"],
    ),
    entry(
        "IM",
        BASE,
        "core features",
        &[],
        &[6121],
        &["IM-08", "IM-34"],
    ),
    entry(
        "IM",
        ADVANCED,
        "avatars, and their conversion",
        &[398, 153],
        &[],
        &["EXT-11"],
    ),
    entry("IM", BASE, "vcard-temp", &[54], &[], &["EXT-10"]),
    entry(
        "IM",
        BASE,
        "outbound message synchronisation",
        &[280],
        &[],
        &["EXT-12"],
    ),
    entry(
        "IM",
        ADVANCED,
        "user blocking",
        &[191],
        &[],
        &["EXT-15", "EXT-16"],
    ),
    entry(
        "IM",
        BASE,
        "group chat",
        &[45],
        &[],
        &["EXT-23", "EXT-24", "EXT-25"],
    ),
    entry(
        "IM",
        ADVANCED,
        "advanced group chat",
        &[48, 313, 402, 410],
        &[],
        &["EXT-09", "EXT-27", "EXT-28"],
    ),
    entry(
        "IM",
        ADVANCED,
        "private data",
        &[223, 49],
        &[],
        &["EXT-07", "EXT-08"],
    ),
    entry(
        "IM",
        ADVANCED,
        "session resumption",
        &[198],
        &[],
        &["SM-06", "SM-07"],
    ),
    entry(
        "IM",
        ADVANCED,
        "history storage and retrieval",
        &[313],
        &[],
        &["EXT-18", "EXT-19"],
    ),
    entry("IM", BASE, "file upload", &[363], &[], &["EXT-30"]),
    entry(
        "Mobile",
        BASE,
        "stream management",
        &[198],
        &[],
        &["SM-04", "SM-11"],
    ),
    entry(
        "Mobile",
        BASE,
        "client state indication",
        &[352],
        &[],
        &["EXT-13"],
    ),
    entry(
        "Mobile",
        ADVANCED,
        "push notifications",
        &[357],
        &[],
        &["EXT-14"],
    ),
    entry("A/V", BASE, "external services", &[215], &[], &["EXT-31"]),
];

/// What tests cite of an extension beside its number: obligations that are its own, `GROUP-NN`.
static OBLIGATIONS: &[(u16, &[&str])] = &[
    (30, &["EXT-01"]),
    (45, &["EXT-23", "EXT-24", "EXT-25", "EXT-26"]),
    (48, &["EXT-09"]),
    (49, &["EXT-08"]),
    (50, &["EXT-35"]),
    (54, &["EXT-10"]),
    (60, &["EXT-05", "EXT-06", "E2E-02", "E2E-03"]),
    (77, &["EXT-33"]),
    (84, &["EXT-11"]),
    (
        114,
        &[
            "COMP-01", "COMP-02", "COMP-03", "COMP-04", "COMP-05", "COMP-06",
        ],
    ),
    (115, &["EXT-02"]),
    (124, &["WS-21", "WS-22", "WS-23"]),
    (133, &["EXT-35"]),
    (153, &["EXT-11"]),
    (156, &["WS-16", "WS-17", "WS-18", "WS-19"]),
    (157, &["EXT-32"]),
    (158, &["EXT-33"]),
    (160, &["EXT-22"]),
    (163, &["EXT-03", "EXT-04"]),
    (178, &["SASL-44", "SASL-45", "SASL-46"]),
    (
        185,
        &["DIALBACK-03", "DIALBACK-04", "DIALBACK-05", "DIALBACK-06"],
    ),
    (191, &["EXT-15", "EXT-16"]),
    (
        198,
        &[
            "SM-01", "SM-02", "SM-03", "SM-04", "SM-05", "SM-06", "SM-07", "SM-08", "SM-09",
            "SM-10", "SM-11", "SM-12", "SM-13", "SM-14",
        ],
    ),
    (199, &["PING-01", "PING-02"]),
    (203, &["EXT-22"]),
    (205, &["DOS-05", "DOS-08", "DOS-09"]),
    (206, &["WS-15", "WS-24"]),
    (215, &["EXT-31"]),
    (
        220,
        &[
            "DIALBACK-01",
            "DIALBACK-02",
            "DIALBACK-03",
            "DIALBACK-07",
            "DIALBACK-08",
            "DIALBACK-09",
            "DIALBACK-10",
            "DIALBACK-11",
            "DIALBACK-12",
            "DIALBACK-13",
            "DIALBACK-14",
            "DIALBACK-15",
            "DIALBACK-16",
            "DIALBACK-17",
            "DIALBACK-18",
            "DIALBACK-19",
            "DIALBACK-20",
            "DIALBACK-21",
            "DIALBACK-24",
        ],
    ),
    (222, &["EXT-06"]),
    (223, &["EXT-07"]),
    (227, &["EXT-38"]),
    (237, &["IM-08"]),
    (257, &["E2E-11"]),
    (280, &["EXT-12"]),
    (
        288,
        &[
            "BIDI-01", "BIDI-02", "BIDI-03", "BIDI-04", "BIDI-05", "BIDI-06", "BIDI-07",
        ],
    ),
    (292, &["EXT-10"]),
    (297, &["EXT-12"]),
    (313, &["EXT-18", "EXT-19", "EXT-20", "EXT-28"]),
    (334, &["EXT-20", "E2E-07"]),
    (344, &["DIALBACK-21", "DIALBACK-22", "DIALBACK-23"]),
    (352, &["EXT-13"]),
    (357, &["EXT-14"]),
    (359, &["EXT-19"]),
    (363, &["EXT-30"]),
    (
        368,
        &[
            "TLS-31", "TLS-32", "TLS-33", "TLS-34", "TLS-35", "S2S-03", "S2S-04",
        ],
    ),
    (377, &["EXT-17"]),
    (386, &["SASL-36", "SASL-37", "SASL-38", "SASL-39"]),
    (
        388,
        &[
            "SASL-30", "SASL-31", "SASL-32", "SASL-33", "SASL-34", "SASL-35",
        ],
    ),
    (398, &["EXT-11"]),
    (401, &["EXT-34"]),
    (402, &["EXT-09"]),
    (410, &["EXT-27"]),
    (411, &["EXT-09"]),
    (421, &["EXT-26"]),
    (440, &["SASL-25", "SASL-27"]),
    (441, &["EXT-21"]),
    (445, &["EXT-34"]),
    (455, &["EXT-39"]),
    (474, &["SASL-29"]),
    (478, &["STREAM-34", "STREAM-35"]),
    (480, &["SASL-43"]),
    (484, &["SASL-40", "SASL-41", "SASL-42"]),
    (487, &["WS-20"]),
    (495, &["S2S-11"]),
];

/// Every specification, XEPs by number, with what implements it.
pub fn all() -> Vec<(&'static Spec, String)> {
    let modules = modules::ALL.iter().flat_map(|module| {
        let info = module.info();
        let by = format!("module {}: {}", info.name, info.about);
        info.specs.iter().map(move |spec| (spec, by.clone()))
    });
    let engine = ENGINE
        .iter()
        .map(|each| (&each.spec, each.about.to_owned()));
    let mut all: Vec<_> = engine.chain(modules).collect();
    all.sort_by_key(|(spec, _)| match spec {
        Spec::Rfc(number, _) => (0, *number),
        Spec::Xep(number, _) | Spec::Part(number, ..) => (1, *number),
    });
    all
}

fn xeps() -> BTreeMap<u16, &'static str> {
    all()
        .into_iter()
        .filter_map(|(spec, _)| numbered(spec))
        .collect()
}

/// Number and version of a XEP.
fn numbered(spec: &Spec) -> Option<(u16, &'static str)> {
    match spec {
        Spec::Xep(number, version) | Spec::Part(number, version, _) => Some((*number, *version)),
        Spec::Rfc(..) => None,
    }
}

/// What of a XEP there is not; the first that implements it says so.
fn missing() -> BTreeMap<u16, &'static str> {
    let mut missing = BTreeMap::new();
    for (spec, _) in all() {
        if let Spec::Part(number, _, what) = spec {
            missing.entry(*number).or_insert(*what);
        }
    }
    missing
}

fn rfcs() -> Vec<u16> {
    let all = all().into_iter();
    all.filter_map(|(spec, _)| match spec {
        Spec::Rfc(number, _) => Some(*number),
        Spec::Xep(..) | Spec::Part(..) => None,
    })
    .collect()
}

/// A description of the project for directories: DOAP with the schema of XEP-0453.
pub fn doap() -> String {
    let mut out = String::from(
        "<?xml version='1.0' encoding='UTF-8'?>\n\
         <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://usefulinc.com/ns/doap#' \
         xmlns:xmpp='https://linkmauve.fr/ns/xmpp-doap#' xmlns:schema='https://schema.org/'>\n\
         \x20 <Project>\n\
         \x20   <name>Domicile</name>\n\
         \x20   <shortdesc xml:lang='en'>Hosts many customers' XMPP domains and proves that it speaks for them</shortdesc>\n\
         \x20   <programming-language>Rust</programming-language>\n\
         \x20   <os>Linux</os>\n\
         \x20   <category rdf:resource='https://linkmauve.fr/ns/xmpp-doap#category-server'/>\n",
    );
    for number in rfcs() {
        let _ = writeln!(
            out,
            "    <implements rdf:resource='https://www.rfc-editor.org/info/rfc{number}'/>"
        );
    }
    let missing = missing();
    for (number, version) in xeps() {
        let (status, note) = match missing.get(&number) {
            Some(what) => (
                "partial",
                format!("        <xmpp:note>without {what}</xmpp:note>\n"),
            ),
            None => ("complete", String::new()),
        };
        let _ = write!(
            out,
            "    <implements>\n      <xmpp:SupportedXep>\n        \
             <xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-{number:04}.html'/>\n        \
             <xmpp:status>{status}</xmpp:status>\n        <xmpp:version>{version}</xmpp:version>\n{note}      \
             </xmpp:SupportedXep>\n    </implements>\n"
        );
    }
    out.push_str("  </Project>\n</rdf:RDF>\n");
    out
}

/// The suites as a table; `tests` gives the names of the tests that name an obligation.
pub fn compliance_markdown(tests: impl Fn(&str) -> Vec<String>) -> String {
    let (xeps, rfcs) = (xeps(), rfcs());
    let mut out = String::from(
        "| category | column | what | specifications | proven by |\n|---|---|---|---|---|\n",
    );
    for entry in SUITES {
        let rfc = entry.rfcs.iter().map(|number| {
            let here = rfcs.contains(number);
            format!("RFC {number}{}", if here { "" } else { " **missing**" })
        });
        let xep = entry.xeps.iter().map(|number| match xeps.get(number) {
            Some(version) => format!("XEP-{number:04} {version}"),
            None => format!("XEP-{number:04} **missing**"),
        });
        let specs: Vec<String> = rfc.chain(xep).collect();
        let mut names: Vec<String> = entry.obligations.iter().flat_map(|id| tests(id)).collect();
        names.sort();
        names.dedup();
        const SHOWN: usize = 4;
        let more = names.len() > SHOWN;
        names.truncate(SHOWN);
        let mut shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        shown.extend(more.then(|| "…".to_owned()));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            entry.category,
            if entry.advanced { "advanced" } else { "base" },
            entry.about,
            specs.join(", "),
            if shown.is_empty() {
                NO_TEST.into()
            } else {
                shown.join(", ")
            }
        );
    }
    out
}

/// In which column of the suites an extension is, if in any.
fn level(number: u16) -> &'static str {
    let mut of = SUITES.iter().filter(|entry| entry.xeps.contains(&number));
    match of.clone().any(|entry| !entry.advanced) {
        true => "base",
        false if of.next().is_some() => "advanced",
        false => "beyond",
    }
}

/// Every extension with its level in the suites and the tests that prove it: `by_obligation` and `by_number` give the names of tests
/// that cite the one and the other.
pub fn extensions_markdown(
    by_obligation: impl Fn(&str) -> Vec<String>,
    by_number: impl Fn(u16) -> Vec<String>,
) -> String {
    let mut out =
        String::from("| specification | level | without | proven by |\n|---|---|---|---|\n");
    let missing = missing();
    for (number, version) in xeps() {
        let own = OBLIGATIONS.iter().filter(|(of, _)| *of == number);
        let entries = SUITES.iter().filter(|entry| entry.xeps == [number]);
        let ids = own
            .flat_map(|(_, ids)| ids.iter())
            .chain(entries.flat_map(|entry| entry.obligations));
        let names: BTreeSet<String> = ids
            .flat_map(|id| by_obligation(id))
            .chain(by_number(number))
            .collect();
        let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            out,
            "| XEP-{number:04} {version} | {} | {} | {} |",
            level(number),
            missing.get(&number).copied().unwrap_or_default(),
            if shown.is_empty() {
                NO_TEST.into()
            } else {
                shown.join(", ")
            }
        );
    }
    out
}

/// Stands where nothing proves a row.
pub const NO_TEST: &str = "**no test**";

/// Entries of the suites whose specifications are not all implemented.
pub fn gaps() -> Vec<&'static str> {
    let (xeps, rfcs) = (xeps(), rfcs());
    let open = |entry: &&Entry| {
        entry.xeps.iter().any(|number| !xeps.contains_key(number))
            || entry.rfcs.iter().any(|number| !rfcs.contains(number))
    };
    let open = SUITES.iter().filter(open);
    open.map(|entry| entry.about).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_has_one_version() {
        let mut seen = BTreeMap::new();
        for (spec, by) in all() {
            if let Some((number, version)) = numbered(spec) {
                let before = seen.insert(number, version);
                assert!(
                    before.is_none_or(|before| before == version),
                    "XEP-{number:04}: {before:?}, {by}"
                );
            }
        }
        assert!(seen.len() > 30, "{seen:?}");
    }

    #[test]
    fn the_description_is_well_formed_and_names_every_xep() {
        let doap = doap();
        let body = doap.split_once("?>\n").expect("a declaration").1;
        let rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
        let tree = xmpp::element::Element::parse(body.trim_end(), "").expect("well-formed");
        assert!(tree.is("RDF", rdf));
        assert_eq!(doap.matches("<xmpp:SupportedXep>").count(), xeps().len());
        // What is there in part is not said to be complete.
        let partial = doap.matches("<xmpp:status>partial<").count();
        assert_eq!(partial, missing().len());
        let client_mode = doap.split("xep-0355").nth(1).expect("named");
        let entry = client_mode.split("</xmpp:SupportedXep>").next();
        assert!(
            entry.is_some_and(|e| e.contains("without client mode")),
            "{entry:?}"
        );
    }

    #[test]
    fn every_entry_of_the_suites_is_implemented_and_named() {
        assert_eq!(gaps(), [""; 0]);
        let table = compliance_markdown(|_| Vec::new());
        assert_eq!(table.lines().count(), SUITES.len() + 2);
        assert_eq!(table.matches(NO_TEST).count(), SUITES.len());
    }

    #[test]
    fn every_extension_has_a_row_with_its_level_and_its_tests() {
        let by_obligation = |id: &str| vec![format!("of_{id}")];
        let table = extensions_markdown(by_obligation, |number| vec![format!("of_{number}")]);
        assert_eq!(table.lines().count(), xeps().len() + 2);
        let row = |number: u16| {
            let begin = format!("| XEP-{number:04} ");
            let mut rows = table.lines().filter(|line| line.starts_with(&begin));
            rows.next().unwrap_or_else(|| panic!("{number}: {table}"))
        };
        assert!(row(280).contains("| base |"), "{}", row(280));
        assert!(row(280).contains("`of_280`, `of_EXT-12`"), "{}", row(280));
        assert!(row(191).contains("| advanced |"), "{}", row(191));
        assert!(row(484).contains("| beyond |"), "{}", row(484));
        let commands = row(133);
        assert!(
            commands.contains("messages of the day") && !commands.contains("announcements"),
            "{commands}"
        );
        for (number, _) in OBLIGATIONS {
            assert!(xeps().contains_key(number), "XEP-{number:04}");
        }
    }
}
