//! Mail, by the operator's own relay (SMTP with TLS, RFC 8314): what control has to say to the owners of domains.
//!
//! A message is handed over or not, in one connection, within a bounded time. It refuses to speak in the clear to anybody but
//! this machine, and to try again by itself: control does, the next hour.

use std::path::Path;
use std::time::Duration;

use control::Secret;
use control::outside::{Mail, MailError, Mailer};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

/// One message takes no longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the relay is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (RFC 8314 3.3).
    Tls,
    /// STARTTLS, and nothing without it.
    StartTls,
    /// In the clear: only a relay on this machine.
    None,
}

/// The operator's relay.
pub struct Relay {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Relay {
    /// Connects to nobody yet. `roots`: a PEM file with the anchor of the relay's certificate; `None`: the system's.
    ///
    /// # Errors
    /// What the operator has to correct, in words.
    pub fn new(
        (host, port): (&str, u16),
        security: Security,
        login: Option<(String, Secret)>,
        from: &str,
        roots: Option<&Path>,
    ) -> Result<Self, String> {
        let from: Mailbox = from.parse().map_err(|_| {
            format!("mail.from: \"{from}\" is no address as in \"Chat <chat@example.net>\"")
        })?;
        if security == Security::None && !is_here(host) {
            return Err(format!(
                "mail.security: \"none\" is for a relay on this machine, and {host} is not one"
            ));
        }
        let mut tls = TlsParameters::builder(host.to_owned());
        if let Some(path) = roots {
            let fault = |problem: String| format!("mail.roots: {}: {problem}", path.display());
            let pem = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
            let anchor = Certificate::from_pem(&pem).map_err(|error| fault(error.to_string()))?;
            tls = tls
                .certificate_store(CertificateStore::None)
                .add_root_certificate(anchor);
        }
        let tls = || {
            let built = tls.build();
            built.map_err(|error| format!("mail.relay: {host}: {error}"))
        };
        let tls = match security {
            Security::Tls => Tls::Wrapper(tls()?),
            Security::StartTls => Tls::Required(tls()?),
            Security::None => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let Some((name, password)) = login {
            let password = password.expose().to_owned();
            transport = transport.credentials(Credentials::new(name, password));
        }
        Ok(Self {
            transport: transport.build(),
            from,
        })
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[async_trait::async_trait]
impl Mailer for Relay {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let to: Mailbox = mail
            .to
            .parse()
            .map_err(|_| MailError::Refused(format!("{} is no address", mail.to)))?;
        // Nobody answers it, and no answering machine shall (RFC 3834 5).
        let automatic = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject)
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN);
        for header in unsubscribe(mail.unsubscribe.as_deref()) {
            message = message.raw_header(header);
        }
        let message = message
            .body(mail.text)
            .map_err(|error| MailError::Refused(error.to_string()))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(MailError::Refused(error.to_string())),
            Err(error) => Err(MailError::Unavailable(error.to_string())),
        }
    }
}

/// What lets a mail program end mail of this kind: by its own button where the address is reached over TLS (RFC 8058 3.1), by
/// opening it elsewhere (RFC 2369 3.2).
fn unsubscribe(link: Option<&str>) -> Vec<HeaderValue> {
    let header = |name: &'static str, value: String| {
        // Addresses are one word, which is not to be broken up: it stays as it is.
        HeaderValue::dangerous_new_pre_encoded(
            HeaderName::new_from_ascii_str(name),
            value.clone(),
            value,
        )
    };
    let Some(link) = link else {
        return Vec::new();
    };
    let mut headers = vec![header("List-Unsubscribe", format!("<{link}>"))];
    if link.starts_with("https://") {
        let one_click = "List-Unsubscribe=One-Click".to_owned();
        headers.push(header("List-Unsubscribe-Post", one_click));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_elsewhere_is_not_spoken_to_in_the_clear() {
        let relay = |host, security, from| {
            Relay::new((host, 25), security, None, from, None)
                .map(|_| ())
                .map_err(|problem| problem.split(':').next().unwrap_or_default().to_owned())
        };
        let from = "Chat <chat@hosting.example>";
        assert_eq!(relay("localhost", Security::None, from), Ok(()));
        assert_eq!(relay("127.0.0.1", Security::None, from), Ok(()));
        assert_eq!(
            relay("mail.example", Security::None, from),
            Err("mail.security".into())
        );
        assert_eq!(
            relay("localhost", Security::None, "nobody"),
            Err("mail.from".into())
        );
    }
}
