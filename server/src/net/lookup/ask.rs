//! One question to one name server: UDP, then TCP when the answer does not fit. For what a resolver library hides: the AD
//! bit, checking disabled, and questions to a zone's own servers.

use std::net::SocketAddr;
use std::time::Duration;

use dna::RecordType;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::Name;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::read::rtype;

/// Answers in UDP are no larger than this (DNS flag day 2020), in bytes.
const UDP_BYTES: u16 = 1232;
/// UDP is sent this often.
const ATTEMPTS: usize = 2;

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) name: &'a Name,
    pub(super) rtype: RecordType,
    /// RD: of a resolver, not of a zone's own server.
    pub(super) recursion: bool,
    /// DO, and with it AD in the answer.
    pub(super) dnssec: bool,
    /// CD.
    pub(super) checking_disabled: bool,
}

/// The answer, or why there is none, in words.
pub(super) async fn ask(
    server: SocketAddr,
    question: &Question<'_>,
    timeout: Duration,
) -> Result<Message, String> {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = question.recursion;
    message.metadata.checking_disabled = question.checking_disabled;
    message.add_query(Query::query(question.name.clone(), rtype(question.rtype)));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES)
        .set_dnssec_ok(question.dnssec);
    message.set_edns(edns);
    let bytes = message.to_vec().map_err(|error| error.to_string())?;
    let mut why = String::new();
    for _ in 0..ATTEMPTS {
        match tokio::time::timeout(timeout, by_udp(server, &message, &bytes)).await {
            Ok(Ok(answer)) if answer.truncation => {
                return match tokio::time::timeout(timeout, by_tcp(server, &message, &bytes)).await {
                    Ok(Ok(answer)) => Ok(answer),
                    Ok(Err(error)) => Err(format!("the answer needs TCP, which fails: {error}")),
                    Err(_) => Err("the answer needs TCP, which gives none in time".into()),
                };
            }
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => why = format!("cannot be asked: {error}"),
            Err(_) => why = "no answer in time".into(),
        }
    }
    Err(why)
}

async fn by_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> std::io::Result<Message> {
    // A fresh socket has a fresh port: together with the id that is what an off-path liar must guess.
    let socket = UdpSocket::bind((if server.is_ipv4() { "0.0.0.0" } else { "::" }, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Ok(answer) = Message::from_vec(buffer.get(..length).unwrap_or_default())
            && belongs(&answer, question)
        {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> std::io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(std::io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(std::io::Error::other)?;
    if answer.truncation {
        return Err(std::io::Error::other(
            "it is larger than any answer can be, so nobody can read it",
        ));
    }
    if belongs(&answer, question) {
        Ok(answer)
    } else {
        Err(std::io::Error::other(
            "the answer belongs to another question",
        ))
    }
}

fn belongs(answer: &Message, question: &Message) -> bool {
    answer.id == question.id
        && answer.message_type == MessageType::Response
        && answer.queries == question.queries
}
