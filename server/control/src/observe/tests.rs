//! Zones, name servers and websites that answer with as much as they can.

use async_trait::async_trait;
use dna::{Fetch, FetchError, Post, Record, Reply, Url};

use super::*;
use crate::findings::tests::{facts, settings};
use crate::records::{certified, challenge_url, desired};

/// Records in each answer; more do not fit into a message.
const MANY: usize = 3_000;
/// Servers of the zone that are asked.
const SERVERS: usize = 6;
/// What is kept of a domain with everything chosen, whatever its owner publishes.
const MOST_KEPT: usize = 512 * 1024;

/// Answers every question with as much as a message holds, and at every website with redirects without end.
struct Hostile {
    /// Data beside the mass.
    ours: Vec<Data>,
}

impl Hostile {
    fn data(&self, rtype: RecordType) -> Vec<RecordData> {
        let many = 0..MANY;
        let numbers = many.clone().map(|at| u16::try_from(at).unwrap_or(u16::MAX));
        match rtype {
            RecordType::Txt => vec![RecordData::Txt("\u{1b}x".repeat(30_000))],
            RecordType::Srv => numbers
                .map(|port| RecordData::Srv {
                    priority: 0,
                    weight: 0,
                    port,
                    target: "z".into(),
                })
                .collect(),
            RecordType::Tlsa => many
                .map(|at| RecordData::Tlsa {
                    usage: 3,
                    selector: 1,
                    matching: 0,
                    data: at.to_be_bytes().to_vec(),
                })
                .collect(),
            RecordType::Cname => vec![RecordData::Cname(format!("{}x", "y.".repeat(126)))],
            RecordType::Ns => many.map(|at| RecordData::Ns(format!("ns{at}"))).collect(),
            RecordType::A => numbers
                .map(|at| {
                    let [high, low] = at.to_be_bytes();
                    RecordData::A([192, 0, high, low].into())
                })
                .collect(),
            RecordType::Aaaa => Vec::new(),
            RecordType::Caa => many
                .map(|at| RecordData::Caa {
                    flags: 0,
                    tag: "issue".into(),
                    value: format!("ca{at}.example"),
                })
                .collect(),
            RecordType::Soa => vec![RecordData::Soa { mname: "ns".into() }],
        }
    }

    fn answer(&self, name: &str, rtype: RecordType) -> Answer {
        let ours = self.ours.iter().filter_map(|data| match (data, rtype) {
            (Data::Txt(text), RecordType::Txt) => Some(RecordData::Txt(text.clone())),
            (
                Data::Srv {
                    priority,
                    weight,
                    port,
                    target,
                },
                RecordType::Srv,
            ) => Some(RecordData::Srv {
                priority: *priority,
                weight: *weight,
                port: *port,
                target: target.clone(),
            }),
            _ => None,
        });
        let records = self.data(rtype).into_iter().chain(ours);
        Answer {
            outcome: Outcome::Found(
                records
                    .map(|data| Record {
                        name: name.into(),
                        ttl_seconds: 1,
                        data,
                    })
                    .collect(),
            ),
            security: Security::Insecure,
            ttl_seconds: 1,
            asked: "resolver".into(),
            aliases: Vec::new(),
        }
    }
}

#[async_trait]
impl Lookup for Hostile {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        self.answer(name, rtype)
    }

    async fn query_authoritative(&self, name: &str, rtype: RecordType) -> Vec<ServerAnswer> {
        (0..SERVERS)
            .map(|at| ServerAnswer {
                server: format!("ns{at}.example.com"),
                answer: self.answer(name, rtype),
            })
            .collect()
    }
}

#[async_trait]
impl Fetch for Hostile {
    async fn request(
        &self,
        url: &Url,
        _post: Option<Post>,
        limit: usize,
    ) -> Result<Reply, FetchError> {
        let longer = format!("{url}{}", "x".repeat(8_000));
        let meta = "urn:xmpp:alt-connections:websocket wss://".to_owned();
        let (status, location, body) = if url.path().ends_with("host-meta") {
            (200, None, meta + &"w".repeat(limit))
        } else {
            (302, Some(longer), String::new())
        };
        Ok(Reply {
            status,
            location,
            allow_origin: None,
            body: body.into_bytes(),
        })
    }
}

async fn observed(ours: Vec<Data>, mode: Mode) -> (Observation, Vec<DesiredRecord>) {
    let domain = DomainFacts {
        mode,
        dane: true,
        posh: true,
        services: vec!["rooms".into()],
        ..facts()
    };
    let settings = settings();
    let hostile = Hostile { ours };
    let wanted = desired(&domain, &settings);
    let target = domain.target(&settings);
    let tlsa: Vec<String> = (0..4).map(|at| format!("_{at}._tcp.{target}")).collect();
    let ours = Ours {
        target: &target,
        tlsa: &tlsa,
        tlsa_records: &[],
        web: (&hostile, 443),
        host_meta: true,
        certified: &certified(&domain, &settings),
        http: HttpDoor {
            fetch: &hostile,
            port: 80,
            ports: &[80, 443],
            ours: &challenge_url(&settings, &domain.label).unwrap_or_default(),
            label: &domain.label,
        },
    };
    let seen = look(&hostile, &domain, &wanted, ours, Duration::from_secs(60)).await;
    (seen, wanted)
}

#[tokio::test]
async fn what_is_kept_of_a_hostile_zone_and_website_is_bounded() {
    for mode in [Mode::DelegatedChallenge, Mode::HttpRedirect] {
        let (seen, _) = observed(Vec::new(), mode).await;
        let kept = serde_json::to_string(&seen).expect("JSON").len();
        assert!(kept < MOST_KEPT, "{mode:?}: {kept} bytes");
        assert_eq!(seen.name_servers.len(), RECORDS);
        for view in seen.sets.values() {
            assert_eq!(view.servers.len(), SERVERS);
            for answered in view.answers() {
                assert!(answered.sight.data().len() <= RECORDS);
            }
        }
        assert!(seen.caa.values().all(|view| view.beyond.is_some()));
        assert!(
            seen.targets
                .values()
                .all(|host| host.addresses.len() == RECORDS)
        );
    }
}

#[tokio::test]
async fn what_is_wanted_is_found_among_thousands() {
    let wanted = desired(&facts(), &settings());
    let ours = wanted.iter().filter_map(|record| match &record.value {
        RecordValue::Txt { text } => Some(Data::Txt(text.clone())),
        RecordValue::Srv { port, target, .. } => Some(Data::Srv {
            priority: u16::MAX,
            weight: 0,
            port: *port,
            target: target.clone(),
        }),
        RecordValue::Cname { .. } => None,
    });
    let (seen, wanted) = observed(ours.collect(), Mode::DelegatedChallenge).await;
    for record in wanted
        .iter()
        .filter(|record| !matches!(record.value, RecordValue::Cname { .. }))
    {
        let view = seen.set(rtype(record), &record.name).expect("asked");
        assert_eq!(view.servers.len(), SERVERS);
        for answered in &view.servers {
            assert!(holds(record, &answered.sight), "{record:?} {answered:?}");
            assert!(matches!(
                answered.sight,
                Sight::Records {
                    beyond: Some(_),
                    ..
                }
            ));
        }
    }
}
