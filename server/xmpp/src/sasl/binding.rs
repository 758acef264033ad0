//! Channel binding: the data of this TLS connection, and the hash over what was advertised (XEP-0474).
//!
//! Refuses: `tls-unique`, which TLS 1.3 does not have (SASL-24).

/// Channel-binding data of the TLS connection.
#[derive(Clone, Default)]
pub struct ChannelBindings {
    /// RFC 9266; `None` below TLS 1.3 without extended master secret (SASL-22, SASL-23).
    pub exporter: Option<[u8; 32]>,
    /// RFC 5929 4.1: hash of the certificate presented on this connection (SASL-25, SASL-26).
    pub end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// Names of the types there is data for, the better one first: what XEP-0440 announces (SASL-27).
    pub fn types(&self) -> Vec<&'static str> {
        let exporter = self.exporter.is_some().then_some(TLS_EXPORTER);
        let end_point = self.end_point.is_some().then_some(TLS_SERVER_END_POINT);
        exporter.into_iter().chain(end_point).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        match name {
            TLS_EXPORTER => self.exporter.as_ref().map(|data| &data[..]),
            TLS_SERVER_END_POINT => self.end_point.as_deref(),
            _ => None,
        }
    }
}

const TLS_EXPORTER: &str = "tls-exporter";

const TLS_SERVER_END_POINT: &str = "tls-server-end-point";

/// What was advertised on the stream, for the downgrade hash of XEP-0474.
#[derive(Clone, Debug, Default)]
pub struct Advertised {
    /// Mechanism names of the SASL profile in use.
    pub mechanisms: Vec<String>,
    /// Channel-binding types, when XEP-0440 was used.
    pub bindings: Option<Vec<String>>,
}

impl Advertised {
    /// XEP-0474 6.1 before hashing: both lists in octet order.
    pub(super) fn text(&self) -> String {
        let sorted = |list: &[String]| {
            let mut list: Vec<&str> = list.iter().map(String::as_str).collect();
            list.sort_unstable();
            list.join("\u{1e}")
        };
        let mut text = sorted(&self.mechanisms);
        if let Some(bindings) = &self.bindings {
            text.push('\u{1f}');
            text.push_str(&sorted(bindings));
        }
        text
    }
}
