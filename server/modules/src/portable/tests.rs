//! Out of one house and into another; and what strangers may write into a file.

use std::io::Cursor;

use store::{
    ArchiveQuery, Export, Import, ItemsAsked, Moved, NewArchived, PrivateXml, Subscription,
};
use xmpp::element::Element;
use xmpp::sasl::{Hash, ScramVerifier};

use super::*;
use crate::testing::House;

const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

fn everything() -> Import {
    Import {
        only: None,
        host: None,
        dir: None,
        bytes: 64 << 20,
        accounts: 100,
        roster_items: 100,
        archive_bytes: 1 << 20,
        offline_bytes: 1 << 20,
    }
}

/// EXT-38: an archived message has its owner's address of here, whichever end that is; a stranger's letter is none of theirs.
#[test]
fn ext_38_an_archived_message_is_of_whoever_moved() {
    let address = |text| BareJid::parse(text).expect("an address");
    let (here, old) = (address("juliet@two.example"), address("juliet@one.example"));
    let read = |from: &str, to: &str| {
        let result = format!(
            "<result xmlns='urn:xmpp:mam:2' id='x'><forwarded xmlns='urn:xmpp:forward:0'>\
             <delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>\
             <message xmlns='jabber:client' from='{from}' to='{to}'><body>hi</body></message></forwarded></result>"
        );
        let result = Element::parse(&result, "").expect("well-formed");
        super::parts::archived(&result, &here, Some(&old)).map(|new| {
            let text = String::from_utf8_lossy(&new.stanza).into_owned();
            (new.sent, new.peer, text)
        })
    };
    let romeo = "romeo@peer.example/x";
    for (from, to, sent, now) in [
        ("juliet@one.example/y", romeo, true, "juliet@two.example/y"),
        ("juliet@two.example/y", romeo, true, "juliet@two.example/y"),
        (romeo, "juliet@one.example", false, "juliet@two.example"),
    ] {
        let (was_sent, peer, text) = read(from, to).expect("kept");
        assert_eq!((was_sent, peer.as_str()), (sent, "romeo@peer.example"));
        assert!(
            text.contains(now) && !text.contains("one.example"),
            "{text}"
        );
    }
    let strange = read(romeo, "nurse@one.example");
    assert_eq!(strange.err(), Some("it is not of this account"));
}

async fn take(house: &House, wanted: Import, file: impl Into<Vec<u8>>) -> Moved {
    let domain = DomainName::parse("one.example").expect("a name");
    let source = Box::new(Cursor::new(file.into()));
    let limits = Limits::default();
    import(
        house.store(),
        &domain,
        &limits,
        wanted,
        source,
        NOW,
        &|_| {},
    )
    .await
    .expect("the store takes it")
}

async fn give(house: &House, wanted: Export) -> (Moved, String) {
    let domain = DomainName::parse("one.example").expect("a name");
    let mut out = Vec::new();
    let limits = Limits::default();
    let moved = export(house.store(), &domain, &limits, &wanted, &mut out, &|_| {})
        .await
        .expect("written");
    (moved, String::from_utf8(out).expect("text"))
}

fn file(people: &str) -> String {
    format!(
        "<?xml version='1.0'?><server-data xmlns='{PIE}'><host jid='one.example'>{people}</host></server-data>"
    )
}

fn why(moved: &Moved) -> Vec<String> {
    let line = |s: &store::Skipped| format!("{}: {}: {}", s.account, s.what, s.why);
    moved.skipped.iter().map(line).collect()
}

