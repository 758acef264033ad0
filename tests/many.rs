//! Ten thousand domains in one instance: pages of the panel stay small, and everybody is found among so many.
//!
//! The demo's own domains are multiplied in its database, with what was seen of them, their checks, certificates and people;
//! the panel reads all of that from there. What each page costs the server, in time on the processor, is printed
//! (`cargo test -p domicile --test many -- --nocapture`); it is looked at, not asserted.

mod harness;

use harness::demo::Demo;
use harness::http::Api;
use harness::tools::{environment, script};

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

/// Time on the processor of a process so far, over all its threads, in milliseconds.
fn spent(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the server");
    let nanoseconds: u64 = threads
        .filter_map(|thread| {
            let path = thread.ok()?.path().join("schedstat");
            let text = std::fs::read_to_string(path).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum();
    nanoseconds as f64 / 1e6
}

#[test]
fn pages_stay_small_among_ten_thousand_domains() {
    let demo = Demo::start();
    let file = demo.data_dir.join("multiply.py");
    std::fs::write(&file, MULTIPLY).expect("script");
    let args = [
        file.to_string_lossy().into_owned(),
        demo.data_dir
            .join("domicile.db")
            .to_string_lossy()
            .into_owned(),
        DOMAINS.to_string(),
    ];
    script(
        &environment().join("python/bin/python"),
        &args,
        &[],
        harness::DEADLINE * 20,
    );
    let operator = Api::sign_in(&demo.info, &demo.info.operator);
    let owner = Api::sign_in(&demo.info, &demo.info.owner);
    let count = operator.get("/overview").json();
    let domains: u64 = count["domains"]
        .as_array()
        .expect("states")
        .iter()
        .filter_map(|state| state[1].as_u64())
        .sum();
    assert!(domains >= DOMAINS as u64, "{count}");

    // Where one finds one's way among so many.
    let found = operator.raw("GET", "/?search=d7777.many", "text/plain", b"");
    assert!(found.body.contains("d7777.many.example"), "{found:?}");
    assert!(!found.body.contains("d7776.many.example"));
    let last = owner.raw("GET", "/?from=4950", "text/plain", b"");
    assert!(last.body.contains("4951 to "), "{}", last.body.len());
    let customers = operator.raw("GET", "/tenants?search=customer+9999", "text/plain", b"");
    assert!(customers.body.contains("Customer 9999"), "{customers:?}");

    let pages = [
        (&operator, "operator", "/"),
        (&operator, "operator", "/?search=77"),
        (&operator, "operator", "/?from=9950"),
        (&operator, "operator", "/tenants"),
        (&operator, "operator", "/tenants?search=customer&from=4900"),
        (&operator, "operator", "/tenants/1"),
        (&operator, "operator", "/certificates"),
        (&operator, "operator", "/failing/srv-missing"),
        (&operator, "operator", "/domains/new"),
        (&operator, "operator", "/audit"),
        (&owner, "owner", "/"),
        (&owner, "owner", "/?from=4950"),
        (&owner, "owner", "/?search=many"),
        (&owner, "owner", "/domains/one.example"),
        (&owner, "owner", "/domains/one.example/records"),
        (&owner, "owner", "/domains/one.example/verification"),
        (&owner, "owner", "/domains/one.example/identity"),
        (&owner, "owner", "/domains/one.example/people"),
        (&owner, "owner", "/domains/one.example/settings"),
    ];
    let pid = demo.pid();
    let mut all = Vec::new();
    let mut table = String::new();
    for (who, name, path) in pages {
        let mut costs: Vec<f64> = (0..EACH)
            .map(|_| {
                let before = spent(pid);
                let answer = who.raw("GET", path, "text/plain", b"");
                let cost = spent(pid) - before;
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                assert!(
                    answer.body.len() < 100 * 1024,
                    "{path}: {} bytes",
                    answer.body.len()
                );
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
    println!("{table}99th percentile {p99:.1} ms of {DOMAINS} domains");
}
