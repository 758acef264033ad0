//! What accounts say about themselves, and to whom.

use crate::memory::Limits;
use crate::testing::House;

fn vcard(inside: &str) -> String {
    format!("<vCard xmlns='vcard-temp'>{inside}</vCard>")
}

#[tokio::test]
async fn ext_10_everybody_reads_and_nobody_can_tell_who_is_there() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    house.iq(&alice, "get", None, &vcard("")).await;
    house.got_error(&alice, "item-not-found");
    for account in ["alice@one.example", "nobody@one.example"] {
        house
            .iq_from("romeo@peer.example/x", "get", account, &vcard(""))
            .await;
        house.sent_error(account, "service-unavailable");
    }
    house
        .iq(&alice, "set", None, &vcard("<FN>Alice</FN>"))
        .await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house
        .iq_from(
            "romeo@peer.example/x",
            "get",
            "alice@one.example",
            &vcard(""),
        )
        .await;
    house.sent(
        "<iq from='alice@one.example' to='romeo@peer.example/x' type='result' id='q'>\
         <vCard xmlns='vcard-temp'><FN>Alice</FN></vCard></iq>",
    );
}

#[tokio::test]
async fn ext_10_nobody_changes_another_s() {
    let house = House::new().await;
    let bob = house.bind("bob@one.example/x");
    for account in ["alice@one.example", "nobody@one.example"] {
        house
            .iq(&bob, "set", Some(account), &vcard("<FN>B</FN>"))
            .await;
        house.got_error(&bob, "forbidden");
    }
}

#[tokio::test]
async fn ext_10_what_is_too_long_is_refused_and_who_is_blocked_reads_nothing() {
    let house = House::with(Limits {
        vcard_bytes: 100,
        ..Limits::default()
    })
    .await;
    let alice = house.bind("alice@one.example/phone");
    let long = vcard(&format!("<FN>{}</FN>", "x".repeat(100)));
    house.iq(&alice, "set", None, &long).await;
    house.got_error(&alice, "policy-violation");
    house.iq(&alice, "set", None, &vcard("<FN>A</FN>")).await;
    house.take(&alice);
    let block = "<block xmlns='urn:xmpp:blocking'><item jid='romeo@peer.example'/></block>";
    house.iq(&alice, "set", None, block).await;
    house.clear();
    house
        .iq_from(
            "romeo@peer.example/x",
            "get",
            "alice@one.example",
            &vcard(""),
        )
        .await;
    house.sent_error("alice@one.example", "service-unavailable");
}

#[tokio::test]
async fn vcards_of_the_old_form_are_read_in_the_new_one() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    let old = vcard(
        "<FN>Alice A</FN><N><FAMILY>A</FAMILY><GIVEN>Alice</GIVEN></N><NICKNAME>al</NICKNAME>\
         <EMAIL><WORK/><PREF/><USERID>a@one.example</USERID></EMAIL><TEL><HOME/><NUMBER/></TEL>\
         <ADR><HOME/><LOCALITY>Here</LOCALITY></ADR><ORG><ORGNAME>O</ORGNAME></ORG><URL>https://one.example/</URL>\
         <GEO><LAT>1</LAT><LON>2</LON></GEO><JABBERID>a@one.example</JABBERID><X-UNKNOWN>x</X-UNKNOWN>",
    );
    house.iq(&alice, "set", None, &old).await;
    let get = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>";
    house
        .iq_from("romeo@peer.example/x", "get", "alice@one.example", get)
        .await;
    let answer = house.take_sent();
    let new = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Alice A</text></fn>\
               <n><surname>A</surname><given>Alice</given></n><nickname><text>al</text></nickname>\
               <email><parameters><type><text>work</text></type><pref><integer>1</integer></pref></parameters><text>a@one.example</text></email>\
               <adr><parameters><type><text>home</text></type></parameters><locality>Here</locality></adr>\
               <org><text>O</text></org><url><uri>https://one.example/</uri></url><geo><uri>geo:1,2</uri></geo>\
               <impp><uri>xmpp:a@one.example</uri></impp></vcard>";
    assert!(answer.contains(new), "{answer}");
    // Who has none is like nobody.
    for account in ["bob@one.example", "nobody@one.example"] {
        house
            .iq_from("romeo@peer.example/x", "get", account, get)
            .await;
        house.sent_error(account, "service-unavailable");
    }
    // What is published in the new form is what is read there.
    let publish = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:vcard4'><item id='1'>\
                   <vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Other</text></fn></vcard></item></publish></pubsub>";
    house.clear();
    house.iq(&alice, "set", None, publish).await;
    house
        .iq(&alice, "get", Some("alice@one.example"), get)
        .await;
    let answer = house.all(&alice).concat();
    assert!(
        answer.contains("Other") && !answer.contains("Alice A"),
        "{answer}"
    );
}

