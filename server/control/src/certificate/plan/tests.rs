//! The plan on a clock moved by hand, against an authority that counts for itself.

use std::collections::VecDeque;

use super::*;
use crate::time::DAY;

const LIMITS: fn() -> AuthorityLimits = AuthorityLimits::default;

fn order(domain: i64, tenant: i64) -> Waiting {
    Waiting {
        domain: DomainId(domain),
        tenant: TenantId(tenant),
        priority: Priority::Renewal,
        due: Timestamp(0),
        deadline: None,
        names: vec![format!("d{domain}.example")],
        registered: format!("d{domain}.example"),
        name_set: format!("set-{domain}"),
        exempt: false,
        not_before: Timestamp(0),
        started: false,
    }
}

fn started(verdicts: &[(DomainId, Verdict)]) -> Vec<i64> {
    verdicts
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Start)
        .map(|(domain, _)| domain.0)
        .collect()
}

fn why(verdicts: &[(DomainId, Verdict)], domain: i64) -> (Why, i64) {
    match verdicts
        .iter()
        .find(|(id, _)| id.0 == domain)
        .expect("in the plan")
        .1
    {
        Verdict::Wait { until, why } => (why, until.0 / SECOND),
        Verdict::Start => panic!("{domain} starts"),
    }
}

const NOW: Timestamp = Timestamp(100 * DAY);

fn planned(line: &[Waiting], spent: &Spent) -> Vec<(DomainId, Verdict)> {
    plan(line, spent, &LIMITS(), Timestamp(0), NOW)
}

#[test]
fn every_limit_holds_an_order_back_and_says_until_when() {
    let at = |seconds: i64| plus(NOW, -seconds);
    let now = NOW.0 / SECOND;
    let mut spent = Spent {
        orders: (0..300).map(|n| at(10_000 - n)).collect(),
        ..Spent::default()
    };
    let line = [order(1, 1), order(2, 2), order(3, 3)];
    let verdicts = planned(&line, &spent);
    // The oldest leaves the window of three hours in 800 seconds, the next a second later.
    assert_eq!(why(&verdicts, 1), (Why::Orders, now + 800));
    assert_eq!(why(&verdicts, 2), (Why::Turn, now + 801));
    assert_eq!(why(&verdicts, 3), (Why::Turn, now + 802));
    spent.orders.truncate(298);
    assert_eq!(started(&planned(&line, &spent)), [1, 2]);

    let spent = Spent {
        certificates: HashMap::from([
            ("set-1".into(), vec![at(6 * 86_400); 5]),
            ("d2.example".into(), vec![at(7 * 86_400 - 60); 50]),
        ]),
        failures: HashMap::from([("d3.example".into(), vec![at(3_000); 5])]),
        ..Spent::default()
    };
    let mut line = [
        order(1, 1),
        order(2, 2),
        order(3, 3),
        order(4, 4),
        order(5, 5),
    ];
    line[3].not_before = plus(NOW, 77);
    let verdicts = planned(&line, &spent);
    assert_eq!(
        why(&verdicts, 1),
        (Why::Duplicates, now + 6 * 3600),
        "no longer than six hours"
    );
    assert_eq!(why(&verdicts, 2), (Why::Registered, now + 60));
    assert_eq!(why(&verdicts, 3), (Why::Failures, now + 600));
    assert_eq!(why(&verdicts, 4), (Why::BackOff, now + 77));
    assert_eq!(started(&verdicts), [5]);
    let verdicts = plan(&line, &spent, &LIMITS(), plus(NOW, 33), NOW);
    assert_eq!(why(&verdicts, 5), (Why::Told, now + 33));
    // RFC 9773 renewals are not counted; failures are.
    for order in &mut line {
        order.exempt = true;
    }
    assert_eq!(started(&planned(&line, &spent)), [1, 2, 5]);
}

