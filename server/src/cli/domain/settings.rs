//! `domicile domain set`: the settings of a domain as arguments.

use std::collections::BTreeMap;
use std::path::PathBuf;

use control::domain::{DomainSet, JoinSet, StreamSet};

use crate::cli::Failure;

/// What is changed; what is not given stays.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SetArgs {
    /// Domain
    pub(super) domain: String,
    /// What it asks of other servers: permissive, verified, encrypted, authenticated
    #[arg(long)]
    policy: Option<String>,
    /// How its identity is obtained: delegated-challenge, dns-persist, http-redirect, uploaded, posh, dane; `domicile domain modes` says what each costs
    #[arg(long)]
    mode: Option<String>,
    /// TLSA records for its host, beside a certificate
    #[arg(long, value_name = "true|false")]
    dane: Option<bool>,
    /// POSH documents, beside a certificate
    #[arg(long, value_name = "true|false")]
    posh: Option<bool>,
    /// Days after which a renewal changes the key; 0: keys are kept
    #[arg(long, value_name = "DAYS")]
    key_days: Option<u32>,
    /// Services that are switched on, separated by commas; "" for none
    #[arg(long)]
    services: Option<String>,
    /// The only servers that may talk to it, separated by commas; "" for all
    #[arg(long)]
    allow: Option<String>,
    /// Servers that may not, separated by commas; "" for none
    #[arg(long)]
    block: Option<String>,
    #[command(flatten)]
    streams: Box<StreamArgs>,
}

impl SetArgs {
    /// The change, and whose.
    pub(super) fn set(self) -> Result<(String, DomainSet), Failure> {
        let set = DomainSet {
            streams: self.streams.set()?,
            policy: self.policy,
            mode: self.mode,
            dane: self.dane,
            posh: self.posh,
            key_days: self.key_days,
            services: self.services.map(list),
            allow: self.allow.map(list),
            block: self.block.map(list),
            version: None,
        };
        Ok((self.domain, set))
    }
}

/// What concerns clients' streams and modules.
#[derive(Debug, clap::Args)]
struct StreamArgs {
    /// Whether PLAIN is offered over TLS, for clients that know nothing better
    #[arg(long, value_name = "true|false")]
    plain: Option<bool>,
    /// Hashes of the SCRAM mechanisms that are offered, as in SHA-1,SHA-256; "" for all. Fewer where accounts came from a server
    /// that kept fewer
    #[arg(long, value_name = "HASHES")]
    scram: Option<String>,
    /// Modules that are switched off, separated by commas; "" for none
    #[arg(long, value_name = "NAMES")]
    modules_off: Option<String>,
    /// Accounts of the domain that may look after the others from their apps (XEP-0133), separated by commas; "" for none
    #[arg(long, value_name = "ADDRESSES")]
    admins: Option<String>,
    /// Contact addresses (XEP-0157), as in abuse=mailto:abuse@example.com,xmpp:admin@example.com; several times for several
    /// roles; ROLE= removes one
    #[arg(long, value_name = "ROLE=ADDRESSES")]
    contact: Vec<String>,
    /// Silence after which a space is sent to clients; 0: as the platform does
    #[arg(long, value_name = "SECONDS")]
    keepalive_seconds: Option<u32>,
    /// Silence of a client after which it is pinged; 0: never
    #[arg(long, value_name = "SECONDS")]
    ping_seconds: Option<u32>,
    /// Silence after which a client's stream is closed; 0: never
    #[arg(long, value_name = "SECONDS")]
    idle_seconds: Option<u32>,
    /// How long a session waits for its client when the connection breaks; 0: not at all
    #[arg(long, value_name = "SECONDS")]
    resume_seconds: Option<u32>,
    /// Days after which archived messages go; 0: never
    #[arg(long, value_name = "DAYS")]
    archive_days: Option<u32>,
    /// File with the authorities whose certificates prove clients (SASL EXTERNAL), PEM; "" for the platform's
    #[arg(long, value_name = "FILE", value_parser = file_or_nothing)]
    client_ca: Option<PathBuf>,
    /// Whether people may log in with certificates that they upload (XEP-0257); clients are then asked for one
    #[arg(long, value_name = "BOOL")]
    user_certificates: Option<bool>,
    /// Whether people may take out what they have from their apps, by a command and a link that is good once
    #[arg(long, value_name = "BOOL")]
    own_export: Option<bool>,
    /// STUN and TURN servers for calls (XEP-0215), as in stun:stun.example.net,turn:turn.example.net:3478?transport=udp; none;
    /// "" for the platform's
    #[arg(long, value_name = "URIS")]
    external: Option<String>,
    /// Who gets an account without being given one: closed (nobody), invitation, open (whoever answers the question)
    #[arg(long, value_name = "WHO")]
    registration: Option<String>,
    /// Whether its accounts may invite others, and not only its admins
    #[arg(long, value_name = "true|false")]
    user_invites: Option<bool>,
    /// What whoever is not invited is asked before they get an account
    #[arg(long, value_name = "TEXT")]
    question: Option<String>,
    /// What counts as an answer, separated by commas, in any capitals
    #[arg(long, value_name = "WORDS")]
    answers: Option<String>,
    /// Where clients learn what is the matter when the domain does not answer (XEP-0455), https addresses separated by commas; ""
    /// for the platform's
    #[arg(long, value_name = "URIS")]
    status: Option<String>,
    /// What push services are told of a message: nothing, count, or sender
    #[arg(long, value_name = "WORD")]
    push: Option<String>,
    /// Block lists to follow, separated by commas: a pubsub service as in xmppbl.org, or xmpp:SERVICE?;node=NODE; strangers who are on
    /// one are kept away; "" for none
    #[arg(long, value_name = "LISTS")]
    block_lists: Option<String>,
    /// Strangers to be kept away, addresses and domains, separated by commas; "" for none
    #[arg(long, value_name = "WHO")]
    block_strangers: Option<String>,
}

