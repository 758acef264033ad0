//! Addresses against the tables of RFC 7622 and RFC 8265, and properties.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expected: Result<&str, JidError>) {
    assert_eq!(
        Jid::parse(text).as_ref().map(Jid::as_str).map_err(|e| *e),
        expected,
        "{text:?}"
    );
}

#[track_caller]
fn refused(text: &str) {
    assert!(Jid::parse(text).is_err(), "{text:?} must be refused");
}

#[test]
fn addr_09_table_of_legal_jids() {
    for (text, local, domain, resource) in [
        ("juliet@example.com", Some("juliet"), "example.com", None),
        (
            "juliet@example.com/foo",
            Some("juliet"),
            "example.com",
            Some("foo"),
        ),
        (
            "juliet@example.com/foo bar",
            Some("juliet"),
            "example.com",
            Some("foo bar"),
        ),
        (
            "juliet@example.com/foo@bar",
            Some("juliet"),
            "example.com",
            Some("foo@bar"),
        ),
        (
            "foo\\20bar@example.com",
            Some("foo\\20bar"),
            "example.com",
            None,
        ),
        (
            "fussball@example.com",
            Some("fussball"),
            "example.com",
            None,
        ),
        (
            "fu\u{df}ball@example.com",
            Some("fu\u{df}ball"),
            "example.com",
            None,
        ),
        ("\u{3c0}@example.com", Some("\u{3c0}"), "example.com", None),
        (
            "\u{3a3}@example.com/foo",
            Some("\u{3c3}"),
            "example.com",
            Some("foo"),
        ),
        (
            "\u{3c3}@example.com/foo",
            Some("\u{3c3}"),
            "example.com",
            Some("foo"),
        ),
        (
            "\u{3c2}@example.com/foo",
            Some("\u{3c2}"),
            "example.com",
            Some("foo"),
        ),
        (
            "king@example.com/\u{265a}",
            Some("king"),
            "example.com",
            Some("\u{265a}"),
        ),
        ("example.com", None, "example.com", None),
        ("example.com/foobar", None, "example.com", Some("foobar")),
        (
            "a.example.com/b@example.net",
            None,
            "a.example.com",
            Some("b@example.net"),
        ),
    ] {
        let jid = Jid::parse(text).expect(text);
        assert_eq!(
            (jid.local(), jid.domain(), jid.resource()),
            (local, domain, resource),
            "{text}"
        );
    }
}

#[test]
fn addr_09_10_table_of_illegal_jids() {
    for text in [
        "\"juliet\"@example.com",
        "foo bar@example.com",
        "juliet@example.com/ foo",
        "@example.com/",
        "henry\u{2163}@example.com",
        "\u{265a}@example.com",
        "juliet@",
        "/foobar",
    ] {
        refused(text);
    }
}

#[test]
fn addr_01_cut_before_any_mapping() {
    let jid = Jid::parse("a.example.com/b@example.net").expect("a domain and a resource");
    assert_eq!(
        (jid.local(), jid.domain(), jid.resource()),
        (None, "a.example.com", Some("b@example.net"))
    );
    let jid = Jid::parse("a@example.com/b/c@d").expect("an address");
    assert_eq!(jid.resource(), Some("b/c@d"));
    // Full-width forms become separators only by mapping, which is too late.
    refused("a\u{ff20}example.com");
    refused("example.com\u{ff0f}r");
    // Behind the first `@` all is domain.
    refused("a@b@example.com");
}

#[test]
fn addr_02_empty_and_long_parts() {
    check("", Err(JidError::Domain));
    check("@example.com", Err(JidError::Local));
    check("a@example.com/", Err(JidError::Resource));
    let local = "l".repeat(1023);
    let resource = "r".repeat(1023);
    assert!(Jid::parse(&format!("{local}@example.com/{resource}")).is_ok());
    check(&format!("{local}l@example.com"), Err(JidError::TooLong));
    check(
        &format!("a@example.com/{resource}r"),
        Err(JidError::TooLong),
    );
    // Full-width letters shrink to a third: the limit counts bytes after mapping.
    assert!(Jid::parse(&format!("{}@example.com", "\u{ff41}".repeat(1023))).is_ok());
    check(
        &format!("{}@example.com", "\u{ff41}".repeat(1024)),
        Err(JidError::TooLong),
    );
}

