//! Ten thousand domains in one instance, on either engine: pages of the panel stay small, and everybody is found among so many.
//!
//! A domain that was hosted as usual is multiplied in the database, with what was seen of it, its checks, certificates and
//! people; the panel reads all of that from there. What each page costs, in time on the processor of the server and of its
//! database, is printed (`cargo test -p domicile --test system many:: -- --nocapture`); it is looked at, not asserted.

use std::time::Instant;

use crate::harness::demo::{Demo, Operator};
use crate::harness::http::Api;
use crate::harness::postgres::Postgres;
use crate::harness::serve::Platform;
use crate::harness::tools::{environment, script};
use crate::harness::xmpp::Client;
use serde_json::json;

const DOMAINS: usize = 10_000;
/// Requests of each page.
const EACH: usize = 12;

const MULTIPLY: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=120)
count = int(sys.argv[2])
columns = lambda table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
one = db.execute("SELECT id, tenant FROM domains WHERE name = 'one.example'").fetchone()
template = dict(zip(columns("domains"), db.execute("SELECT * FROM domains WHERE id = ?", one[:1]).fetchone()))
below = {}
for table in ("findings", "certificates", "accounts"):
    names = [name for name in columns(table) if name != "id"]
    rows = db.execute(f"SELECT {', '.join(names)} FROM {table} WHERE domain = ?", one[:1]).fetchall()
    below[table] = (names, [dict(zip(names, row)) for row in rows])
def put(table, row):
    names = list(row)
    marks = ", ".join("?" * len(names))
    return db.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", [row[name] for name in names]).lastrowid
states = ["live"] * 17 + ["degraded", "claimed", "suspended"]
for n in range(count):
    tenant = one[1]
    if n % 2:
        tenant = put("tenants", {"name": f"Customer {n}", "state": "active", "created": template["created"]})
    row = {name: value for name, value in template.items() if name != "id"}
    row |= {"tenant": tenant, "name": f"d{n}.many.example", "label": f"many{n}", "token": f"token{n}",
            "state": states[n % len(states)], "next_check_at": None, "lease_owner": None, "lease_until": None}
    domain = put("domains", row)
    for table, (_, rows) in below.items():
        for at, old in enumerate(rows):
            new = old | {"domain": domain}
            if table == "findings" and at == 0 and n % 10 == 0:
                new |= {"severity": "critical", "code": f"srv-missing"}
            put(table, new)
    if n % 500 == 499:
        db.commit()
db.commit()
"#;

/// The same for PostgreSQL, whose rows know their own columns.
const MULTIPLY_POSTGRES: &str = r#"
DO $$
DECLARE
    one domains; fresh domains; finding findings; certificate certificates; account accounts;
    states TEXT[] := array_fill('live'::TEXT, ARRAY[17]) || ARRAY['degraded', 'claimed', 'suspended'];
    at BIGINT;
BEGIN
    SELECT * INTO one FROM domains WHERE name = 'four.example';
    FOR n IN 0..COUNT - 1 LOOP
        fresh := one;
        IF n % 2 = 1 THEN
            INSERT INTO tenants (name, state, created) VALUES ('Customer ' || n, 'active', one.created) RETURNING id INTO fresh.tenant;
        END IF;
        fresh.id := nextval(pg_get_serial_sequence('domains', 'id'));
        fresh.name := 'd' || n || '.many.example';
        fresh.label := 'many' || n;
        fresh.token := 'token' || n;
        fresh.state := states[n % 20 + 1];
        fresh.next_check_at := NULL;
        fresh.lease_owner := NULL;
        fresh.lease_until := NULL;
        INSERT INTO domains VALUES (fresh.*);
        at := 0;
        FOR finding IN SELECT * FROM findings WHERE domain = one.id LOOP
            finding.domain := fresh.id;
            IF at = 0 AND n % 10 = 0 THEN
                finding.severity := 'critical';
                finding.code := 'srv-missing';
            END IF;
            at := at + 1;
            INSERT INTO findings VALUES (finding.*);
        END LOOP;
        FOR certificate IN SELECT * FROM certificates WHERE domain = one.id LOOP
            certificate.id := nextval(pg_get_serial_sequence('certificates', 'id'));
            certificate.domain := fresh.id;
            INSERT INTO certificates VALUES (certificate.*);
        END LOOP;
        FOR account IN SELECT * FROM accounts WHERE domain = one.id LOOP
            account.id := nextval(pg_get_serial_sequence('accounts', 'id'));
            account.domain := fresh.id;
            INSERT INTO accounts VALUES (account.*);
        END LOOP;
    END LOOP;
