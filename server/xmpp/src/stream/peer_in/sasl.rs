//! EXTERNAL on a stream that a peer opened (XEP-0178 3, SASL-45, SASL-46).
//!
//! Refuses: an authorization identity that is not the domain the stream is from, and EXTERNAL where no prooftype holds.

use super::super::opening::sasl_failure;
use super::super::{Action, Actions, StreamCondition};
use super::Ready;
use crate::framing::RawElement;
use crate::jid::DomainName;
use crate::sasl::{self, SaslFailure};

/// Failed EXTERNAL attempts after which the stream is closed.
const SASL_FAILURES: u8 = 3;

impl Ready {
    pub(super) fn sasl(
        &mut self,
        raw: &RawElement<'_>,
        out: &mut Actions,
    ) -> Result<(), StreamCondition> {
        match raw.name() {
            "auth" => {
                self.challenged = false;
                if raw.attr("mechanism").as_deref() != Some("EXTERNAL") {
                    return self.sasl_failed(SaslFailure::InvalidMechanism, "", out);
                }
            }
            "response" if self.challenged => {}
            "abort" => return self.sasl_failed(SaslFailure::Aborted, "", out),
            _ => return self.sasl_failed(SaslFailure::MalformedRequest, "", out),
        }
        if !self.external || !self.proved.is_empty() {
            // SASL-46: the stream goes on, dialback may follow.
            let why = "your certificate does not prove the domain of the stream";
            return self.sasl_failed(SaslFailure::NotAuthorized, why, out);
        }
        let text = raw.to_element().text_content();
        let authzid = match sasl::decode(text.trim()) {
            Ok(Some(authzid)) => authzid,
            Ok(None) if !self.challenged => {
                self.challenged = true;
                out.send_str("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
                return Ok(());
            }
            Ok(None) => Vec::new(),
            Err(failure) => return self.sasl_failed(failure, "", out),
        };
        self.challenged = false;
        // SASL-45, LAYER-08: nothing, or the domain that the stream is from.
        let Some(from) = self.from.clone() else {
            return self.sasl_failed(SaslFailure::NotAuthorized, "", out);
        };
        let named = std::str::from_utf8(&authzid)
            .ok()
            .and_then(|text| DomainName::parse(text).ok());
        if !authzid.is_empty() && named.as_ref() != Some(&from) {
            return self.sasl_failed(SaslFailure::InvalidAuthzid, "", out);
        }
        out.send_str("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        out.push(Action::Restart);
        self.restarting = true;
        let local = self.served.domain.clone();
        self.accept(local, from, "EXTERNAL", out);
        Ok(())
    }

    pub(super) fn sasl_failed(
        &mut self,
        reason: SaslFailure,
        text: &str,
        out: &mut Actions,
    ) -> Result<(), StreamCondition> {
        self.challenged = false;
        self.failures += 1;
        out.send_str(&sasl_failure(reason, text));
        if self.failures >= SASL_FAILURES {
            return Err(StreamCondition::PolicyViolation);
        }
        Ok(())
    }
}