#[test]
fn addr_03_domains_become_u_labels() {
    check("EXAMPLE.Com", Ok("example.com"));
    check("example.com.", Ok("example.com"));
    refused("example.com..");
    refused(".");
    refused("exa..mple");
    check("xn--mnchen-3ya.de", Ok("m\u{fc}nchen.de"));
    check("XN--MNCHEN-3YA.de", Ok("m\u{fc}nchen.de"));
    check("M\u{dc}NCHEN.de", Ok("m\u{fc}nchen.de"));
    check("mu\u{308}nchen.de", Ok("m\u{fc}nchen.de"));
    check("fa\u{df}.de", Ok("fa\u{df}.de"));
    check("\u{ff45}xample.com", Ok("example.com"));
    check("b\u{fc}cher\u{3002}example", Ok("b\u{fc}cher.example"));
    refused("xn--a.example");
    refused("xn--.example");
    refused("xn--n3h.net"); // a snowman is no letter in IDNA2008
    refused("\u{2603}.net");
    refused("o\u{fb03}ce.example");
    refused("so\u{ad}ft.example");
    refused("-a.example");
    refused("a-.example");
    refused("ab--cd.example");
    refused("a_b.example");
    refused("a b.example");
    refused("a%41.example");
    refused(&format!("{}.example", "a".repeat(64)));
    assert!(DomainName::parse(&format!("{}.example", "a".repeat(63))).is_ok());
    refused(
        &[
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(63),
        ]
        .join("."),
    );
}

#[test]
fn addr_03_ip_literals() {
    check("192.0.2.1", Ok("192.0.2.1"));
    check("a@[2001:DB8:0:0::1]/r", Ok("a@[2001:db8::1]/r"));
    refused("[2001:db8::1");
    refused("[2001:db8::g]");
    refused("[]");
    refused("[192.0.2.1]");
    refused("2001:db8::1");
    for (text, ip) in [
        ("192.0.2.1", true),
        ("[::1]", true),
        ("example.com", false),
        ("1.example", false),
    ] {
        assert_eq!(DomainName::parse(text).unwrap().is_ip(), ip, "{text}");
    }
}

#[test]
fn addr_16_both_spellings_are_one_name() {
    let unicode = DomainName::parse("b\u{fc}cher.example").unwrap();
    let ascii = DomainName::parse("xn--bcher-kva.example").unwrap();
    assert_eq!(unicode, ascii);
    assert_eq!(unicode.to_ascii(), "xn--bcher-kva.example");
    assert_eq!(
        DomainName::parse("example.com").unwrap().to_ascii(),
        "example.com"
    );
}

#[test]
fn addr_04_localparts() {
    check("Juliet@example.com", Ok("juliet@example.com"));
    check("\u{ff21}lice@example.com", Ok("alice@example.com"));
    check("stra\u{df}e@example.com", Ok("stra\u{df}e@example.com"));
    for c in "\"&':<>".chars() {
        check(&format!("a{c}b@example.com"), Err(JidError::Local));
        // The full-width form maps to the excluded character.
        let wide = char::from_u32(c as u32 - 0x20 + 0xff00).unwrap();
        check(&format!("a{wide}b@example.com"), Err(JidError::Local));
    }
    check("a\u{ff20}b@example.com", Err(JidError::Local));
    check("a\u{ff0f}b@example.com", Err(JidError::Local));
    for bad in [
        "a\u{7f}",
        "a\u{0}",
        "a\u{200b}",
        "a\u{ad}",
        "\u{fb01}",
        "\u{212b}\u{2126}x\u{2163}",
        "\u{1f600}",
    ] {
        check(&format!("{bad}@example.com"), Err(JidError::Local));
    }
}

#[test]
fn addr_04_right_to_left_localparts() {
    check(
        "\u{5d3}\u{5d5}\u{5d3}@example.com",
        Ok("\u{5d3}\u{5d5}\u{5d3}@example.com"),
    );
    // Points inside the word are marks, not its end.
    let pointed = "\u{5e9}\u{5b8}\u{5dc}\u{5d5}\u{5b9}\u{5dd}@example.com";
    check(pointed, Ok(pointed));
    check("a\u{5d3}@example.com", Err(JidError::Local));
    check("\u{5d3}a@example.com", Err(JidError::Local));
    check("\u{5d3}1\u{661}@example.com", Err(JidError::Local));
    check("1\u{5d3}@example.com", Err(JidError::Local));
}

