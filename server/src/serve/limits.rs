//! The limits of the configuration, in the words of whoever holds to them.

use std::time::Duration;

use crate::config::Config;
use crate::net::limits::{AddressLimits, LoginLimits, RecipientLimits, StreamLimits};

/// What a client's stream may take.
pub(super) fn streams(config: &Config) -> StreamLimits {
    let limits = &config.limits;
    StreamLimits {
        negotiation: Duration::from_secs(limits.negotiation_seconds.into()),
        registration_seconds: limits.registration_seconds,
        stanza_bytes: limits.stanza_bytes as usize,
        unauthenticated_bytes: limits.unauthenticated_stanza_bytes as usize,
        unauthenticated_bytes_per_second: limits.unauthenticated_bytes_per_second,
        bytes_per_second: limits.client_bytes_per_second,
        stanzas_per_second: limits.client_stanzas_per_second,
        outbox_bytes: limits.outbox_bytes as usize,
        ..StreamLimits::default()
    }
}

/// What a component's stream may take: as much as another server's.
pub(super) fn components(config: &Config) -> StreamLimits {
    StreamLimits {
        bytes_per_second: config.limits.peer_bytes_per_second,
        stanzas_per_second: config.limits.peer_stanzas_per_second,
        ..streams(config)
    }
}

/// To how many an account may write.
pub(super) fn recipients(config: &Config) -> RecipientLimits {
    RecipientLimits {
        most: config.limits.recipients as usize,
        period: Duration::from_secs(config.limits.recipients_seconds.into()),
    }
}

/// How often somebody may fail to log in.
pub(super) fn logins(config: &Config) -> LoginLimits {
    let limits = &config.limits;
    LoginLimits {
        free_per_account: limits.login_failures_per_account,
        free_per_address: limits.login_failures_per_address,
        longest_delay: Duration::from_secs(limits.login_delay_seconds.into()),
        forgiven_after: Duration::from_secs(limits.login_forgiven_seconds.into()),
        most: limits.login_failures_at_most,
    }
}

/// How many connections one address may have.
pub(super) fn addresses(config: &Config) -> AddressLimits {
    let limits = &config.limits;
    AddressLimits {
        simultaneous: limits.connections_per_address,
        per_minute: limits.connects_per_address_and_minute,
        unauthenticated: limits.unauthenticated_per_address,
        unauthenticated_in_all: limits.unauthenticated_connections,
    }
}