impl StreamArgs {
    fn set(self) -> Result<StreamSet, Failure> {
        let contacts = contacts(self.contact)?;
        Ok(StreamSet {
            plain: self.plain,
            scram: self.scram.map(list),
            modules_off: self.modules_off.map(list),
            admins: self.admins.map(list),
            contacts: (!contacts.is_empty()).then_some(contacts),
            keepalive_seconds: self.keepalive_seconds,
            ping_seconds: self.ping_seconds,
            idle_seconds: self.idle_seconds,
            resume_seconds: self.resume_seconds,
            archive_days: self.archive_days,
            client_ca: self.client_ca.map(authorities).transpose()?,
            user_certificates: self.user_certificates,
            own_export: self.own_export,
            external: self.external.map(list),
            joining: JoinSet {
                registration: self.registration,
                user_invites: self.user_invites,
                question: self.question,
                answers: self.answers.map(list),
            },
            status: self.status.map(list),
            push: self.push,
            block_lists: self.block_lists.map(list),
            block_strangers: self.block_strangers.map(list),
        })
    }
}

fn list(text: String) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Contact addresses by role (XEP-0157).
fn contacts(written: Vec<String>) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let split = written.into_iter().map(|contact| {
        let Some((role, addresses)) = contact.split_once('=') else {
            return Err(Failure::other(
                2,
                format!("--contact {contact}: there is no = in it"),
                "Write ROLE=ADDRESS,ADDRESS.",
            ));
        };
        Ok((role.trim().to_owned(), list(addresses.to_owned())))
    });
    split.collect()
}

/// What the file holds; nothing where none is named.
/// A path as it is given: an empty one is a word too, which the usual parser of paths refuses.
fn file_or_nothing(given: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(given))
}

fn authorities(file: PathBuf) -> Result<String, Failure> {
    if file.as_os_str().is_empty() {
        return Ok(String::new());
    }
    std::fs::read_to_string(&file)
        .map_err(|error| Failure::other(2, format!("{}: {error}", file.display()), ""))
}