#[test]
fn addr_05_resourceparts() {
    check("a@b/Foo", Ok("a@b/Foo"));
    check("a@b/foo\u{a0}bar", Ok("a@b/foo bar"));
    check("a@b/foo\u{3000}bar", Ok("a@b/foo bar"));
    check("a@b/e\u{301}", Ok("a@b/\u{e9}"));
    check("a@b/\u{1f600}", Ok("a@b/\u{1f600}"));
    check("a@b/a\tb", Err(JidError::Resource));
    check("a@b/a\u{85}b", Err(JidError::Resource));
    check("a@b/ x", Err(JidError::Resource));
    check("a@b/\u{a0}x", Err(JidError::Resource));
    check("a@b/x/y@z", Ok("a@b/x/y@z"));
}

#[test]
fn addr_12_sigma_is_lowered_without_context() {
    check(
        "\u{39f}\u{3a3}@example.com",
        Ok("\u{3bf}\u{3c3}@example.com"),
    );
}

#[test]
fn rfc_8265_3_6_usernames() {
    for (name, ok) in [
        ("juliet", true),
        ("fussball", true),
        ("fu\u{df}ball", true),
        ("\u{3c0}", true),
        ("\u{3a3}", true),
        ("\u{3c3}", true),
        ("\u{3c2}", true),
        ("foo bar", false),
        ("", false),
        ("henry\u{2163}", false),
        ("\u{221e}", false),
    ] {
        let domain = DomainName::parse("example.com").unwrap();
        assert_eq!(BareJid::new(Some(name), &domain).is_ok(), ok, "{name:?}");
    }
}

#[test]
fn parts_and_conversions() {
    let jid = Jid::parse("Juliet@Example.com/Balcony").unwrap();
    assert_eq!(jid.bare(), "juliet@example.com");
    assert_eq!(jid.bare_str(), "juliet@example.com");
    assert_eq!(jid.domain_name(), "example.com");
    assert!(!jid.is_bare());
    assert_eq!(jid.bare().with_resource("Balcony").unwrap(), jid);
    assert_eq!(BareJid::parse("a@b/c"), Err(JidError::NotBare));
    let domain = DomainName::parse("example.com").unwrap();
    assert_eq!(Jid::from(domain.clone()).domain(), "example.com");
    assert_eq!(BareJid::new(None, &domain).unwrap().local(), None);
    assert!(Jid::from(jid.bare()).is_bare());
    assert!(std::ptr::eq(
        Jid::from(domain.clone()).bare().as_str(),
        domain.as_str()
    ));
}

#[test]
fn maps_can_be_asked_by_text() {
    let map = std::collections::HashMap::from([(BareJid::parse("a@b").unwrap(), 1)]);
    assert_eq!(map.get("a@b"), Some(&1));
    assert_eq!(map.get(Jid::parse("a@b/c").unwrap().bare_str()), Some(&1));
}

/// Text that is likely to be nearly an address.
fn addressish() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,20}",
        "[a-zA-Z0-9.@/:\\[\\]-]{0,30}",
        "(\\w{1,8}@)?(xn--)?\\w{1,8}(\\.\\w{1,8}){0,2}\\.?(/\\PC{0,8})?",
    ]
}

proptest! {
    #[test]
    fn addr_06_canonical_text_parses_to_itself(text in addressish()) {
        if let Ok(jid) = Jid::parse(&text) {
            prop_assert_eq!(&Jid::parse(jid.as_str()).unwrap(), &jid);
            prop_assert_eq!(Jid::parse(jid.bare_str()).unwrap(), Jid::from(jid.bare()));
            let domain = jid.domain_name();
            prop_assert_eq!(&DomainName::parse(&domain.to_ascii()).unwrap(), &domain);
            prop_assert!(domain.to_ascii().is_ascii());
            let rebuilt = BareJid::new(jid.local(), &domain).unwrap();
            prop_assert_eq!(&rebuilt, &jid.bare());
            if let Some(resource) = jid.resource() {
                prop_assert_eq!(rebuilt.with_resource(resource).unwrap(), jid);
            }
        }
    }

    #[test]
    fn ascii_fast_path_agrees_with_the_profiles(text in "[ -~]{1,20}") {
        let slow = username_slow(&text);
        let fast = enforce::local(&text).ok().map(Cow::into_owned);
        let excluded = text.bytes().any(|b| b"\"&'/:<>@".contains(&b));
        prop_assert_eq!(fast, slow.filter(|_| !excluded));
    }
}

fn username_slow(text: &str) -> Option<String> {
    use precis_core::profile::Profile;
    precis_profiles::UsernameCaseMapped::new()
        .enforce(text)
        .ok()
        .map(Cow::into_owned)
}
