//! RFC 6121, Appendix A, cell by cell against the running server: nine states, four words, both directions.
//!
//! The tables stand here as they are printed. A contact at a scripted peer for each cell, so that one may say whatever it
//! likes; what is routed is what the peer hears, what is delivered is what the account's session gets, and the state is what
//! the roster says and which requests a new session is shown.

use std::collections::BTreeSet;

use crate::harness::xmpp::{Client, Connection};
use crate::lab::actor::{Actor, Script};
use crate::lab::authority::Shape;
use crate::lab::house::unique;
use crate::lab::meeting::call;
use crate::lab::wire::Wire;
use crate::lab::world::{OPEN, World, world};

const WORDS: [&str; 4] = ["subscribe", "unsubscribe", "subscribed", "unsubscribed"];

/// States of A.1: the `subscription` and `ask` of the roster item, and whether a request of the contact waits.
const STATES: [(&str, bool, bool); 9] = [
    ("none", false, false),
    ("none", true, false),
    ("none", false, true),
    ("none", true, true),
    ("to", false, false),
    ("to", false, true),
    ("from", false, false),
    ("from", true, false),
    ("both", false, false),
];
const NONE: usize = 0;
const NONE_OUT: usize = 1;
const NONE_IN: usize = 2;
const NONE_OUT_IN: usize = 3;
const TO: usize = 4;
const TO_IN: usize = 5;
const FROM: usize = 6;
const FROM_OUT: usize = 7;
const BOTH: usize = 8;

/// How a state is come to: who says what; `>` the account.
const WAYS: [&[&str]; 9] = [
    &[],
    &[">subscribe"],
    &["<subscribe"],
    &[">subscribe", "<subscribe"],
    &[">subscribe", "<subscribed"],
    &[">subscribe", "<subscribed", "<subscribe"],
    &["<subscribe", ">subscribed"],
    &["<subscribe", ">subscribed", ">subscribe"],
    &["<subscribe", ">subscribed", ">subscribe", "<subscribed"],
];

/// A.2.1 to A.2.4: whether the word is routed, and the state afterwards.
const OUTBOUND: [[(bool, usize); 9]; 4] = [
    // subscribe
    [
        (true, NONE_OUT),
        (true, NONE_OUT),
        (true, NONE_OUT_IN),
        (true, NONE_OUT_IN),
        (true, TO),
        (true, TO_IN),
        (true, FROM_OUT),
        (true, FROM_OUT),
        (true, BOTH),
    ],
    // unsubscribe
    [
        (true, NONE),
        (true, NONE),
        (true, NONE_IN),
        (true, NONE_IN),
        (true, NONE),
        (true, NONE_IN),
        (true, FROM),
        (true, FROM),
        (true, FROM),
    ],
    // subscribed
    [
        (false, NONE),
        (false, NONE_OUT),
        (true, FROM),
        (true, FROM_OUT),
        (false, TO),
        (true, BOTH),
        (false, FROM),
        (false, FROM_OUT),
        (false, BOTH),
    ],
    // unsubscribed
    [
        (false, NONE),
        (false, NONE_OUT),
        (true, NONE),
        (true, NONE_OUT),
        (false, TO),
        (true, TO),
        (true, NONE),
        (true, NONE_OUT),
        (true, TO),
    ],
];

/// A.3.1 to A.3.4: whether the word is delivered, and the state afterwards.
const INBOUND: [[(bool, usize); 9]; 4] = [
    // subscribe
    [
        (true, NONE_IN),
        (true, NONE_OUT_IN),
        (false, NONE_IN),
        (false, NONE_OUT_IN),
        (true, TO_IN),
        (false, TO_IN),
        (false, FROM),
        (false, FROM_OUT),
        (false, BOTH),
    ],
    // unsubscribe
    [
        (false, NONE),
        (false, NONE_OUT),
        (true, NONE),
        (true, NONE_OUT),
        (false, TO),
        (true, TO),
        (true, NONE),
        (true, NONE_OUT),
        (true, TO),
    ],
    // subscribed
    [
        (false, NONE),
        (true, TO),
        (false, NONE_IN),
        (true, TO_IN),
        (false, TO),
        (false, TO_IN),
        (false, FROM),
        (true, BOTH),
        (false, BOTH),
    ],
    // unsubscribed
    [
        (false, NONE),
        (true, NONE),
        (false, NONE_IN),
        (true, NONE_IN),
        (true, NONE),
        (true, NONE_IN),
        (false, FROM),
        (true, FROM),
        (true, FROM),
    ],
];

/// C-11: a request that is taken back by somebody who is not in the roster is forgotten without a word (3.3.3), though A.3.2
/// would have it delivered.
const FORGOTTEN: (usize, usize) = (1, NONE_IN);

/// A.3.1 note 2, A.3.2 note 1: what the server answers by itself.
fn reply(word: usize, state: usize) -> Option<&'static str> {
    match (WORDS[word], state) {
        ("subscribe", FROM | FROM_OUT | BOTH) => Some("subscribed"),
        ("unsubscribe", NONE_OUT_IN | TO_IN | FROM | FROM_OUT | BOTH) => Some("unsubscribed"),
        _ => None,
    }
}

/// One account of ours and the peer with whom it has to do.
struct Play<'a> {
    actor: &'a Actor,
    wire: Wire,
    account: Client,
    bare: String,
}