/// As another server might write it: prefixes, a comment, sections of character data, pretty-printing.
const JULIET: &str = "<user name='juliet' password='wherefore art thou'>
  <!-- a comment -->
  <query xmlns='jabber:iq:roster'>
    <item jid='romeo@peer.example' name='Romeo &amp; co' subscription='both'><group>Friends</group></item>
    <item jid='nurse@one.example' subscription='none' ask='subscribe'/>
  </query>
  <presence xmlns='jabber:client' type='subscribe' from='paris@peer.example/x'><status>hello</status></presence>
  <v:vCard xmlns:v='vcard-temp'><v:FN><![CDATA[Juliet <Capulet>]]></v:FN></v:vCard>
  <query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'><defaultnick>J</defaultnick></exodus></query>
  <query xmlns='jabber:iq:privacy'><default name='p'/>
    <list name='p'><item type='jid' value='tybalt@peer.example' action='deny' order='1'/>
    <item type='group' value='x' action='deny' order='2'/><item action='allow' order='3'/></list></query>
  <pubsub xmlns='http://jabber.org/protocol/pubsub'>
    <items node='urn:xmpp:bookmarks:1'><item id='a@rooms.one.example'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/></item>
      <item id='b@rooms.one.example'><conference xmlns='urn:xmpp:bookmarks:1'/></item></items>
    <items node='http://jabber.org/protocol/nick'><item id='current'><nick xmlns='http://jabber.org/protocol/nick'>J</nick></item></items>
  </pubsub>
  <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
    <configure node='urn:xmpp:bookmarks:1'><x xmlns='jabber:x:data' type='form'>
      <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#node_config</value></field>
      <field var='pubsub#access_model'><value>whitelist</value></field><field var='pubsub#max_items'><value>max</value></field></x></configure>
    <configure node='http://jabber.org/protocol/nick'><x xmlns='jabber:x:data' type='submit'>
      <field var='pubsub#access_model'><value>authorize</value></field><field var='pubsub#itemreply'><value>owner</value></field></x></configure>
    <affiliations node='http://jabber.org/protocol/nick'><affiliation jid='romeo@peer.example' affiliation='member'/></affiliations>
  </pubsub>
  <archive xmlns='urn:xmpp:pie:0#mam'>
    <result xmlns='urn:xmpp:mam:2' id='28482'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>
      <message xmlns='jabber:client' to='juliet@one.example/balcony' from='romeo@peer.example/orchard' type='chat'><body>Call me but love</body></message></forwarded></result>
    <result xmlns='urn:xmpp:mam:2' id='5d398'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>
      <message xmlns='jabber:client' from='juliet@one.example/balcony' to='romeo@peer.example' id='8a' type='chat'><body>What man</body></message></forwarded></result>
  </archive>
  <offline-messages><message xmlns='jabber:client' from='romeo@peer.example/o' to='juliet@one.example' type='chat'><body>Later</body>
    <delay xmlns='urn:xmpp:delay' from='one.example' stamp='2026-01-01T00:00:00Z'/></message></offline-messages>
</user>";

#[tokio::test]
async fn ext_38_what_another_server_wrote_comes_in_and_goes_out_again() {
    let house = House::new().await;
    let moved = take(&house, everything(), file(JULIET)).await;
    assert_eq!((moved.accounts, moved.known, &moved.ended), (1, 0, &None));
    assert_eq!(
        why(&moved),
        [
            "juliet: item of privacy list \"p\": only addresses that are denied everything can be blocked here",
            "juliet: node http://jabber.org/protocol/nick: option pubsub#access_model: it is not known here, or too much",
            "juliet: node http://jabber.org/protocol/nick: option pubsub#itemreply: it is not known here, or too much",
        ]
    );
    for (what, n) in [
        ("contacts", 2),
        ("requests", 1),
        ("vCards", 1),
        ("private elements", 1),
        ("nodes", 2),
        ("items", 3),
        ("blocked addresses", 1),
        ("archived messages", 2),
        ("offline messages", 1),
        ("passwords", 1),
    ] {
        assert_eq!(moved.things.get(what), Some(&n), "{what}");
    }
    let store = house.store();
    let account = store
        .account_active("juliet")
        .await
        .expect("read")
        .expect("there");
    for hash in Hash::ALL {
        let verifier = store.credentials_for("juliet", hash).await.expect("read");
        assert!(verifier.expect("there").verify_plain("wherefore art thou"));
    }
    let roster = store.roster_load(account).await.expect("read");
    assert_eq!(roster.items[1].name, "Romeo & co");
    assert_eq!(roster.items[1].subscription, Subscription::Both);
    assert!(roster.items[0].ask);
    let nodes = store.pubsub_nodes(account).await.expect("read");
    // Who may read a node is never more than the file says.
    assert_eq!(nodes[0].config.access, store::Access::Whitelist);
    assert_eq!(nodes[0].people.members, ["romeo@peer.example"]);
    let page = store
        .archive_page(account, &ArchiveQuery::default())
        .await
        .expect("read");
    assert_eq!(page.len(), 2, "both of one second");
    let bytes: usize = page.iter().map(|m| m.stanza.len()).sum();
    assert_eq!(
        store.archive_bytes(account).await.expect("counted"),
        bytes as u64
    );

    // A second time nothing happens.
    let again = take(&house, everything(), file(JULIET)).await;
    assert_eq!((again.accounts, again.known), (0, 1));
    assert!(again.things.is_empty(), "{:?}", again.things);

    // Out of this house and into an empty one: the same again, and the same file.
    let whole = Export {
        archive: true,
        credentials: true,
        ..Export::default()
    };
    let (out, text) = give(&house, whole.clone()).await;
    assert_eq!(out.accounts, 4);
    let other = House::new().await;
    let came = take(&other, everything(), text.clone()).await;
    assert_eq!((why(&came), &came.ended), (vec![], &None));
    assert_eq!((came.accounts, came.known), (1, 3));
    assert!(came.lacking.is_empty());
    let (_, copy) = give(&other, whole).await;
    assert_eq!(copy, text);
    // Without being asked, neither archive nor verifiers leave.
    let (_, bare) = give(&house, Export::default()).await;
    assert!(!bare.contains("scram-credentials") && !bare.contains("<archive"));
    assert!(bare.contains("<offline-messages>"));
    let only = Export {
        only: Some("alice".into()),
        ..Export::default()
    };
    assert!(!give(&house, only).await.1.contains("juliet"));
}