const FOUR: &str = "urn:ietf:params:xml:ns:vcard-4.0";

fn publish(inside: &str) -> String {
    format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:vcard4'><item id='current'>\
         <vcard xmlns='{FOUR}'>{inside}</vcard></item></publish></pubsub>"
    )
}

/// XEP-0292: what is published in the new form is read in the old one, with all that the old one alone had words for.
#[tokio::test]
async fn vcards_of_the_new_form_are_read_in_the_old_one() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    let old = vcard("<FN>Old</FN><NICKNAME>o</NICKNAME><MAILER>m</MAILER>");
    house.iq(&alice, "set", None, &old).await;
    let new = "<fn><text>Alice A</text></fn><n><surname>A</surname><given>Alice</given></n>\
               <email><parameters><type><text>work</text></type><pref><integer>1</integer></pref></parameters><text>a@one.example</text></email>\
               <tel><parameters><type><text>cell</text></type></parameters><uri>tel:+1-2</uri></tel>\
               <adr><parameters><type><text>home</text></type></parameters><locality>Here</locality></adr>\
               <org><text>O</text><text>U</text></org><url><uri>https://one.example/</uri></url><geo><uri>geo:1,2</uri></geo>\
               <impp><uri>xmpp:a@one.example</uri></impp><bday><date>2000-01-02</date></bday><note><text>n</text></note><lang>x</lang>";
    house.iq(&alice, "set", None, &publish(new)).await;
    house.clear();
    house.iq(&alice, "get", None, &vcard("")).await;
    let got = house.take(&alice);
    let expected = "<FN>Alice A</FN><N><FAMILY>A</FAMILY><GIVEN>Alice</GIVEN></N>\
        <EMAIL><WORK/><PREF/><USERID>a@one.example</USERID></EMAIL><TEL><CELL/><NUMBER>+1-2</NUMBER></TEL>\
        <ADR><HOME/><LOCALITY>Here</LOCALITY></ADR><ORG><ORGNAME>O</ORGNAME><ORGUNIT>U</ORGUNIT></ORG><URL>https://one.example/</URL>\
        <GEO><LAT>1</LAT><LON>2</LON></GEO><JABBERID>a@one.example</JABBERID><BDAY>2000-01-02</BDAY><DESC>n</DESC><MAILER>m</MAILER>";
    assert!(got.contains(expected), "{got}");
    // Whom the node is closed to, it is closed to in either form.
    let romeo = "romeo@peer.example/x";
    house
        .iq_from(romeo, "get", "alice@one.example", &vcard(""))
        .await;
    let seen = house.take_sent();
    assert!(
        seen.contains("<MAILER>m</MAILER>") && !seen.contains("Alice") && !seen.contains("Old"),
        "{seen}"
    );
}

/// Who writes the old form of what there is in the new one writes that, and whoever wants to know is told.
#[tokio::test]
async fn who_writes_the_old_form_writes_the_new_one() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    house
        .iq(&alice, "set", None, &publish("<fn><text>New</text></fn>"))
        .await;
    house
        .iq(
            &alice,
            "set",
            None,
            &vcard("<FN>Later</FN><MAILER>m</MAILER>"),
        )
        .await;
    house.clear();
    let get = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>";
    house.iq(&alice, "get", None, get).await;
    let got = house.take(&alice);
    assert!(
        got.contains("<fn><text>Later</text></fn>") && !got.contains("New"),
        "{got}"
    );
    house.iq(&alice, "get", None, &vcard("")).await;
    let got = house.take(&alice);
    assert!(got.contains("<FN>Later</FN><MAILER>m</MAILER>"), "{got}");
    // Too much of either is refused before anything is written.
    let item = format!("<fn><text>{}</text></fn>", "x".repeat(300_000));
    house.iq(&alice, "set", None, &publish(&item)).await;
    house.got_error(&alice, "not-acceptable");
    house.iq(&alice, "get", None, &vcard("")).await;
    assert!(house.take(&alice).contains("<FN>Later</FN>"));
}