impl Play<'_> {
    /// Somebody says a word to the other.
    fn say(&mut self, said: &str, contact: &str) {
        let bare = &self.bare;
        match said.split_at(1) {
            (">", word) => self
                .account
                .send(&format!("<presence to='{contact}' type='{word}'/>")),
            (_, word) => {
                self.wire.say(&format!(
                    "<presence from='{contact}' to='{bare}' type='{word}'/>"
                ));
            }
        }
    }

    /// Everything that was said on either side has been worked on, and what follows from it has arrived. What the account's
    /// session got meanwhile.
    fn settle(&mut self) -> Vec<String> {
        let (id, domain) = (unique("settle"), &self.actor.domain);
        self.wire.say(&format!(
            "<iq from='{domain}' to='{OPEN}' type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ));
        self.actor.until(&format!("id='{id}'"));
        let got = self.account.settle();
        let id = unique("settle");
        self.account.send(&format!(
            "<message to='somebody@{domain}' id='{id}' type='chat'><body>x</body></message>"
        ));
        self.actor.until(&format!("id='{id}'"));
        got
    }
}

fn login(world: &World, user: &str) -> Client {
    let mut connection = Connection::open((world.house.ip, 5222).into(), OPEN);
    connection.negotiate_tls(world.roots_of(OPEN));
    Client::authenticate(connection, user, crate::lab::house::PASSWORD, &unique("a"))
}

/// IM-08 to IM-14, CS-11
#[test]
fn im_08_every_cell_of_appendix_a() {
    let world = world();
    let actor = world.peer(
        "appendix",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let user = unique("appendix").to_lowercase();
    let bare = format!("{user}@{OPEN}");
    world.house.done(
        &["user", "add", &bare, "--password-stdin"],
        crate::lab::house::PASSWORD,
    );
    let (wire, _, outcome) = call(world, OPEN, &actor, Some(&actor.identity));
    assert_eq!(outcome, "open");
    let mut account = login(world, &user);
    account.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    let mut play = Play {
        actor: &actor,
        wire,
        account: account.available(),
        bare: bare.clone(),
    };
    let cells: Vec<(bool, usize, usize, String)> = [true, false]
        .into_iter()
        .flat_map(|out| (0..4).flat_map(move |word| (0..9).map(move |state| (out, word, state))))
        .map(|(out, word, state)| {
            let way = if out { "out" } else { "in" };
            let contact = format!("{way}-{}-{state}@{}", WORDS[word], actor.domain);
            (out, word, state, contact)
        })
        .collect();
    for step in 0..4 {
        for (_, _, state, contact) in &cells {
            if let Some(said) = WAYS[*state].get(step) {
                play.say(said, contact);
            }
        }
        play.settle();
    }
    check_states(
        world,
        &mut play,
        &user,
        &cells,
        |_, _, state| state,
        "before",
    );
    let before = actor.heard().len();
    for (out, word, _, contact) in &cells {
        let way = if *out { ">" } else { "<" };
        play.say(&format!("{way}{}", WORDS[*word]), contact);
    }
    let got = play.settle();
    let heard = actor.heard().split_off(before);
    for (out, word, state, contact) in &cells {
        let table = if *out { &OUTBOUND } else { &INBOUND };
        let (passes, _) = table[*word][*state];
        let cell = format!("{contact} in {:?}", STATES[*state]);
        let presence = |item: &&String, word: &str, mark: &str| {
            item.starts_with("<presence")
                && item.contains(mark)
                && item.contains(&format!("type='{word}'"))
        };
        let to = format!("to='{contact}'");
        let from = format!("from='{contact}'");
        let routed = |word: &str| heard.iter().any(|item| presence(&item, word, &to));
        if *out {
            assert_eq!(routed(WORDS[*word]), passes, "routed: {cell}");
            continue;
        }
        let passes = passes && (*word, *state) != FORGOTTEN;
        let delivered = got.iter().any(|item| presence(&item, WORDS[*word], &from));
        assert_eq!(delivered, passes, "delivered: {cell}");
        for answer in ["subscribed", "unsubscribed"] {
            let wanted = reply(*word, *state) == Some(answer);
            assert_eq!(routed(answer), wanted, "answered {answer}: {cell}");
        }
    }
    let after = |out: bool, word: usize, state: usize| {
        let table = if out { &OUTBOUND } else { &INBOUND };
        table[word][state].1
    };
    check_states(world, &mut play, &user, &cells, after, "after");
}

/// Whether roster and waiting requests say of each cell what they should.
fn check_states(
    world: &World,
    play: &mut Play<'_>,
    user: &str,
    cells: &[(bool, usize, usize, String)],
    wanted: impl Fn(bool, usize, usize) -> usize,
    when: &str,
) {
    let roster = play
        .account
        .iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    // A session that comes is shown what waits for an answer.
    let mut other = login(world, user).available();
    let shown = other.settle();
    other.close();
    play.settle();
    let waiting: BTreeSet<&str> = shown
        .iter()
        .filter(|item| item.contains("type='subscribe'"))
        .filter_map(|item| crate::harness::xmpp::between(item, "from='", "'"))
        .collect();
    for (out, word, state, contact) in cells {
        let (subscription, ask, request) = STATES[wanted(*out, *word, *state)];
        let item = roster
            .split("<item ")
            .find(|item| item.contains(&format!("jid='{contact}'")))
            .unwrap_or_default();
        let found = crate::harness::xmpp::between(item, "subscription='", "'").unwrap_or("none");
        let found = (
            found,
            item.contains("ask='subscribe'"),
            waiting.contains(contact.as_str()),
        );
        assert_eq!(
            found,
            (subscription, ask, request),
            "{when}: {contact} {item}"
        );
    }
}
