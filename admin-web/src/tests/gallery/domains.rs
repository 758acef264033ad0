//! An owner's domains.

use control::peer::PolicyCost;
use control::series::StepAsked;
use control::settings::ServiceName;

use super::{Pages, about, of, owner, page, removed};
use crate::frame::Here;
use crate::series::Series;
use crate::tests::sample;
use crate::urls::DomainUrls;
use crate::{domains, federation, home, identity, records, series, verification};

/// Name and page of each.
pub(super) fn of_domains() -> Pages {
    let live = sample::show_live();
    let pending = sample::show_pending();
    let urls = DomainUrls::new(&sample::show_live().view.ascii);
    let mut welcome = about(Here::Overview, &pending.view);
    welcome.notice = crate::words::notice("welcome");
    vec![
        (
            "home",
            page(&home::HomePage {
                frame: owner(Here::Home),
                tenant: sample::tenant(),
                usage: sample::usage(),
                page: of(sample::domains(), 318),
                search: String::new(),
            }),
        ),
        (
            "home_empty",
            page(&home::HomePage {
                frame: owner(Here::Home),
                tenant: sample::tenant(),
                usage: sample::usage(),
                page: of(Vec::new(), 0),
                search: String::new(),
            }),
        ),
        (
            "domain_new",
            page(&domains::DomainNewPage {
                frame: super::operator(Here::Home),
                domain: String::new(),
                tenant: "1".into(),
                tenants: vec![(1, "Lindgren & Daughters".into())],
                more: true,
            }),
        ),
        (
            "domain_claimed",
            page(&domains::DomainPage {
                frame: about(Here::Overview, &sample::show_claimed().view),
                urls: urls.clone(),
                show: sample::show_claimed(),
            }),
        ),
        (
            "domain_pending",
            page(&domains::DomainPage {
                frame: welcome,
                urls: urls.clone(),
                show: sample::show_pending(),
            }),
        ),
        (
            "domain_live",
            page(&domains::DomainPage {
                frame: about(Here::Overview, &live.view),
                urls: urls.clone(),
                show: sample::show_live(),
            }),
        ),
        (
            "domain_settings",
            page(&domains::SettingsPage {
                lists: vec![control::block_list::BlockListView {
                    list: "rtbl.example".into(),
                    entries: 2_104,
                    read: None,
                    problem: "remote-server-timeout".into(),
                }],
                costs: vec![PolicyCost {
                    policy: "encrypted",
                    lost: vec!["old-ejabberd.example".into()],
                }],
                frame: about(Here::Settings, &live.view),
                urls: urls.clone(),
                show: sample::show_live(),
                services: vec![
                    ServiceName {
                        label: "rooms".into(),
                        purpose: "group chats".into(),
                        federated: true,
                    },
                    ServiceName {
                        label: "upload".into(),
                        purpose: "files that people send".into(),
                        federated: false,
                    },
                ],
            }),
        ),
        (
            "domain_removed",
            page(&domains::RemovedPage {
                frame: owner(Here::Home),
                removed: removed(),
            }),
        ),
        (
            "records",
            page(&records::RecordsPage {
                frame: about(Here::Records, &pending.view),
                page: sample::records(),
                zone_file: sample::zone_file(),
                urls: urls.clone(),
                can_publish: true,
            }),
        ),
        (
            "verification",
            page(&verification::VerificationPage {
                frame: about(Here::Verification, &live.view),
                urls: urls.clone(),
                issuer: "Let's Encrypt".into(),
                modes: sample::modes(),
                foreseen: None,
                show: sample::show_live(),
            }),
        ),
        (
            "verification_empty",
            page(&verification::VerificationPage {
                frame: about(Here::Verification, &pending.view),
                urls: urls.clone(),
                issuer: "Let's Encrypt".into(),
                modes: sample::modes(),
                foreseen: None,
                show: sample::show_pending(),
            }),
        ),
        (
            "verification_foreseen",
            page(&verification::VerificationPage {
                frame: about(Here::Verification, &live.view),
                urls: urls.clone(),
                issuer: "Let's Encrypt".into(),
                modes: sample::modes(),
                foreseen: Some(sample::foreseen()),
                show: sample::show_live(),
            }),
        ),
        (
            "identity",
            page(&identity::IdentityPage {
                frame: about(Here::Identity, &live.view),
                urls: urls.clone(),
                certificates: vec![sample::certificate(), {
                    let mut old = sample::certificate();
                    old.state = "retired".into();
                    old
                }],
                issuer: "Let's Encrypt".into(),
                rollover: sample::rollover(),
                show: sample::show_live(),
            }),
        ),
        (
            "identity_empty",
            page(&identity::IdentityPage {
                frame: about(Here::Identity, &pending.view),
                urls: urls.clone(),
                certificates: Vec::new(),
                issuer: "Let's Encrypt".into(),
                rollover: sample::rollover(),
                show: sample::show_pending(),
            }),
        ),
        (
            "domain_usage",
            page(&series::DomainUsagePage {
                frame: about(Here::DomainUsage, &live.view).still(),
                view: live.view.clone(),
                series: Series::new(
                    sample::series("bakery.example", StepAsked::Hour),
                    "/domains/bakery.example/usage",
                ),
            }),
        ),
        (
            "federation",
            page(&federation::FederationPage {
                frame: about(Here::Federation, &live.view),
                view: live.view.clone(),
                urls: urls.clone(),
                page: sample::peer_page(sample::peers(), 3),
                search: String::new(),
                pinned: vec![sample::pinned()],
                peer: String::new(),
                anchors: String::new(),
            }),
        ),
        (
            "federation_many",
            page(&federation::FederationPage {
                frame: about(Here::Federation, &live.view),
                view: live.view.clone(),
                urls: urls.clone(),
                page: sample::peer_page(sample::many_peers(50), 500),
                search: String::new(),
                pinned: Vec::new(),
                peer: String::new(),
                anchors: String::new(),
            }),
        ),
        (
            "peer",
            page(&federation::PeerPage {
                frame: about(Here::Federation, &live.view),
                view: live.view.clone(),
                urls: urls.clone(),
                attempts: sample::stories()
                    .iter()
                    .map(federation::Attempt::read)
                    .collect(),
                peer: sample::peers().remove(2),
                pinned: Some(sample::pinned()),
            }),
        ),
    ]
}