#[test]
fn one_plan_counts_what_it_lets_go() {
    let mut line: Vec<Waiting> = (0..60).map(|n| order(n, n)).collect();
    for order in &mut line {
        order.registered = "shared.example".into();
    }
    let verdicts = planned(&line, &Spent::default());
    assert_eq!(started(&verdicts).len(), 50);
    assert_eq!(why(&verdicts, 50).0, Why::Registered);
    let mut line: Vec<Waiting> = (0..60).map(|n| order(n, n)).collect();
    for order in &mut line {
        order.names = (0..8)
            .map(|n| format!("{n}.{}", order.registered))
            .collect();
    }
    line[0].started = true;
    let verdicts = planned(&line, &Spent::default());
    assert_eq!(
        started(&verdicts).len(),
        36,
        "37 with the one under way: 296 of 300 authorizations"
    );
    assert_eq!(why(&verdicts, 59).0, Why::Pending);
}

#[test]
fn acme_13_a_tenant_with_thousands_does_not_hold_up_the_others() {
    let mut line: Vec<Waiting> = (0..5_000).map(|n| order(n, 1)).collect();
    // The others came last.
    for n in 0..100 {
        let mut one = order(10_000 + n, 100 + n);
        one.due = Timestamp(5);
        line.push(one);
    }
    let first = started(&planned(&line, &Spent::default()));
    assert_eq!(first.len(), 300);
    assert_eq!(first.iter().filter(|id| **id >= 10_000).count(), 100);
    // What is first goes before what is renewed, and that before what is optional, whoever it is.
    line.truncate(400);
    let mut urgent = order(7_777, 1);
    urgent.priority = Priority::First;
    let mut optional = order(8_888, 9);
    optional.priority = Priority::Optional;
    line.extend([optional, urgent]);
    let verdicts = planned(&line, &Spent::default());
    assert_eq!(verdicts[0], (DomainId(7_777), Verdict::Start));
    assert_eq!(verdicts[verdicts.len() - 1].0, DomainId(8_888));
    // Of a tenant's own, the one that ends first.
    let mut soon = order(399, 1);
    soon.deadline = Some(plus(NOW, 60));
    assert_eq!(
        planned(&[order(1, 1), soon], &Spent::default())[0].0,
        DomainId(399)
    );
}

#[test]
fn a_long_line_sleeps_until_its_turns() {
    let spent = Spent {
        orders: vec![NOW; 300],
        ..Spent::default()
    };
    let line: Vec<Waiting> = (0..700).map(|n| order(n, n)).collect();
    let verdicts = planned(&line, &spent);
    let hours = |domain| (why(&verdicts, domain).1 - NOW.0 / SECOND) / 3600;
    assert_eq!([hours(0), hours(299), hours(300), hours(650)], [3, 3, 6, 6]);
}

/// What is under way will be a certificate in a moment, and is counted as one.
#[test]
fn what_is_under_way_takes_its_certificate() {
    let at = |seconds: i64| plus(NOW, -seconds);
    let under_one = |order: Waiting| Waiting {
        registered: "one.example".into(),
        ..order
    };
    let spent = Spent {
        certificates: HashMap::from([("one.example".into(), vec![at(86_400); 49])]),
        ..Spent::default()
    };
    let mut line = [under_one(order(1, 1)), under_one(order(2, 2))];
    assert_eq!(started(&planned(&line, &spent)), [1]);
    line[0].started = true;
    let verdicts = planned(&line, &spent);
    assert_eq!(why(&verdicts, 2).0, Why::Registered);
    // What the authority does not count takes nothing.
    line[0].exempt = true;
    assert_eq!(started(&planned(&line, &spent)), [2]);

    let spent = Spent {
        certificates: HashMap::from([("set-2".into(), vec![at(86_400); 4])]),
        ..Spent::default()
    };
    let mut line = [order(1, 1), order(2, 2)];
    line[0].name_set = "set-2".into();
    line[0].started = true;
    assert_eq!(why(&planned(&line, &spent), 2).0, Why::Duplicates);
}

