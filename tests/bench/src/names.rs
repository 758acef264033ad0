//! The DNS of the benchmark: where each domain's server is, said on loopback to whoever asks. Nothing is signed.
//!
//! Refuses: everything but SRV records of server streams and the addresses of their targets; all else is not there.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::Outcome;

/// Seconds for which an answer holds: longer than any run.
const LASTS: u32 = 86_400;
/// Service of server streams.
const SERVICE: &str = "_xmpp-server._tcp.";
/// Port that all targets have.
const PORT: u16 = 5269;
const A: u16 = 1;
const SRV: u16 = 33;

/// Which server a domain is at; `None`: nowhere.
pub type Places = fn(&str) -> Option<usize>;

/// Answers for as long as the process lives: domains are where `places` says, as numbers into `servers`.
pub fn serve(address: SocketAddr, places: Places, servers: Vec<Ipv4Addr>) -> Outcome<()> {
    let socket = UdpSocket::bind(address)?;
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..length], places, &servers) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(())
}

/// The question's name in lower case, its type, and where it ends.
fn question(message: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut name) = (12, String::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > 63 {
            return None;
        }
        let label = message.get(at..at + length)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    (message.len() >= at + 4).then_some((name, kind, at + 4))
}

fn answer(message: &[u8], places: Places, servers: &[Ipv4Addr]) -> Option<Vec<u8>> {
    let (name, kind, end) = question(message)?;
    let record = match kind {
        SRV => name.strip_prefix(SERVICE).and_then(places).map(srv),
        A => host(&name).and_then(|server| Some(servers.get(server)?.octets().to_vec())),
        _ => None,
    };
    let mut out = message.get(..2)?.to_vec();
    // An answer to the question as it came, recursion asked for and had, no error.
    out.extend([0x81, 0x80, 0, 1, 0, u8::from(record.is_some()), 0, 0, 0, 0]);
    out.extend_from_slice(&message[12..end]);
    if let Some(data) = record {
        // The question's name, by a pointer.
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(LASTS.to_be_bytes());
        out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        out.extend(data);
    }
    Some(out)
}

/// Priority and weight 0, the port, and `sN.bench.example`.
fn srv(server: usize) -> Vec<u8> {
    let mut data = vec![0, 0, 0, 0];
    data.extend(PORT.to_be_bytes());
    for label in [format!("s{server}"), "bench".into(), "example".into()] {
        data.push(label.len() as u8);
        data.extend_from_slice(label.as_bytes());
    }
    data.push(0);
    data
}

fn host(name: &str) -> Option<usize> {
    let number = name.strip_suffix(".bench.example")?.strip_prefix('s')?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        let places: Places = |name| (name == "peer.example").then_some(1);
        let servers = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
        answer(&message, places, &servers).expect("an answer")
    }

    #[test]
    fn a_domain_leads_to_its_server_and_nothing_else_is_there() {
        let srv = asked("_xmpp-server._tcp.PEER.example", SRV);
        assert_eq!((&srv[..2], srv[7]), (&[7, 9][..], 1));
        assert!(srv.ends_with(b"\x14\x95\x02s1\x05bench\x07example\0"));
        let address = asked("s1.bench.example", A);
        assert!(address[7] == 1 && address.ends_with(&[127, 0, 0, 3]));
        for (name, kind) in [
            ("_xmpps-server._tcp.peer.example", SRV),
            ("_xmpp-server._tcp.other.example", SRV),
            ("peer.example", A),
            ("s1.bench.example", 28),
        ] {
            assert_eq!(asked(name, kind)[7], 0, "{name}");
        }
    }
}