#[tokio::test]
async fn ext_38_what_is_there_stays() {
    let house = House::new().await;
    let store = house.store();
    let alice = store
        .account_active("alice")
        .await
        .expect("read")
        .expect("there");
    let kept = ScramVerifier::derive(Hash::Sha256, "mine", &[1; 16], 4_096).expect("derived");
    store
        .account_set_credentials("alice", &[kept], NOW)
        .await
        .expect("set");
    store
        .vcard_set(alice, b"<vCard xmlns='vcard-temp'/>")
        .await
        .expect("set");
    let private = PrivateXml {
        namespace: "exodus:prefs".into(),
        name: "exodus".into(),
        payload: b"<exodus xmlns='exodus:prefs'/>".to_vec(),
    };
    assert!(
        store
            .private_put(alice, &[private], 1_000)
            .await
            .expect("put")
    );
    let moved = take(
        &house,
        everything(),
        file(&JULIET.replace("name='juliet'", "name='Alice'")),
    )
    .await;
    assert_eq!((moved.accounts, moved.known), (0, 1));
    for what in ["passwords", "vCards", "private elements"] {
        assert_eq!(moved.things.get(what), None, "{what}");
    }
    let verifier = store
        .credentials_for("alice", Hash::Sha256)
        .await
        .expect("read");
    assert!(verifier.expect("there").verify_plain("mine"));
    assert_eq!(
        store.vcard(alice).await.expect("read").expect("there"),
        b"<vCard xmlns='vcard-temp'/>"
    );
}

#[tokio::test]
async fn ext_38_an_archive_comes_in_between_what_is_there() {
    let house = House::new().await;
    let store = house.store();
    let alice = store
        .account_active("alice")
        .await
        .expect("read")
        .expect("there");
    for (at, body) in [(0, "before"), (NOW.0, "after")] {
        let new = NewArchived {
            id: store::ArchiveId { at, salt: at },
            peer: "romeo@peer.example".into(),
            resource: String::new(),
            sent: false,
            message: 0,
            stanza: format!("<message from='romeo@peer.example'><body>{body}</body></message>")
                .into(),
        };
        store.archive_add(alice, new).await.expect("kept");
    }
    let people = JULIET.replace("juliet", "alice");
    let moved = take(&house, everything(), file(&people)).await;
    assert_eq!(
        moved.things.get("archived messages"),
        Some(&2),
        "{:?}",
        why(&moved)
    );
    let page = store
        .archive_page(alice, &ArchiveQuery::default())
        .await
        .expect("read");
    assert_eq!(page.len(), 4);
    let bytes: usize = page.iter().map(|m| m.stanza.len()).sum();
    assert_eq!(
        store.archive_bytes(alice).await.expect("counted"),
        bytes as u64
    );
}

