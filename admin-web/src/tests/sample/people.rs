//! Whoever and whatever is at a domain.

use control::account::{AccountPage, AccountView};
use control::client_certificate::ClientCertificateView;
use control::component::ComponentView;
use control::device::{AccountDevices, DeviceView, PushView, StorageView};
use control::kept::{RoomView, UploadsView};

use super::at;

pub(crate) fn account(local: &str, state: &str) -> AccountView {
    AccountView {
        jid: format!("{local}@lindgren-and-daughters.example"),
        local: local.into(),
        state: state.into(),
        created: at(-86_400 * 12),
        connected: Some(local == "anna"),
        last_seen: (local != "zoë").then(|| at(-7_200)),
    }
}

pub(crate) fn devices() -> AccountDevices {
    let device = |id: &str, software: &str, resource: &str, way| DeviceView {
        id: id.into(),
        software: software.into(),
        device: if software.is_empty() {
            String::new()
        } else {
            "Pixel 9".into()
        },
        resources: Some(resource.to_owned())
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect(),
        connected: Some(!resource.is_empty()),
        away: resource == "balcony",
        way,
        since: at(-86_400 * 9),
        last_seen: at(-3_600),
        expires: (way == "token").then(|| at(86_400 * 20)),
    };
    AccountDevices {
        live: true,
        devices: vec![
            device(
                "agent-d4565fa7",
                "Conversations 2.19.1",
                "Conversations.Yx3q",
                "token",
            ),
            device("session-balcony", "", "balcony", "password"),
            device("agent-77aa", "Gajim", "", "token"),
        ],
        push: vec![PushView {
            service: "p2.siacs.eu".into(),
            resource: "Conversations.Yx3q".into(),
        }],
    }
}

pub(crate) fn storage() -> StorageView {
    StorageView {
        archive_bytes: 48_210_000,
        uploads: 12,
        upload_bytes: 91_400_000,
        offline: 1,
        offline_bytes: 812,
    }
}

pub(crate) fn client_certificate(name: &str, manages: bool) -> ClientCertificateView {
    ClientCertificateView {
        name: name.into(),
        fingerprint: "2f6a".repeat(16),
        manages,
        added: at(-86_400 * 3),
        expires: at(86_400 * 300),
    }
}

pub(crate) fn people() -> AccountPage {
    AccountPage {
        accounts: vec![
            account("anna", "active"),
            account("bartholomew.the-elder", "active"),
            account("zoë", "suspended"),
        ],
        total: 23,
        next: Some("zoë".into()),
    }
}

pub(crate) fn component() -> ComponentView {
    ComponentView {
        name: "bridge.bakery.example".into(),
        created: at(-3_600),
        grants: control::grant::Grants {
            roster: "both".into(),
            presence: "managed_entity".into(),
            delegated: [("urn:xmpp:mam:2".into(), vec!["node".into()])].into(),
            ..control::grant::Grants::default()
        },
        version: "5b1d0c6f2a97e340".into(),
    }
}

pub(crate) fn rooms() -> Vec<RoomView> {
    let room = |local: &str, name: &str, listed, archive_bytes| RoomView {
        local: local.into(),
        name: name.into(),
        listed,
        created: at(-86_400 * 40),
        people: 12,
        archive_bytes,
    };
    vec![
        room("early-shift", "Early shift", true, 31_400_000),
        room("6f8a2c", "", false, 0),
    ]
}

pub(crate) fn uploads() -> Vec<UploadsView> {
    let of = |local: &str, files, bytes| UploadsView {
        local: local.into(),
        files,
        bytes,
        latest: at(-7_200),
    };
    vec![of("anna", 1_204, 1_830_000_000), of("björn", 1, 12_000)]
}

/// Invitations to accounts; `fresh`: one was made just now.
pub(crate) fn invites(fresh: bool) -> crate::invites::Invites {
    let view = || control::invite::InviteView {
        id: 1,
        kind: "account",
        local: Some("nurse".into()),
        contact: Some("anna@one.example".into()),
        note: "the nurse".into(),
        by: "sofia@lindgren.example".into(),
        created: at(-3600),
        expires: at(7 * 86_400),
    };
    let made = || control::invite::InviteNew {
        uri: invited().uri,
        link: invited().link,
        view: view(),
    };
    crate::invites::Invites {
        open: vec![view()],
        fresh: fresh.then(made),
        refused: false,
        registration: control::domain::Registration::Open,
        user_invites: true,
        question: "Which bird sings at dawn?".into(),
        answers: "lark, the lark".into(),
        ask: Some("https://web.hosting.example/ask/one.example".into()),
        version: "1f2e3d".into(),
    }
}

/// What an invitation is to.
pub(crate) fn invited() -> control::invite::Invited {
    control::invite::Invited {
        domain: "one.example".into(),
        ascii: "one.example".into(),
        local: None,
        contact: Some("anna@one.example".into()),
        uri: "xmpp:one.example?register;preauth=token".into(),
        link: "https://web.hosting.example/invite/token".into(),
        expires: at(7 * 86_400),
    }
}