END $$;
ANALYZE;
"#;

/// Time on the processor of a process so far, over all its threads, in milliseconds.
fn spent(pid: u32) -> f64 {
    // A session of the database may have ended.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let nanoseconds: u64 = threads
        .into_iter()
        .flatten()
        .filter_map(|thread| {
            let path = thread.ok()?.path().join("schedstat");
            let text = std::fs::read_to_string(path).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum();
    nanoseconds as f64 / 1e6
}

/// Those who look, and at what: who asks, what they are called, where.
struct Look<'a> {
    operator: &'a Api,
    owner: &'a Api,
    /// The owner's domain that was multiplied.
    domain: &'a str,
    /// Somebody there.
    person: &'a str,
    /// Another server that it has tried to talk with, if it has.
    peer: Option<&'a str>,
}

impl Look<'_> {
    /// Where one finds one's way among so many.
    fn find(&self) {
        let count = self.operator.get("/overview").json();
        let states = count["domains"].as_array().expect("states");
        let domains: u64 = states.iter().filter_map(|state| state[1].as_u64()).sum();
        assert!(domains >= DOMAINS as u64, "{count}");
        let found = page(self.operator, "/?search=d7777.many");
        assert!(found.contains("d7777.many.example"), "{found}");
        assert!(!found.contains("d7776.many.example"));
        let last = page(self.owner, "/?from=4950");
        assert!(last.contains("4951 to "), "{}", last.len());
        let customers = page(self.operator, "/tenants?search=customer+9999");
        assert!(customers.contains("Customer 9999"), "{customers}");
        let usage = page(self.operator, "/usage?search=customer+9999");
        assert!(usage.contains("Customer 9999"), "{usage}");
        assert!(!usage.contains("Customer 9997"));
        let some = self.operator.get("/usage").json();
        assert_eq!(some.as_array().map(Vec::len), Some(50), "a page of them");
        // Everybody, as a table that is written as it is read.
        let table = page(self.operator, "/usage.csv");
        let tenants = count["tenants"].as_u64().expect("a number");
        assert_eq!(table.lines().count() as u64, 1 + 9 * tenants);
    }

    /// Asks for every page again and again, and prints what each costs by `spent`, in milliseconds.
    fn measure(&self, engine: &str, spent: impl Fn() -> f64) {
        let own = |part: &str| format!("/domains/{}{part}", self.domain);
        let (operator, owner) = ((self.operator, "operator"), (self.owner, "owner"));
        let plan = json!({ "name": "small", "domains": 2 });
        let plan = self.operator.post("/plans", &plan).json()["id"].clone();
        let peer = self
            .peer
            .map(|peer| (owner, own(&format!("/federation/{peer}"))));
        // Every page that `tests/panel.rs` names, and lists from their middle and by a part of a name.
        let pages = [
            (operator, "/".to_owned()),
            (operator, "/?search=77".to_owned()),
            (operator, "/?from=9950".to_owned()),
            (operator, "/tenants".to_owned()),
            (operator, "/tenants?search=customer&from=4900".to_owned()),
            (operator, "/tenants/1".to_owned()),
            (operator, "/certificates".to_owned()),
            (operator, "/failing/srv-missing".to_owned()),
            (operator, "/domains/new".to_owned()),
            (operator, "/audit".to_owned()),
            (operator, "/usage".to_owned()),
            (operator, "/usage?search=customer&from=4900".to_owned()),
            (operator, "/usage?tenant=1".to_owned()),
            (operator, "/plans".to_owned()),
            (operator, format!("/plans/{plan}")),
            (operator, "/operators".to_owned()),
            (operator, "/tokens".to_owned()),
            (operator, "/me".to_owned()),
            (owner, "/".to_owned()),
            (owner, "/?from=4950".to_owned()),
            (owner, "/?search=many".to_owned()),
            (owner, own("")),
            (owner, own("/records")),
            (owner, own("/verification")),
            (owner, own("/identity")),
            (owner, own("/people")),
            (owner, own(&format!("/people/{}", self.person))),
            (owner, own("/federation")),
            (owner, own("/components")),
            (owner, own("/kept")),
            (owner, own("/reports")),
            (owner, own("/usage")),
            (owner, own("/settings")),
            (owner, "/team".to_owned()),
            (owner, "/usage".to_owned()),
            (owner, "/webhooks".to_owned()),
            (owner, "/audit".to_owned()),
            (owner, "/tokens".to_owned()),
            (owner, "/me".to_owned()),
        ];
        let mut all = Vec::new();
        let mut table = String::new();
        for ((who, name), path) in pages.into_iter().chain(peer) {
            let mut costs: Vec<f64> = (0..EACH)
                .map(|_| {
                    let before = spent();
                    let body = page(who, &path);
                    let cost = spent() - before;
                    assert!(body.len() < 100 * 1024, "{path}: {} bytes", body.len());
                    cost
                })
                .collect();
            costs.sort_by(f64::total_cmp);
            table.push_str(&format!(
                "{name:8} {path:40} median {:7.1} ms, most {:7.1} ms\n",
                costs[EACH / 2],
                costs[EACH - 1]
            ));
            all.extend(costs);
        }
        all.sort_by(f64::total_cmp);
        let p99 = all[all.len() * 99 / 100];
        println!("{engine}:\n{table}99th percentile {p99:.1} ms of {DOMAINS} domains");
    }
}

