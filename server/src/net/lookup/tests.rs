//! The resolver against a name server of ours on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::MessageType;
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{RData, Record};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;

use super::*;

/// Answers every question about `there.example` and denies everything else, with an SOA that lets a denial live for a day.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    /// An answer takes one of these.
    answers: Arc<Semaphore>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            address: socket.local_addr().expect("bound"),
            asked: Arc::default(),
            answers: Arc::new(Semaphore::new(0)),
        };
        let (asked, answers) = (server.asked.clone(), server.answers.clone());
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                asked.fetch_add(1, Ordering::SeqCst);
                answers.acquire().await.expect("open").forget();
                let question = Message::from_vec(&buffer[..length]).expect("a question");
                let answer = answer(&question).to_vec().expect("an answer");
                socket.send_to(&answer, from).await.expect("sent");
            }
        });
        server
    }

    fn resolver(&self) -> Arc<Resolver> {
        let config = DnsSection {
            mode: DnsMode::TrustAd,
            resolvers: vec![self.address],
            timeout_seconds: 20,
            ..DnsSection::default()
        };
        Resolver::new(&config).expect("a resolver")
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(question: &Message) -> Message {
    let query = question.queries[0].clone();
    let name = query.name().clone();
    let mut answer = Message::new(question.id, MessageType::Response, question.op_code);
    answer.add_query(query);
    if name.to_lowercase().to_ascii() == "there.example." {
        let address = RData::A(A::new(192, 0, 2, 1));
        answer.add_answer(Record::from_rdata(name, 86_400, address));
    } else {
        answer.metadata.response_code = ResponseCode::NXDomain;
        let server = Name::from_ascii("ns.example.").expect("a name");
        let soa = SOA::new(server.clone(), server, 1, 3600, 600, 86_400, 86_400);
        let zone = Name::from_ascii("example.").expect("a name");
        answer.add_authority(Record::from_rdata(zone, 86_400, RData::SOA(soa)));
    }
    answer
}

/// However many ask the same at once, and whoever of them leaves: it is asked once.
#[tokio::test]
async fn the_same_question_at_the_same_time_is_asked_once() {
    let server = Server::start().await;
    let resolver = server.resolver();
    let ask = |name: &'static str| {
        let resolver = resolver.clone();
        async move { resolver.query(name, RecordType::A).await }
    };
    let impatient = tokio::spawn(ask("There.example"));
    while server.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let many = (0..20).map(|at| {
        ask(if at % 2 == 0 {
            "there.example"
        } else {
            "THERE.example."
        })
    });
    let waiting = tokio::spawn(join_all(many));
    tokio::task::yield_now().await;
    impatient.abort();
    server.answers.add_permits(1);
    for answer in waiting.await.expect("answers") {
        assert_eq!(answer.addresses().count(), 1, "{answer:?}");
    }
    assert_eq!(server.asked(), 1);
    assert_eq!(ask("there.example").await.addresses().count(), 1);
    assert_eq!(server.asked(), 1, "it is remembered");
}

/// RFC 2308 5: a denial is believed for a short time only, also by whoever remembers it in turn.
#[tokio::test]
async fn that_nothing_is_there_is_not_believed_for_long() {
    let server = Server::start().await;
    server.answers.add_permits(10);
    let resolver = server.resolver();
    let name = Name::from_ascii("nothing.example.").expect("a name");
    let (answer, lasts) = resolver.asker.query(&name, RecordType::A).await;
    assert!(
        matches!(answer.outcome, Outcome::NoRecords { nxdomain: true }),
        "{answer:?}"
    );
    assert_eq!((lasts, answer.ttl_seconds), (ABSENT_LONGEST, 60));
    let name = Name::from_ascii("there.example.").expect("a name");
    let (answer, lasts) = resolver.asker.query(&name, RecordType::A).await;
    assert_eq!((lasts, answer.ttl_seconds), (CACHE_LONGEST, 86_400));
}
