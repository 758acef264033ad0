//! SASL against the vectors of the RFCs, and everything that must fail.

use super::client::ScramClient;
use super::*;

const SECRET: &[u8] = b"a secret of the server";

fn context(nonce: &str) -> Context {
    Context {
        nonce: nonce.to_owned(),
        channel_bindings: ChannelBindings::default(),
        plus_offered: false,
        domain: DomainName::parse("example.com").unwrap(),
        fake_secret: SECRET.to_vec(),
        external: Vec::new(),
        advertised: None,
    }
}

fn bound() -> Context {
    let channel_bindings = ChannelBindings {
        exporter: Some([7; 32]),
        end_point: Some(vec![9; 48]),
    };
    Context {
        channel_bindings,
        plus_offered: true,
        ..context("server")
    }
}

fn scram(hash: Hash, plus: bool) -> Mechanism {
    Mechanism::Scram { hash, plus }
}

fn verifier(hash: Hash, password: &str) -> ScramVerifier {
    ScramVerifier::derive(hash, password, b"0123456789abcdef", 4096).unwrap()
}

fn challenge(step: Step) -> Vec<u8> {
    match step {
        Step::Challenge(data) => data,
        other => panic!("a challenge, not {other:?}"),
    }
}

/// One exchange with the messages printed in an RFC.
fn vector(hash: Hash, nonce: &str, salt: &str, messages: [&str; 4]) {
    let salt = STANDARD.decode(salt).unwrap();
    let (mut exchange, step) = Exchange::start(
        scram(hash, false),
        Some(messages[0].as_bytes().to_vec()),
        context(nonce),
    );
    assert_eq!(
        step,
        Step::NeedVerifier {
            username: "user".to_owned(),
            hash: Some(hash)
        }
    );
    let step = exchange.supply(Some(
        ScramVerifier::derive(hash, "pencil", &salt, 4096).unwrap(),
    ));
    assert_eq!(step, Step::Challenge(messages[1].as_bytes().to_vec()));
    assert_eq!(
        exchange.respond(messages[2].as_bytes().to_vec()),
        Step::Success {
            username: "user".to_owned(),
            authzid: None,
            data: Some(messages[3].as_bytes().to_vec())
        }
    );
}

