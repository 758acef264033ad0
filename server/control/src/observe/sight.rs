//! From an answer of the DNS to what is kept of it.

use dna::{Answer, Outcome, RecordData, Security};

use super::bounds::bounded;
use super::{Data, Rtype, Sight};

/// A name in lower case, without the last dot.
pub(super) fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The answer to a question about `name`. Records that are wanted are kept before others.
pub(super) fn sight(
    name: &str,
    answer: Answer,
    asked: Rtype,
    is_wanted: impl Fn(&Data) -> bool,
) -> Sight {
    if answer.security == Security::Bogus {
        return Sight::Bogus;
    }
    // However the servers put it (some deny, some fail): such a name holds nothing, for anybody.
    if answer.is_lost(name) {
        return Sight::Lost;
    }
    match answer.outcome {
        Outcome::Failed(why) => Sight::Failed(why),
        Outcome::NoRecords { .. } => Sight::Nothing,
        Outcome::Found(records) => {
            let data = records
                .into_iter()
                .filter_map(|record| data(record.data, asked))
                .collect();
            let (data, beyond) = bounded(data, is_wanted);
            if data.is_empty() {
                return Sight::Nothing;
            }
            Sight::Records {
                data,
                ttl_seconds: answer.ttl_seconds,
                aliased: asked != Rtype::Cname && !answer.aliases.is_empty(),
                beyond,
            }
        }
    }
}

/// Data of the type that was asked for.
fn data(data: RecordData, asked: Rtype) -> Option<Data> {
    match (data, asked) {
        (RecordData::Txt(text), Rtype::Txt) => Some(Data::Txt(text)),
        (
            RecordData::Srv {
                priority,
                weight,
                port,
                target,
            },
            Rtype::Srv,
        ) => Some(Data::Srv {
            priority,
            weight,
            port,
            target: canonical(&target),
        }),
        (RecordData::Cname(target), Rtype::Cname) => Some(Data::Cname(canonical(&target))),
        (
            RecordData::Tlsa {
                usage,
                selector,
                matching,
                data,
            },
            Rtype::Tlsa,
        ) => Some(Data::Other(format!(
            "{usage} {selector} {matching} {}",
            data_encoding::HEXLOWER.encode(&data)
        ))),
        _ => None,
    }
}
