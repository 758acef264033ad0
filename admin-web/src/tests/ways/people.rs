//! Ways to what is at a domain: its people, their rooms, programs and peers.

use axum::http::Method;
use control::Operation as Op;
use serde_json::json;

use super::{Way, empty, none};
use crate::tests::world::PASSWORD;

/// What is done to whoever and whatever is at a domain.
pub(super) fn at_a_domain() -> Vec<Way> {
    let account = || Some(json!({"local": "new", "password": PASSWORD}));
    vec![
        (Op::AccountList, Method::GET, "/domains/{D}/people", none),
        (
            Op::AccountList,
            Method::GET,
            "/api/v1/domains/{D}/accounts",
            none,
        ),
        (
            Op::AccountShow,
            Method::GET,
            "/domains/{D}/people/anna",
            none,
        ),
        (
            Op::AccountShow,
            Method::GET,
            "/api/v1/domains/{D}/accounts/anna",
            none,
        ),
        (Op::AccountAdd, Method::POST, "/domains/{D}/people", account),
        (
            Op::AccountAdd,
            Method::POST,
            "/api/v1/domains/{D}/accounts",
            account,
        ),
        (
            Op::AccountAdd,
            Method::PUT,
            "/api/v1/domains/{D}/accounts/wanted",
            empty,
        ),
        (
            Op::AccountImport,
            Method::POST,
            "/domains/{D}/people/import",
            || Some(json!({"csv": "x,y"})),
        ),
        (
            Op::AccountImport,
            Method::POST,
            "/api/v1/domains/{D}/accounts/import",
            empty,
        ),
        (
            Op::PeopleExport,
            Method::POST,
            "/domains/{D}/people-export",
            none,
        ),
        (
            Op::PeopleExport,
            Method::GET,
            "/api/v1/domains/{D}/people/export",
            none,
        ),
        (
            Op::PeopleImport,
            Method::POST,
            "/api/v1/domains/{D}/people/import",
            empty,
        ),
        (
            Op::PeopleImport,
            Method::GET,
            "/api/v1/domains/{D}/people/imports",
            none,
        ),
        (
            Op::PeopleImport,
            Method::GET,
            "/api/v1/domains/{D}/people/imports/1",
            none,
        ),
        (
            Op::AccountSetPassword,
            Method::POST,
            "/domains/{D}/people/anna/password",
            none,
        ),
        (
            Op::AccountSetPassword,
            Method::PUT,
            "/api/v1/domains/{D}/accounts/anna/password",
            empty,
        ),
        (
            Op::AccountSuspend,
            Method::POST,
            "/domains/{D}/people/anna/suspend",
            none,
        ),
        (
            Op::AccountSuspend,
            Method::POST,
            "/api/v1/domains/{D}/accounts/anna/suspend",
            none,
        ),
        (
            Op::AccountResume,
            Method::POST,
            "/domains/{D}/people/anna/resume",
            none,
        ),
        (
            Op::AccountResume,
            Method::POST,
            "/api/v1/domains/{D}/accounts/anna/resume",
            none,
        ),
        (
            Op::AccountRevokeCertificate,
            Method::POST,
            "/domains/{D}/people/anna/revoke-certificate",
            || Some(json!({"certificate": "Phone"})),
        ),
        (
            Op::AccountRevokeCertificate,
            Method::DELETE,
            "/api/v1/domains/{D}/accounts/anna/certificates/Phone",
            none,
        ),
        (
            Op::AccountShow,
            Method::GET,
            "/api/v1/domains/{D}/accounts/anna/certificates",
            none,
        ),
        (
            Op::AccountShow,
            Method::GET,
            "/api/v1/domains/{D}/accounts/anna/storage",
            none,
        ),
        (
            Op::AccountDevices,
            Method::GET,
            "/api/v1/domains/{D}/accounts/anna/devices",
            none,
        ),
        (
            Op::AccountSignOut,
            Method::DELETE,
            "/api/v1/domains/{D}/accounts/anna/devices/session-balcony",
            none,
        ),
        (
            Op::AccountSignOut,
            Method::POST,
            "/domains/{D}/people/anna/sign-out",
            || Some(json!({"device": "session-balcony"})),
        ),
        (
            Op::AccountRemove,
            Method::POST,
            "/domains/{D}/people/anna/remove",
            || Some(json!({"confirm": "anna@{D}"})),
        ),
        (
            Op::AccountRemove,
            Method::DELETE,
            "/api/v1/domains/{D}/accounts/anna",
            none,
        ),
        (
            Op::InviteList,
            Method::GET,
            "/api/v1/domains/{D}/invites",
            none,
        ),
        (
            Op::InviteAdd,
            Method::POST,
            "/api/v1/domains/{D}/invites",
            empty,
        ),
        (Op::InviteAdd, Method::POST, "/domains/{D}/invites", none),
        (
            Op::InviteRemove,
            Method::DELETE,
            "/api/v1/domains/{D}/invites/1",
            none,
        ),
        (
            Op::InviteRemove,
            Method::POST,
            "/domains/{D}/invites/2/remove",
            none,
        ),
        (
            Op::ComponentList,
            Method::GET,
            "/api/v1/domains/{D}/components",
            none,
        ),
        (
            Op::ComponentAdd,
            Method::PUT,
            "/api/v1/domains/{D}/components/bridge",
            || Some(json!({})),
        ),
        (
            Op::ComponentGrant,
            Method::PUT,
            "/api/v1/domains/{D}/components/bridge/grants",
            || Some(json!({"roster": "get"})),
        ),
        (
            Op::ComponentRemove,
            Method::DELETE,
            "/api/v1/domains/{D}/components/bridge",
            none,
        ),
        (
            Op::ComponentList,
            Method::GET,
            "/domains/{D}/components",
            none,
        ),
        (
            Op::ComponentAdd,
            Method::POST,
            "/domains/{D}/components",
            || Some(json!({"name": "robot"})),
        ),
        (
            Op::ComponentGrant,
            Method::POST,
            "/domains/{D}/components/grant",
            || {
                Some(
                    json!({"name": "robot", "roster": "none", "message": "none", "presence": "none"}),
                )
            },
        ),
        (
            Op::ComponentRemove,
            Method::POST,
            "/domains/{D}/components/remove",
            || Some(json!({"name": "robot"})),
        ),
        (Op::RoomList, Method::GET, "/domains/{D}/kept", none),
        (Op::RoomList, Method::GET, "/api/v1/domains/{D}/rooms", none),
        (
            Op::UploadList,
            Method::GET,
            "/api/v1/domains/{D}/uploads",
            none,
        ),
        (Op::PeerList, Method::GET, "/domains/{D}/federation", none),
        (Op::ReportList, Method::GET, "/domains/{D}/reports", none),
        (
            Op::ReportList,
            Method::GET,
            "/api/v1/domains/{D}/reports",
            none,
        ),
        (Op::PeerList, Method::GET, "/api/v1/domains/{D}/peers", none),
        (
            Op::PeerShow,
            Method::GET,
            "/domains/{D}/federation/nobody.example",
            none,
        ),
        (
            Op::PeerShow,
            Method::GET,
            "/api/v1/domains/{D}/peers/nobody.example",
            none,
        ),
        (Op::PeerPin, Method::POST, "/domains/{D}/pinned", || {
            Some(json!({"peer": "nobody.example", "anchors_pem": "x"}))
        }),
        (
            Op::PeerPin,
            Method::PUT,
            "/api/v1/domains/{D}/peers/nobody.example/pinned",
            || Some(json!({"anchors_pem": "x"})),
        ),
        (
            Op::PeerUnpin,
            Method::POST,
            "/domains/{D}/pinned/remove",
            || Some(json!({"peer": "nobody.example"})),
        ),
        (
            Op::PeerUnpin,
            Method::DELETE,
            "/api/v1/domains/{D}/peers/nobody.example/pinned",
            none,
        ),
        (
            Op::PeerList,
            Method::GET,
            "/api/v1/domains/{D}/policies",
            none,
        ),
    ]
}