#[test]
fn failures_back_off_below_five_an_hour() {
    for jitter in [0, 1, 99, 12_345, u64::MAX] {
        let (mut at, mut within_an_hour) = (0, 1);
        for failures in 1..20 {
            at += u64::from(pause_seconds(900, failures, jitter));
            within_an_hour += u32::from(at < 3600);
        }
        assert!(within_an_hour < 5);
        assert!((64_800..=86_400).contains(&pause_seconds(900, 40, jitter)));
    }
    let pauses: std::collections::BTreeSet<_> = (0..50)
        .map(|jitter| pause_seconds(900, 1, jitter * 7919))
        .collect();
    assert!(pauses.len() > 20, "they spread");
    assert!(pauses.iter().all(|pause| (787..=1013).contains(pause)));
    assert_eq!(pause_seconds(0, 3, 5), 0);
}

#[test]
fn renewal_at_any_lifetime() {
    for days in [6.7, 45.0, 64.0, 90.0, 365.0] {
        let end = Timestamp((days * DAY as f64) as i64);
        for spread in [0, 999] {
            let at = renew_at(Timestamp(0), end, spread);
            assert!(
                at.0 * 10 > end.0 * 6 && at.0 * 3 <= end.0 * 2,
                "{days} {spread}"
            );
        }
        let held = Some((Timestamp(0), end));
        assert_eq!(priority(held, false, Timestamp(0)), Priority::Optional);
        assert_eq!(
            priority(held, true, Timestamp(end.0 / 3 * 2)),
            Priority::Renewal
        );
        assert_eq!(
            priority(held, true, Timestamp(end.0 / 10 * 9)),
            Priority::First
        );
    }
    assert_eq!(priority(None, true, NOW), Priority::First);
}

/// An authority that counts for itself, in another way than the plan: buckets that refill (GCRA) and exact windows, both.
struct Authority {
    limits: AuthorityLimits,
    orders: VecDeque<i64>,
    bucket: f64,
    filled: i64,
    certificates: HashMap<String, VecDeque<i64>>,
    failures: HashMap<String, VecDeque<i64>>,
}

impl Authority {
    fn window(times: &mut VecDeque<i64>, quota: Quota, now: i64) -> usize {
        while times
            .front()
            .is_some_and(|at| *at <= now - i64::from(quota.window_seconds) * SECOND)
        {
            times.pop_front();
        }
        times.len()
    }

    /// Panics where a real one would refuse.
    fn order(&mut self, order: &Waiting, now: i64) {
        let limits = self.limits;
        let rate = f64::from(limits.orders.most)
            / (f64::from(limits.orders.window_seconds) * SECOND as f64);
        self.bucket =
            (self.bucket + (now - self.filled) as f64 * rate).min(f64::from(limits.orders.most));
        self.filled = now;
        self.bucket -= 1.0;
        assert!(self.bucket > -0.000_1, "the bucket of orders is empty");
        let had = Self::window(&mut self.orders, limits.orders, now);
        assert!(had < limits.orders.most as usize, "orders of the account");
        self.orders.push_back(now);
        for (subject, quota) in [
            (&order.registered, limits.registered),
            (&order.name_set, limits.duplicates),
        ] {
            let times = self.certificates.entry(subject.clone()).or_default();
            assert!(
                Self::window(times, quota, now) < quota.most as usize,
                "certificates of {subject}"
            );
        }
        for name in &order.names {
            let times = self.failures.entry(name.clone()).or_default();
            assert!(
                Self::window(times, limits.failures, now) < limits.failures.most as usize,
                "failures of {name}"
            );
        }
    }
}

struct Held {
    not_before: i64,
    not_after: i64,
    due: i64,
    failures: u32,
}

impl Held {
    fn new(n: i64, not_before: i64, lifetime: i64) -> Self {
        let not_after = not_before + lifetime;
        let spread = u64::try_from(n).expect("positive").wrapping_mul(7919);
        Self {
            not_before,
            not_after,
            due: renew_at(Timestamp(not_before), Timestamp(not_after), spread).0,
            failures: 0,
        }
    }
}

/// Orders that a plan sees, as the store gives them.
const LINE: usize = 500;

