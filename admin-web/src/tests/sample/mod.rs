//! Sample data: a domain in every state, with names long enough and values odd enough to show where a page breaks.

mod domains;
mod federation;
mod people;
mod platform;
mod records;
mod tenants;

use control::viewing::Viewing;
use control::{Role, Timestamp};

use crate::frame::{Frame, Here, Who};

pub(crate) use domains::*;
pub(crate) use federation::*;
pub(crate) use people::*;
pub(crate) use platform::*;
pub(crate) use records::*;
pub(crate) use tenants::*;

/// 2026-11-25 20:00:00 UTC.
pub(crate) const NOW: Timestamp = Timestamp(1_795_636_800_000_000);

const SECOND: i64 = 1_000_000;

const DAY: i64 = 86_400 * SECOND;

/// So many seconds from now.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * SECOND)
}

/// The same page, looked at by an operator of the platform as the owner.
pub(crate) fn viewing(mut frame: Frame) -> Frame {
    if let Some(who) = &mut frame.who {
        who.login = "root@platform.example".into();
        who.role = Role::Auditor;
        who.viewing = Some(Viewing {
            tenant: 1,
            name: "Lindgren & Daughters".into(),
            until: at(1_500),
            login: 1,
        });
    }
    frame
}

pub(crate) fn frame(role: Option<Role>) -> Frame {
    Frame {
        service: "Domicile".into(),
        sandbox: true,
        sign_up: true,
        who: role.map(|role| Who {
            login: "sofia@lindgren-and-daughters.example".into(),
            role,
            csrf: "c5rf".into(),
            viewing: None,
        }),
        here: Here::Home,
        domain: None,
        live: None,
        notice: None,
        problem: None,
        now: NOW,
    }
}
