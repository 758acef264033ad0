//! A name server that answers, and takes its time: whatever domain below `slow.example` is asked about is served at one
//! address. Just enough of RFC 1035 for that.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Before every answer.
const DELAY: Duration = Duration::from_millis(300);

const A: u16 = 1;
const NS: u16 = 2;
const SOA: u16 = 6;
const SRV: u16 = 33;

/// Starts it for good; gives where it is asked.
pub fn start(peers: Ipv4Addr) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("socket");
    let at = socket.local_addr().expect("address");
    std::thread::spawn(move || {
        let mut buffer = [0u8; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = buffer[..length].to_vec();
            let socket = socket.try_clone().expect("socket");
            std::thread::spawn(move || {
                std::thread::park_timeout(DELAY);
                if let Some(answer) = answer(&question, peers) {
                    let _ = socket.send_to(&answer, from);
                }
            });
        }
    });
    at
}

/// Labels of a name, and where it ends.
fn name(message: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels, at));
        }
        labels.push(message.get(at..at + length)?);
        at += length;
    }
}

fn encoded(labels: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for label in labels {
        out.push(u8::try_from(label.len()).expect("a label"));
        out.extend_from_slice(label);
    }
    out.push(0);
    out
}

fn answer(question: &[u8], peers: Ipv4Addr) -> Option<Vec<u8>> {
    let (labels, end) = name(question)?;
    let kind = u16::from_be_bytes(question.get(end..end + 2)?.try_into().ok()?);
    let zone: &[&[u8]] = &[b"slow", b"example"];
    let starts = |label: &str| {
        labels
            .first()
            .is_some_and(|l| l.eq_ignore_ascii_case(label.as_bytes()))
    };
    let data = match kind {
        SRV if starts("_xmpp-server") => {
            let mut host: Vec<&[u8]> = vec![b"xmpp"];
            host.extend(labels.get(2..)?);
            let mut data = [0, 0, 0, 5].to_vec();
            data.extend(5269u16.to_be_bytes());
            data.extend(encoded(&host));
            Some(data)
        }
        // Whoever looks for the end of the signed part of the tree has to find this zone.
        NS if labels.len() == zone.len() => Some(encoded(&[b"ns", zone[0], zone[1]])),
        A if starts("xmpp") => Some(peers.octets().to_vec()),
        _ => None,
    };
    let counts: [u16; 4] = match data {
        Some(_) => [1, 1, 0, 0],
        None => [1, 0, 1, 0],
    };
    let mut out = question.get(..2)?.to_vec();
    // An authoritative answer, no error.
    out.extend([0x84, 0x00]);
    out.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    out.extend(question.get(12..end + 4)?);
    let (owner, kind, data) = match data {
        Some(data) => (encoded(&labels), kind, data),
        None => {
            let mut data = [encoded(zone), encoded(zone)].concat();
            data.extend(
                [1u32, 3600, 600, 86400, 60]
                    .iter()
                    .flat_map(|n| n.to_be_bytes()),
            );
            (encoded(zone), SOA, data)
        }
    };
    out.extend(owner);
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out.extend(60u32.to_be_bytes());
    out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    out.extend(data);
    Some(out)
}