/// Ten thousand domains whose renewals fall into one week, of 500 tenants, one of which has half of them. One attempt in fifty
/// fails. Every hour, or half an hour where certificates are short, the plan is asked, as it would be by those in line.
fn a_week_of_renewals(lifetime: i64, together: i64) {
    const DOMAINS: i64 = 10_000;
    let mut authority = Authority {
        limits: LIMITS(),
        orders: VecDeque::new(),
        bucket: 300.0,
        filled: 0,
        certificates: HashMap::new(),
        failures: HashMap::new(),
    };
    let mut spent = Spent::default();
    let mut held: Vec<Held> = (0..DOMAINS)
        .map(|n| Held::new(n, n * together / DOMAINS, lifetime))
        .collect();
    let mut draw: u64 = 42;
    let (mut issued, mut failed, mut closest) = (0, 0, f64::MAX);
    let end = together + lifetime + lifetime / 3;
    let mut now = lifetime / 2;
    let step = if lifetime > 10 * DAY { HOUR } else { HOUR / 2 };
    while now < end {
        let mut due: Vec<(i64, i64)> = held
            .iter()
            .zip(0..)
            .inspect(|(held, n)| assert!(held.not_after > now, "the certificate of {n} ended"))
            .filter(|(held, _)| held.due <= now)
            .map(|(held, n)| (held.not_after, n))
            .collect();
        due.sort_unstable();
        let line: HashMap<i64, Waiting> = due
            .into_iter()
            .take(LINE)
            .map(|(_, n)| {
                let held = &held[usize::try_from(n).expect("index")];
                let times = (Timestamp(held.not_before), Timestamp(held.not_after));
                let waiting = Waiting {
                    priority: priority(Some(times), true, Timestamp(now)),
                    due: Timestamp(held.due),
                    deadline: Some(times.1),
                    ..order(n, if n % 2 == 0 { 1 } else { 2 + n % 499 })
                };
                (n, waiting)
            })
            .collect();
        let waiting: Vec<Waiting> = line.values().cloned().collect();
        for domain in started(&plan(
            &waiting,
            &spent,
            &LIMITS(),
            Timestamp(0),
            Timestamp(now),
        )) {
            let order = &line[&domain];
            authority.order(order, now);
            spent.orders.push(Timestamp(now));
            draw = draw
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let held = &mut held[usize::try_from(domain).expect("index")];
            if (draw >> 33).is_multiple_of(50) {
                failed += 1;
                held.failures += 1;
                held.due = now + i64::from(pause_seconds(900, held.failures, draw)) * SECOND;
                let name = &order.names[0];
                spent
                    .failures
                    .entry(name.clone())
                    .or_default()
                    .push(Timestamp(now));
                authority
                    .failures
                    .entry(name.clone())
                    .or_default()
                    .push_back(now);
                continue;
            }
            closest = closest.min((held.not_after - now) as f64 / lifetime as f64);
            for subject in [&order.registered, &order.name_set] {
                spent
                    .certificates
                    .entry(subject.clone())
                    .or_default()
                    .push(Timestamp(now));
                authority
                    .certificates
                    .entry(subject.clone())
                    .or_default()
                    .push_back(now);
            }
            *held = Held::new(domain, now, lifetime);
            issued += 1;
        }
        spent.orders.retain(|at| at.0 > now - 4 * HOUR);
        now += step;
    }
    assert!(
        issued >= DOMAINS && failed > 50,
        "{issued} issued, {failed} failed"
    );
    assert!(closest > 0.0, "{closest}");
}

#[test]
fn acme_13_ten_thousand_due_in_one_week_keep_every_limit_at_90_days() {
    a_week_of_renewals(90 * DAY, 7 * DAY);
}

#[test]
fn acme_13_ten_thousand_due_in_one_week_keep_every_limit_at_64_days() {
    a_week_of_renewals(64 * DAY, 7 * DAY);
}

#[test]
fn acme_13_ten_thousand_due_at_once_keep_every_limit_at_45_days() {
    a_week_of_renewals(45 * DAY, 0);
}

#[test]
fn acme_13_ten_thousand_due_in_one_week_keep_every_limit_at_160_hours() {
    a_week_of_renewals(160 * HOUR, 4 * DAY + 4 * HOUR);
}