#[test]
fn sasl_13_vector_of_rfc_5802() {
    vector(
        Hash::Sha1,
        "3rfcNHYJY1ZVvWVs7j",
        "QSXCR+Q6sek8bf92",
        [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    );
}

#[test]
fn sasl_13_vector_of_rfc_7677() {
    vector(
        Hash::Sha256,
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

/// A whole exchange; the last step, and whether the server proved itself.
fn run(
    mechanism: Mechanism,
    header: &str,
    binding: &[u8],
    password: &str,
    stored: Option<ScramVerifier>,
    context: Context,
) -> Step {
    let Mechanism::Scram { hash, .. } = mechanism else {
        panic!()
    };
    let client = ScramClient::new(hash, "Juliet", password, "client", header, binding);
    let (mut exchange, step) = Exchange::start(mechanism, Some(client.first()), context);
    if let Step::Failure(_) = step {
        return step;
    }
    assert_eq!(
        step,
        Step::NeedVerifier {
            username: "juliet".to_owned(),
            hash: Some(hash)
        }
    );
    let server_first = challenge(exchange.supply(stored));
    let (last, expected) = client.last(&server_first).unwrap();
    let step = exchange.respond(last);
    if let Step::Success { data, .. } = &step {
        assert!(expected.is(data.as_deref().unwrap()), "the server's proof");
    }
    assert_eq!(
        exchange.respond(Vec::new()),
        Step::Failure(SaslFailure::MalformedRequest),
        "it is over"
    );
    step
}

fn success(authzid: Option<&str>, step: &Step) {
    let Step::Success {
        username,
        authzid: given,
        ..
    } = step
    else {
        panic!("{step:?}")
    };
    assert_eq!((username.as_str(), given.as_deref()), ("juliet", authzid));
}

#[test]
fn every_scram_mechanism_succeeds_with_the_right_password_only() {
    for hash in Hash::ALL {
        let stored = verifier(hash, "pencil");
        for (plus, header, binding) in [
            (false, "n,,", &b""[..]),
            (true, "p=tls-exporter,,", &[7; 32]),
            (true, "p=tls-server-end-point,,", &[9; 48]),
        ] {
            let good = run(
                scram(hash, plus),
                header,
                binding,
                "pencil",
                Some(stored.clone()),
                bound(),
            );
            success(None, &good);
            let bad = run(
                scram(hash, plus),
                header,
                binding,
                "pencils",
                Some(stored.clone()),
                bound(),
            );
            assert_eq!(bad, Step::Failure(SaslFailure::NotAuthorized));
        }
    }
}

#[test]
fn sasl_18_binding_data_must_be_of_this_connection() {
    let step = run(
        scram(Hash::Sha256, true),
        "p=tls-exporter,,",
        &[8; 32],
        "pencil",
        Some(verifier(Hash::Sha256, "pencil")),
        bound(),
    );
    assert_eq!(step, Step::Failure(SaslFailure::NotAuthorized));
}

#[test]
fn sasl_17_iterations_of_new_verifiers_and_of_fakes() {
    const { assert!(DEFAULT_ITERATIONS > 4096) };
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
        let (mut exchange, _) = Exchange::start(
            scram(hash, false),
            Some(b"n,,n=nobody,r=x".to_vec()),
            context("s"),
        );
        let sent = String::from_utf8(challenge(exchange.supply(None))).unwrap();
        assert!(
            sent.ends_with(&format!(",i={DEFAULT_ITERATIONS}")),
            "{sent}"
        );
    }
}

#[test]
fn sasl_20_24_binding_flags() {
    assert!(!bound().channel_bindings.types().contains(&"tls-unique"));
    let first = |mechanism, header: &str, context| {
        Exchange::start(
            mechanism,
            Some(format!("{header}n=user,r=x").into_bytes()),
            context,
        )
        .1
    };
    let (plain, plus) = (scram(Hash::Sha1, false), scram(Hash::Sha1, true));
    assert_eq!(
        first(plain, "y,,", bound()),
        Step::Failure(SaslFailure::NotAuthorized),
        "-PLUS was offered"
    );
    assert!(matches!(
        first(plain, "y,,", context("s")),
        Step::NeedVerifier { .. }
    ));
    assert_eq!(
        first(plus, "p=tls-unique,,", bound()),
        Step::Failure(SaslFailure::NotAuthorized)
    );
    assert_eq!(
        first(plus, "p=tls-exporter,,", context("s")),
        Step::Failure(SaslFailure::NotAuthorized)
    );
    assert_eq!(
        first(plus, "n,,", bound()),
        Step::Failure(SaslFailure::MalformedRequest)
    );
    assert_eq!(
        first(plus, "y,,", bound()),
        Step::Failure(SaslFailure::MalformedRequest)
    );
    assert_eq!(
        first(plain, "p=tls-exporter,,", bound()),
        Step::Failure(SaslFailure::MalformedRequest)
    );
}

#[test]
fn sasl_19_malformed_first_messages() {
    for bad in [
        "",
        "n",
        "n,,",
        "n,,n=user",
        "n,,r=x,n=user",
        "x,,n=user,r=x",
        "p=,,n=user,r=x",
        "n,b=x,n=user,r=x",
        "n,,m=x,n=user,r=x",
        "n,,n=user,r=x,m=y",
        "n,,n=,r=x",
        "n,,n=us=er,r=x",
        "n,,n=us=2cer,r=x",
        "n,,n=user=,r=x",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,n=user,r=x,ext",
    ] {
        let step = Exchange::start(scram(Hash::Sha1, false), Some(bad.into()), context("s")).1;
        assert_eq!(step, Step::Failure(SaslFailure::MalformedRequest), "{bad}");
    }
    let step = Exchange::start(
        scram(Hash::Sha1, false),
        Some(b"n,,n=\xff,r=x".to_vec()),
        context("s"),
    )
    .1;
    assert_eq!(step, Step::Failure(SaslFailure::MalformedRequest));
    // Comma and equals sign in a name; unknown optional attributes.
    let step = Exchange::start(
        scram(Hash::Sha1, false),
        Some(b"n,,n=a=2Cb=3D,r=x,z=1".to_vec()),
        context("s"),
    )
    .1;
    assert_eq!(
        step,
        Step::NeedVerifier {
            username: "a,b=".to_owned(),
            hash: Some(Hash::Sha1)
        }
    );
}

#[test]
fn sasl_18_final_messages_that_fail() {
    let stored = verifier(Hash::Sha1, "pencil");
    let client = ScramClient::new(Hash::Sha1, "juliet", "pencil", "client", "n,,", b"");
    let try_final = |change: &dyn Fn(String) -> String| {
        let (mut exchange, _) = Exchange::start(
            scram(Hash::Sha1, false),
            Some(client.first()),
            context("server"),
        );
        let server_first = challenge(exchange.supply(Some(stored.clone())));
        let (last, _) = client.last(&server_first).unwrap();
        exchange.respond(change(String::from_utf8(last).unwrap()).into_bytes())
    };
    assert!(matches!(try_final(&|m| m), Step::Success { .. }));
    let refused = Step::Failure(SaslFailure::NotAuthorized);
    assert_eq!(
        try_final(&|m| m.replace("r=clientserver", "r=client")),
        refused,
        "nonce cut"
    );
    assert_eq!(
        try_final(&|m| m.replace("r=clientserver", "r=clientserverx")),
        refused,
        "nonce longer"
    );
    assert_eq!(
        try_final(&|m| m.replace("c=biws", "c=eSws")),
        refused,
        "another flag"
    );
    assert_eq!(
        try_final(&|m| m.replace(",p=", ",x=1,p=")),
        refused,
        "not what was signed"
    );
    assert_eq!(
        try_final(&|m| format!("{}p=AAAA", &m[..m.find("p=").unwrap()])),
        refused,
        "short proof"
    );
    let malformed = Step::Failure(SaslFailure::MalformedRequest);
    assert_eq!(try_final(&|m| m.replace("c=biws", "c=bi ws")), malformed);
    assert_eq!(try_final(&|m| m.replace(",p=", ",m=1,p=")), malformed);
    assert_eq!(
        try_final(&|m| m.split(",p=").next().unwrap().to_owned()),
        malformed
    );
    assert_eq!(try_final(&|_| String::new()), malformed);
}

#[test]
fn sasl_11_unknown_users_look_like_wrong_passwords() {
    let first = || b"n,,n=nobody,r=client".to_vec();
    let ask = |secret: &[u8]| {
        let context = Context {
            fake_secret: secret.to_vec(),
            ..context("server")
        };
        let (mut exchange, step) =
            Exchange::start(scram(Hash::Sha256, false), Some(first()), context);
        assert_eq!(
            step,
            Step::NeedVerifier {
                username: "nobody".to_owned(),
                hash: Some(Hash::Sha256)
            }
        );
        challenge(exchange.supply(None))
    };
    assert_eq!(ask(SECRET), ask(SECRET), "the same salt each time");
    assert_ne!(ask(SECRET), ask(b"another server"));
    let fake = ScramVerifier::fake(Hash::Sha256, SECRET, "nobody@example.com");
    let real =
        ScramVerifier::derive(Hash::Sha256, "x", &[1; SALT_BYTES], DEFAULT_ITERATIONS).unwrap();
    assert_eq!(
        (fake.salt.len(), fake.iterations),
        (real.salt.len(), real.iterations)
    );
    assert_eq!(
        (fake.stored_key.len(), fake.server_key.len()),
        (real.stored_key.len(), real.server_key.len())
    );
    assert_ne!(
        fake.salt,
        ScramVerifier::fake(Hash::Sha1, SECRET, "nobody@example.com").salt
    );
    for hash in Hash::ALL {
        let step = run(
            scram(hash, false),
            "n,,",
            b"",
            "pencil",
            None,
            context("server"),
        );
        assert_eq!(step, Step::Failure(SaslFailure::NotAuthorized));
    }
    // A verifier of another hash is none.
    let step = run(
        scram(Hash::Sha1, false),
        "n,,",
        b"",
        "pencil",
        Some(verifier(Hash::Sha256, "pencil")),
        context("server"),
    );
    assert_eq!(step, Step::Failure(SaslFailure::NotAuthorized));
}

#[test]
fn names_that_cannot_be_accounts_fail_late() {
    let (mut exchange, step) = Exchange::start(
        scram(Hash::Sha1, false),
        Some(b"n,,n=a b,r=x".to_vec()),
        context("s"),
    );
    assert_eq!(
        step,
        Step::NeedVerifier {
            username: "a b".to_owned(),
            hash: Some(Hash::Sha1)
        }
    );
    assert!(matches!(exchange.supply(None), Step::Challenge(_)));
}

/// LAYER-08: a SASL identity to act as is checked, whatever the password proves.
#[test]
fn sasl_12_authorization_identities() {
    let stored = || Some(verifier(Hash::Sha1, "pencil"));
    let with = |header: &str| {
        run(
            scram(Hash::Sha1, false),
            header,
            b"",
            "pencil",
            stored(),
            context("server"),
        )
    };
    success(Some("juliet@example.com"), &with("n,a=juliet@example.com,"));
    success(Some("Juliet@EXAMPLE.com"), &with("n,a=Juliet@EXAMPLE.com,"));
    for bad in [
        "romeo@example.com",
        "juliet@example.net",
        "juliet",
        "juliet@example.com/x",
        "@",
    ] {
        assert_eq!(
            with(&format!("n,a={bad},")),
            Step::Failure(SaslFailure::InvalidAuthzid),
            "{bad}"
        );
    }
}

#[test]
fn plain_messages() {
    let start =
        |message: &str| Exchange::start(Mechanism::Plain, Some(message.into()), context("s"));
    for (message, password, authzid) in [
        ("\0Juliet\0pencil", "pencil", None),
        (
            "juliet@example.com\0juliet\0pencil",
            "pencil",
            Some("juliet@example.com"),
        ),
    ] {
        let (mut exchange, step) = start(message);
        assert_eq!(
            step,
            Step::NeedVerifier {
                username: "juliet".to_owned(),
                hash: None
            }
        );
        success(
            authzid,
            &exchange.supply(Some(verifier(Hash::Sha256, password))),
        );
        let (mut exchange, _) = start(message);
        let step = exchange.supply(Some(verifier(Hash::Sha512, "other")));
        assert_eq!(step, Step::Failure(SaslFailure::NotAuthorized));
        let (mut exchange, _) = start(message);
        assert_eq!(
            exchange.supply(None),
            Step::Failure(SaslFailure::NotAuthorized)
        );
    }
    for bad in [
        "",
        "juliet\0pencil",
        "\0juliet",
        "\0\0pencil",
        "\0juliet\0",
        "\0juliet\0pen\0cil",
    ] {
        assert_eq!(
            start(bad).1,
            Step::Failure(SaslFailure::MalformedRequest),
            "{bad:?}"
        );
    }
    assert_eq!(
        start("romeo@example.com\0juliet\0pencil").1,
        Step::Failure(SaslFailure::InvalidAuthzid)
    );
}

#[test]
fn sasl_06_without_initial_response() {
    let (mut exchange, step) = Exchange::start(Mechanism::Plain, None, context("s"));
    assert_eq!(step, Step::Challenge(Vec::new()));
    assert!(matches!(
        exchange.respond(b"\0juliet\0pencil".to_vec()),
        Step::NeedVerifier { .. }
    ));
    assert!(
        matches!(exchange.respond(Vec::new()), Step::Failure(_)),
        "nothing was asked"
    );
}

#[test]
fn sasl_44_and_46_external() {
    let start = |proven: &[&str], authzid: &str| {
        let external = proven.iter().map(|s| (*s).to_owned()).collect();
        Exchange::start(
            Mechanism::External,
            Some(authzid.into()),
            Context {
                external,
                ..context("s")
            },
        )
        .1
    };
    let proven = |step: Step| match step {
        Step::Success {
            username,
            data: None,
            ..
        } => username,
        other => panic!("{other:?}"),
    };
    assert_eq!(proven(start(&["a@example.com"], "")), "a@example.com");
    assert_eq!(
        proven(start(&["a@example.com", "b@example.com"], "B@example.com")),
        "b@example.com"
    );
    assert_eq!(
        proven(start(&["example.net"], "Example.NET")),
        "example.net"
    );
    let invalid = Step::Failure(SaslFailure::InvalidAuthzid);
    assert_eq!(start(&["a@example.com", "b@example.com"], ""), invalid);
    assert_eq!(start(&["a@example.com"], "b@example.com"), invalid);
    assert_eq!(start(&["a@example.com"], "@"), invalid);
    assert_eq!(start(&[], ""), Step::Failure(SaslFailure::NotAuthorized));
}

#[test]
fn sasl_29_downgrade_hash_of_xep_0474() {
    let advertised = Advertised {
        mechanisms: vec!["SCRAM-SHA-1-PLUS".to_owned(), "SCRAM-SHA-1".to_owned()],
        bindings: Some(vec![
            "tls-server-end-point".to_owned(),
            "tls-exporter".to_owned(),
        ]),
    };
    assert_eq!(
        STANDARD.encode(Hash::Sha1.digest(advertised.text().as_bytes())),
        "G6k/rBLDqgOhRRaCuuatSDFkJ08="
    );
    let context = Context {
        advertised: Some(advertised),
        ..context("server")
    };
    let (mut exchange, _) = Exchange::start(
        scram(Hash::Sha1, false),
        Some(b"n,,n=a,r=x".to_vec()),
        context,
    );
    let first = challenge(exchange.supply(None));
    assert!(first.ends_with(b",h=G6k/rBLDqgOhRRaCuuatSDFkJ08="));
}

#[test]
fn sasl_04_strict_base64() {
    assert_eq!(decode(""), Ok(None));
    assert_eq!(decode("="), Ok(Some(Vec::new())));
    assert_eq!(decode("YQ=="), Ok(Some(b"a".to_vec())));
    for bad in [
        "YQ", "YQ=", "YQ===", "==", "Y Q==", "YQ==\n", "YR==", "YQ==YQ==", "Y-_=", "=YQ=",
    ] {
        assert_eq!(decode(bad), Err(SaslFailure::IncorrectEncoding), "{bad:?}");
    }
    assert_eq!(encode(b""), "=");
    assert_eq!(encode(b"a"), "YQ==");
}

#[test]
fn passwords_are_prepared() {
    let check = |password: &str| ScramVerifier::derive(Hash::Sha1, password, b"salt", 1);
    assert_eq!(check("").err(), Some(PasswordError::Disallowed));
    assert_eq!(check("a\tb").err(), Some(PasswordError::Disallowed));
    assert_eq!(check(&"x".repeat(1024)).err(), Some(PasswordError::TooLong));
    assert_eq!(
        check("a\u{a0}b"),
        check("a b"),
        "non-ASCII spaces become spaces"
    );
    assert_eq!(check("e\u{301}"), check("\u{e9}"), "NFC");
    assert_ne!(check("Pass"), check("pass"));
    assert!(!check("x").unwrap().verify_plain(""));
    assert!(!format!("{:?}", check("x").unwrap()).contains("key"));
}

#[test]
fn sasl_02_names_and_preference() {
    for mechanism in Mechanism::PREFERENCE {
        assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
    }
    let names = Mechanism::PREFERENCE.map(Mechanism::name);
    assert_eq!(
        (names[0], names[1], names[7]),
        ("EXTERNAL", "SCRAM-SHA-512-PLUS", "PLAIN")
    );
    assert!(Mechanism::Plain.needs_tls() && !scram(Hash::Sha1, false).needs_tls());
    assert_eq!(Mechanism::from_name("scram-sha-1"), None);
    assert_eq!(ChannelBindings::default().types(), Vec::<&str>::new());
    assert_eq!(
        bound().channel_bindings.types(),
        ["tls-exporter", "tls-server-end-point"]
    );
}
