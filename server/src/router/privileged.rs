//! What components hear of what they are granted (XEP-0355, XEP-0356), and the end of what they never answer.
//!
//! A component is told its grants when it connects and when they change, and then who is online, where it may know. Whoever is
//! granted nothing, and never was, is told nothing. Refuses: judging stanzas; modules do.

use modules::{Switchboard as _, hooks};
use xmpp::jid::{DomainName, Jid};

use super::Router;
use crate::net::now;

impl Router {
    /// A component has proved its name.
    pub(crate) fn component_connected(&self, name: &DomainName) {
        let Some((label, parent)) = name.as_str().split_once('.') else {
            return;
        };
        let Some(domain) = self.tenancy.get(parent) else {
            return;
        };
        if !self.is_component(name.as_str()) {
            return;
        }
        let hosted = &domain.hosted;
        let granted = hosted.settings.grants.iter().any(|own| own.label == label);
        let told = hooks::advertisements(hosted, label);
        if !self.components.tell(name, &told, granted) {
            return;
        }
        let Some(component) = hooks::hears_presence(&self.modules, hosted, label) else {
            return;
        };
        for session in self.of_domain(domain.name()) {
            let presence = session.view().presence;
            let taken = presence.is_none_or(|presence| {
                let presence = presence.with_to(&component);
                self.components.push(name, &presence)
            });
            if !taken {
                tracing::warn!(component = %name, "a component does not read who is online");
                return;
            }
        }
    }

    /// A domain was changed: its components that are connected hear of other grants.
    pub(crate) fn components_changed(&self, domain: &DomainName) {
        for name in self.components.below(domain) {
            self.component_connected(&name);
        }
    }

    /// Ends what has waited too long for this component, or for which it asked; `gone`: all of it.
    pub(crate) async fn errands_due(&self, name: &DomainName, gone: bool) {
        let parent = name.as_str().split_once('.').map(|(_, parent)| parent);
        if let Some(domain) = parent.and_then(|parent| self.tenancy.get(parent)) {
            let cx = self.modules.context(&domain.hosted, self, now());
            hooks::errands_due(&cx, &Jid::from(name.clone()), gone).await;
        }
    }
}