#[tokio::test]
async fn ext_38_limits_hold_and_are_named() {
    let house = House::new().await;
    let narrow = Import {
        accounts: 0,
        ..everything()
    };
    let moved = take(&house, narrow, file(JULIET)).await;
    assert_eq!(
        why(&moved),
        ["juliet: user: there is no room for more accounts"]
    );
    let narrow = Import {
        roster_items: 1,
        archive_bytes: 120,
        offline_bytes: 10,
        ..everything()
    };
    let moved = take(&house, narrow, file(JULIET)).await;
    let said = why(&moved).join("\n");
    for line in [
        "contact nurse@one.example: the roster is full",
        "archived message: the archives are full",
        "offline message: there is no room for more of them",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    let long = format!(
        "<user name='bob'><vCard xmlns='vcard-temp'><FN>{}</FN></vCard></user>",
        "x".repeat(300 << 10)
    );
    let moved = take(&house, everything(), file(&long)).await;
    assert!(
        why(&moved)[0].contains("a vCard has at most"),
        "{:?}",
        why(&moved)
    );
}

#[tokio::test]
async fn ext_38_hostile_files_are_refused_and_what_was_good_stays() {
    let house = House::new().await;
    let deep = format!(
        "<user name='bob'>{}{}</user>",
        "<a xmlns='b'>".repeat(500),
        "</a>".repeat(500)
    );
    let long = format!(
        "<user name='bob'><a xmlns='b'>{}</a></user>",
        "y".repeat(6 << 20)
    );
    let many = format!(
        "<user name='bob'><a xmlns='b'>{}</a></user>",
        "<c/>".repeat(2 << 20)
    );
    let tag = format!("<user name='bob' x='{}'/>", "z".repeat(6 << 20));
    for (name, text, ended, skipped) in [
        (
            "entities",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><server-data xmlns='urn:xmpp:pie:0'/>".into(),
            "document types",
            "",
        ),
        (
            "an entity",
            file("<user name='bob'><vCard xmlns='vcard-temp'>&boom;</vCard></user>"),
            "",
            "not well-formed",
        ),
        (
            "another document",
            "<html/>".into(),
            "not <server-data/>",
            "",
        ),
        ("nothing", String::new(), "too early", ""),
        ("half", file(JULIET)[..900].to_owned(), "end of input", ""),
        ("two", file("") + &file(""), "more than one element", ""),
        ("not XML", "\u{0}\u{1}\u{2}".into(), "", ""),
        (
            "wrong ends",
            file("<user name='bob'></host></user>"),
            "expected",
            "",
        ),
        ("depth", file(&deep), "", "too deep"),
        ("a long text", file(&long), "too long", ""),
        ("a long piece", file(&many), "", "longer than"),
        ("a long tag", file(&tag), "too long", ""),
        ("no name", file("<user/>"), "no name", ""),
        (
            "another host",
            file(JULIET).replace("'one.example'", "'two.example'"),
            "",
            "another domain",
        ),
        ("a bad name", file("<user name='a b@c'/>"), "", "RFC 7622"),
        ("text", file("hello"), "", "text stands between"),
        (
            "an unknown element",
            file("<user name='bob'><x xmlns='y'/></user>"),
            "",
            "not known here",
        ),
        (
            "a prefix nobody declared",
            file("<user name='bob'><q:x/></user>"),
            "not well-formed",
            "",
        ),
        (
            "a file of others",
            file("<include xmlns='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>"),
            "",
            "files beside this one",
        ),
    ] {
        let moved = take(&house, everything(), text).await;
        let said = why(&moved).join("\n");
        let why_ended = moved.ended.clone().unwrap_or_default();
        assert!(why_ended.contains(ended), "{name}: {why_ended}");
        assert!(said.contains(skipped), "{name}: {said}");
        assert!(
            moved.ended.is_some() || !said.is_empty(),
            "{name}: nobody is told"
        );
    }
    // What was read before the file broke off is there.
    assert!(
        house
            .store()
            .account_active("juliet")
            .await
            .expect("read")
            .is_some()
    );
    let big = Import {
        bytes: 1_000,
        ..everything()
    };
    let moved = take(&house, big, file(JULIET)).await;
    assert!(
        moved
            .ended
            .expect("ended")
            .contains("larger than may be read")
    );
}

#[tokio::test]
async fn ext_38_credentials_are_whole_or_not_taken() {
    let house = House::new().await;
    let verifier = ScramVerifier::derive(Hash::Sha1, "old", &[9; 12], 4_096).expect("derived");
    let part = |key: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(key)
    };
    let whole = format!(
        "<scram-credentials xmlns='{SCRAM}' mechanism='SCRAM-SHA-1'><iter-count>4096</iter-count><salt>{}</salt>\
         <server-key>{}</server-key><stored-key>{}</stored-key></scram-credentials>",
        part(&verifier.salt),
        part(&verifier.server_key),
        part(&verifier.stored_key)
    );
    let another = whole.replace(&part(&verifier.stored_key), &part(&verifier.server_key));
    for broken in [
        whole.replace("SHA-1'", "SHA-3'"),
        whole.replace("4096", "04096"),
        whole.replace("4096", "1"),
        whole.replace("4096", "4000000000"),
        whole.replace("<salt>", "<salt>!"),
        whole.replacen("<server-key>", "<server-key>AAAA", 1),
        format!("<scram-credentials xmlns='{SCRAM}'/>"),
    ] {
        let moved = take(
            &house,
            everything(),
            file(&format!("<user name='eve'>{broken}</user>")),
        )
        .await;
        assert_eq!(moved.things.get("passwords"), None, "{broken}");
        assert_eq!(moved.skipped.len(), 1, "{broken}");
    }
    let moved = take(
        &house,
        everything(),
        file(&format!("<user name='eve'>{whole}{whole}{another}</user>")),
    )
    .await;
    assert_eq!(moved.skipped.len(), 1, "the one that is another");
    assert_eq!(
        moved.lacking.iter().copied().collect::<Vec<_>>(),
        ["SHA-256", "SHA-512"]
    );
    let kept = house
        .store()
        .credentials_for("eve", Hash::Sha1)
        .await
        .expect("read");
    assert!(kept.expect("there").verify_plain("old"));

    // COMPAT: ejabberd encodes twice.
    let twice = [&verifier.salt, &verifier.server_key, &verifier.stored_key]
        .into_iter()
        .fold(whole, |text, key| {
            text.replace(&part(key), &part(part(key).as_bytes()))
        });
    let twice = format!("<user name='mallory'>{twice}</user>");
    let moved = take(&house, everything(), file(&twice)).await;
    assert_eq!(moved.things.get("passwords"), Some(&1), "{:?}", why(&moved));
}

