//! Does a server still take TLS 1.1 or older (RFC 8996 says that it must not)? Our TLS library cannot ask, so the question
//! is one ClientHello written here, and the answer is read no further than its first record.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// ECDHE and RSA with AES-CBC and 3DES: what servers of that age have.
const CIPHERS: [u16; 10] = [
    0xc00a, 0xc014, 0xc009, 0xc013, 0x0035, 0x002f, 0xc008, 0xc012, 0x000a, 0x0005,
];

/// `Some(true)`: it goes on with the old version. `Some(false)`: it does not. `None`: it said nothing to tell from.
pub(super) async fn takes_old<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    name: &str,
    random: [u8; 32],
) -> Option<bool> {
    stream.write_all(&hello(name, &random)).await.ok()?;
    stream.flush().await.ok()?;
    let mut head = [0; 5];
    match stream.read_exact(&mut head).await {
        Ok(_) => {}
        // Hanging up is an answer.
        Err(_) => return Some(false),
    }
    Some(match head {
        // Handshake: a ServerHello of the version that the record has.
        [22, 3, minor, ..] => minor <= 2,
        // An alert.
        _ => false,
    })
}

/// A ClientHello of TLS 1.1 with SNI.
fn hello(name: &str, random: &[u8; 32]) -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend_from_slice(random);
    body.push(0);
    vector(&mut body, |out| {
        for cipher in CIPHERS {
            out.extend_from_slice(&cipher.to_be_bytes());
        }
    });
    body.extend_from_slice(&[1, 0]);
    vector(&mut body, |extensions| {
        extension(extensions, 0, |sni| {
            vector(sni, |names| {
                names.push(0);
                vector(names, |out| out.extend_from_slice(name.as_bytes()));
            });
        });
        // P-256, P-384, P-521; uncompressed points.
        extension(extensions, 10, |groups| {
            vector(groups, |out| out.extend_from_slice(&[0, 23, 0, 24, 0, 25]));
        });
        // Old servers pass over it, new ones want to see it before they look at the version.
        extension(extensions, 13, |schemes| {
            vector(schemes, |out| {
                out.extend_from_slice(&[4, 3, 4, 1, 2, 3, 2, 1]);
            });
        });
        extension(extensions, 11, |points| points.extend_from_slice(&[1, 0]));
    });
    let mut record = vec![22, 3, 1];
    vector(&mut record, |message| {
        // ClientHello, and its length in three bytes.
        message.extend_from_slice(&[1, 0]);
        vector(message, |out| out.extend_from_slice(&body));
    });
    record
}

fn extension(out: &mut Vec<u8>, kind: u16, content: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&kind.to_be_bytes());
    vector(out, content);
}

/// Content behind its length in two bytes.
fn vector(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    content(&mut inner);
    out.extend_from_slice(&u16::try_from(inner.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&inner);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our library must understand the question, and refuse it for its version alone.
    #[tokio::test]
    async fn the_question_is_well_formed_and_a_modern_server_says_no() {
        let mut acceptor = rustls::server::Acceptor::default();
        let bytes = hello("xmpp.example", &[7; 32]);
        acceptor.read_tls(&mut bytes.as_slice()).expect("read");
        let accepted = acceptor
            .accept()
            .expect("a whole ClientHello")
            .expect("complete");
        assert_eq!(accepted.client_hello().server_name(), Some("xmpp.example"));

        for (answer, says) in [
            (&[21, 3, 2, 0, 2, 2, 70][..], Some(false)),
            (&[22, 3, 2, 0, 60, 2][..], Some(true)),
            (&[22, 3, 3, 0, 60, 2][..], Some(false)),
            (&[][..], Some(false)),
        ] {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(answer).await.expect("written");
            theirs.shutdown().await.expect("closed");
            assert_eq!(
                takes_old(ours, "x.example", [0; 32]).await,
                says,
                "{answer:?}"
            );
        }
    }
}