/// The page's text.
fn page(who: &Api, path: &str) -> String {
    let answer = who.raw("GET", path, "text/plain", b"");
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

#[test]
fn pages_stay_small_among_ten_thousand_domains() {
    let demo = Demo::start();
    // Somebody elsewhere, so that federation has something to tell.
    let mut alice = Client::online(&demo, "alice@one.example", "walk");
    alice.message("nobody@unreachable.example", "lost", "is anybody there?");
    alice.until("type='error'");
    let file = demo.data_dir.join("multiply.py");
    std::fs::write(&file, MULTIPLY).expect("script");
    let database = demo.data_dir.join("domicile.db");
    let args = [file, database].map(|path| path.to_string_lossy().into_owned());
    script(
        &environment().join("python/bin/python"),
        &[&args[..], &[DOMAINS.to_string()]].concat(),
        &[],
        crate::harness::DEADLINE * 20,
    );
    let look = Look {
        operator: &Api::sign_in(&demo.info, &demo.info.operator),
        owner: &Api::sign_in(&demo.info, &demo.info.owner),
        domain: "one.example",
        person: "alice",
        peer: Some("unreachable.example"),
    };
    look.find();
    let pid = demo.pid();
    look.measure("SQLite", || spent(pid));
}

#[test]
fn pages_stay_small_among_ten_thousand_domains_on_postgresql() {
    let demo = Demo::start();
    let postgres = Postgres::start();
    let mut platform = Platform::beside(&demo, &postgres.url());
    let served = platform.serve();
    let operator = platform.settle();
    platform.host(&demo, &operator, "four.example");
    platform.user("juliet@four.example");
    let who = Operator {
        login: "owner@four.example".into(),
        password: "correct horse battery staple".into(),
    };
    let add = [
        "operator",
        "add",
        &who.login,
        "--tenant",
        "acme",
        "--password-stdin",
    ];
    platform.done(&add, &format!("{}\n", who.password));
    postgres.sql(&MULTIPLY_POSTGRES.replace("COUNT", &DOMAINS.to_string()));
    let look = Look {
        operator: &operator,
        owner: &Api::sign_in(&platform.info, &who),
        domain: "four.example",
        person: "juliet",
        peer: None,
    };
    look.find();
    let pid = served.service.pid();
    look.measure("PostgreSQL", || {
        let sessions = postgres.sessions();
        spent(pid) + sessions.into_iter().map(spent).sum::<f64>()
    });
    // The server that had them multiplied behind its back ends; the next one hosts them all from its start.
    drop(served);
    let _served = platform.serve();
    let operator = Api::operator(&platform.info);
    platform.done(&["tenant", "set", "acme", "--domains", "20000"], "");
    let added = Instant::now();
    platform.host(&demo, &operator, "five.example");
    println!(
        "added among {DOMAINS} domains, and live after {:.1} s: claim, records, upload, the server's own look through the door",
        added.elapsed().as_secs_f64()
    );
}