#[tokio::test]
async fn ext_38_files_include_others_beside_them_and_none_elsewhere() {
    const XI: &str = "xmlns:xi='http://www.w3.org/2001/XInclude'";
    let house = House::new().await;
    let outside = tempfile::tempdir().expect("a directory");
    let dir = tempfile::tempdir().expect("a directory");
    let write =
        |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    std::fs::create_dir(dir.path().join("one.example")).expect("made");
    std::fs::write(
        outside.path().join("x.xml"),
        format!("<user xmlns='{PIE}' name='thief'/>"),
    )
    .expect("written");
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).expect("linked");
    let main = format!(
        "<server-data xmlns='{PIE}' {XI}><xi:include href='one.example.xml'/></server-data>"
    );
    let includes = [
        "one.example/juliet%2Exml",
        "../x.xml",
        "link/x.xml",
        "/etc/passwd",
        "http://x.example/y",
        "gone.xml",
        "loop.xml",
    ]
    .map(|href| format!("<xi:include href='{href}'/>"));
    let host = format!(
        "<host xmlns='{PIE}' {XI} jid='one.example'>{}<xi:include href='a' parse='text'/></host>",
        includes.concat()
    );
    write("one.example.xml", &host);
    write(
        "one.example/juliet.xml",
        &JULIET.replacen("<user", &format!("<user xmlns='{PIE}'"), 1),
    );
    write(
        "loop.xml",
        &format!("<user xmlns='{PIE}' {XI} name='bob'><xi:include href='more.xml'/></user>"),
    );
    write(
        "more.xml",
        "<vCard xmlns='vcard-temp'><xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='../secret'/></vCard>",
    );
    let wanted = Import {
        dir: Some(dir.path().to_owned()),
        ..everything()
    };
    let moved = take(&house, wanted, main).await;
    assert_eq!(
        (moved.accounts, moved.known, &moved.ended),
        (1, 1, &None),
        "{:?}",
        why(&moved)
    );
    assert_eq!(moved.things.get("vCards"), Some(&2));
    let lost = why(&moved)
        .iter()
        .filter(|line| line.contains("include of"))
        .count();
    assert_eq!(lost, 6, "{:?}", why(&moved));
    let bob = house
        .store()
        .account_active("bob")
        .await
        .expect("read")
        .expect("there");
    let vcard = house
        .store()
        .vcard(bob)
        .await
        .expect("read")
        .expect("there");
    assert!(
        String::from_utf8_lossy(&vcard).contains("../secret"),
        "data of people is left as it is"
    );
    let nodes = house.store().pubsub_nodes(bob).await.expect("read");
    assert!(nodes.is_empty());
    let asked = ItemsAsked::After(None);
    let juliet = house
        .store()
        .account_active("juliet")
        .await
        .expect("read")
        .expect("there");
    for node in house.store().pubsub_nodes(juliet).await.expect("read") {
        let page = house
            .store()
            .pubsub_items(juliet, node.id, &asked, 10, 10_000)
            .await
            .expect("read");
        assert!(!page.expect("a page").items.is_empty());
    }
}
