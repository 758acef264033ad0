//! Every operation × every role × an object of one's own and of another tenant. The match has no wildcard: an operation
//! without a call here does not compile.

use store::ClientCertificateRow;
use xmpp::jid::DomainName;

use super::world::{House, PASSWORD};
use crate::account::AccountNew;
use crate::audit::AuditQuery;
use crate::certificate::CertificateUpload;
use crate::component::ComponentAsk;
use crate::domain::{DomainImport, DomainNew, DomainSet};
use crate::error::{ControlError, Result};
use crate::invitation::InvitationAsk;
use crate::invite::InviteAsk;
use crate::ladder::{LadderSet, Step};
use crate::operator::{OperatorNew, Origin};
use crate::outside::RevocationReason;
use crate::permission::{Operation, Reach, Role};
use crate::plan::PlanSet;
use crate::tenant::LimitsSet;
use crate::tenant::TenantNew;
use crate::token::TokenAsk;
use crate::verdict::VerdictsAsk;
use crate::webhook::WebhookAsk;
use crate::{Actor, Control, Secret};

/// Objects of one tenant.
pub(super) struct Objects {
    pub(super) tenant: i64,
    domain: String,
    member: i64,
    login: i64,
    token: i64,
    invitation: i64,
    invite: i64,
    webhook: i64,
}

fn hook() -> WebhookAsk {
    WebhookAsk {
        url: "https://hooks.example/x".into(),
        events: Vec::new(),
    }
}

fn invitation() -> InvitationAsk {
    InvitationAsk {
        role: "support".into(),
        ..InvitationAsk::default()
    }
}

fn plan(name: &str) -> PlanSet {
    PlanSet {
        name: Some(name.into()),
        ..PlanSet::default()
    }
}

fn ask(name: &str) -> TokenAsk {
    TokenAsk {
        name: name.into(),
        ..TokenAsk::default()
    }
}

/// As juliet's client would have done it, so that there is something to revoke.
async fn upload(control: &Control, domain: &str) {
    let name = DomainName::parse(domain).expect("a name");
    for row in control.store().domain_find(&name).await.expect("read") {
        let rows = control.domain_store(&row);
        if let Some(account) = rows.account_find("juliet").await.expect("read") {
            let new = ClientCertificateRow {
                name: "Phone".into(),
                fingerprint: "ab".repeat(32),
                certificate: vec![0x30],
                manages: true,
                added: control.now(),
                expires: control.now(),
            };
            let added = rows.client_certificate_add(account.id, &new).await;
            added.expect("kept");
            token(control, &rows, account.id, "phone").await;
        }
    }
}

/// As her client would have got one.
pub(crate) async fn token(
    control: &Control,
    rows: &store::DomainStore,
    account: store::AccountId,
    agent: &str,
) {
    use xmpp::sasl::{TokenKey, TokenMechanism};
    let grant = xmpp::stream::Grant {
        account: xmpp::jid::BareJid::parse("juliet@example.com").expect("an address"),
        agent: xmpp::stream::UserAgent {
            id: Some(agent.into()),
            software: "Chat".into(),
            device: "Telephone".into(),
        },
        used: None,
        invalidate: false,
        wanted: Some(TokenMechanism::EndPoint),
        key: TokenKey::of(&"x".repeat(65)),
    };
    let given = rows.token_grant(account, &grant, 3_600, control.now());
    assert!(given.await.expect("written").is_some());
}

/// Does the operation on these objects; only whether it was allowed matters.
pub(super) async fn call(
    house: &House,
    operation: Operation,
    actor: &Actor,
    of: &Objects,
) -> Result<()> {
    let control = &house.control;
    let (tenant, domain) = (of.tenant, of.domain.as_str());
    let new = |login: String| OperatorNew {
        login,
        password: PASSWORD.into(),
        role: "auditor".into(),
    };
    let account = |local: &str| AccountNew {
        local: local.into(),
        password: Some(PASSWORD.into()),
    };
    match operation {
        Operation::TenantList => match control
            .tenant_list(actor)
            .await?
            .iter()
            .any(|view| view.id == tenant)
        {
            true => Ok(()),
            false => Err(ControlError::not_found("tenant", tenant)),
        },
        Operation::TenantShow => control.tenant_show(actor, tenant).await.map(drop),
        Operation::TenantAdd => control
            .tenant_add(
                actor,
                TenantNew {
                    name: "new".into(),
                    owner: None,
                },
            )
            .await
            .map(drop),
        Operation::TenantSuspend => control
            .tenant_suspend(actor, tenant, "test")
            .await
            .map(drop),
        Operation::TenantResume => control.tenant_resume(actor, tenant).await.map(drop),
        Operation::TenantRemove => control.tenant_remove(actor, tenant).await.map(drop),
        Operation::TenantSetLimits => control
            .tenant_set_limits(actor, tenant, LimitsSet::default())
            .await
            .map(drop),
        Operation::LadderSet => {
            let set = LadderSet {
                reason: "test".into(),
                ..LadderSet::default()
            };
            control.ladder_set(actor, tenant, set).await.map(drop)
        }
        Operation::LadderEnd => control.ladder_end(actor, tenant, None).await.map(drop),
        Operation::LadderStep => {
            control
                .ladder_step(actor, crate::TenantId(tenant), Step::Warned)
                .await
        }
        Operation::UsageShow => control.usage_show(actor, tenant).await.map(drop),
        Operation::PlanList => control.plan_list(actor).await.map(drop),
        Operation::PlanAdd => control
            .plan_add(actor, plan(&format!("plan of {}", actor.role())))
            .await
            .map(drop),
        Operation::PlanSet => control
            .plan_set(actor, 1, PlanSet::default())
            .await
            .map(drop),
        Operation::PlanRemove => control.plan_remove(actor, 1).await,
        Operation::TeamList => control.team_list(actor, tenant).await.map(drop),
        Operation::TeamAdd => control
            .team_add(actor, tenant, new(format!("{}-x@example.org", of.member)))
            .await
            .map(drop),
        Operation::TeamRemove => control.team_remove(actor, tenant, of.member).await,
        Operation::TeamSetRole => control
            .team_set_role(actor, tenant, of.member, "support", None)
            .await
            .map(drop),
        Operation::TeamResetFactor => control.team_reset_factor(actor, tenant, of.member).await,
        Operation::TenantRequireFactor => control.tenant_require_factor(actor, tenant, false).await,
        Operation::FactorShow => control.factor_show(actor).await.map(drop),
        Operation::FactorBegin => control
            .factor_begin(actor, &PASSWORD.into())
            .await
            .map(drop),
        Operation::FactorConfirm => control.factor_confirm(actor, "000000").await.map(drop),
        Operation::FactorRemove => control.factor_remove(actor, "000000").await,
        Operation::PasskeyList => control.passkey_list(actor).await.map(drop),
        Operation::PasskeyAdd => control
            .passkey_begin(actor, &PASSWORD.into())
            .await
            .map(drop),
        // There is none: whoever may is told so.
        Operation::PasskeyRemove => {
            match control.passkey_remove(actor, 0, &PASSWORD.into()).await {
                Err(ControlError::NotFound { .. }) => Err(ControlError::LoginRefused),
                other => other,
            }
        }
        Operation::InvitationList => control.invitation_list(actor, tenant).await.map(drop),
        Operation::InvitationAdd => control
            .invitation_add(actor, tenant, invitation())
            .await
            .map(drop),
        Operation::InvitationRemove => {
            control
                .invitation_remove(actor, tenant, of.invitation)
                .await
        }
        Operation::WebhookList => control.webhook_list(actor, tenant).await.map(drop),
        Operation::WebhookAdd => control.webhook_add(actor, tenant, hook()).await.map(drop),
        Operation::WebhookTest => control.webhook_test(actor, tenant, of.webhook).await,
        Operation::WebhookDeliveries => control.webhook_deliveries(actor, tenant).await.map(drop),
        Operation::WebhookRemove => control.webhook_remove(actor, tenant, of.webhook).await,
        Operation::PlatformTeam => control.platform_team_list(actor).await.map(drop),
        Operation::PlatformTeamSet => {
            let new = OperatorNew {
                login: "another@example.org".into(),
                password: PASSWORD.into(),
                role: "platform".into(),
            };
            control.platform_team_add(actor, new).await.map(drop)
        }
        Operation::DomainList => control.domain_list(actor, Some(tenant)).await.map(drop),
        Operation::DomainShow => control.domain_show(actor, domain).await.map(drop),
        Operation::DomainVerdicts => {
            let ask = VerdictsAsk {
                mode: Some("dane".into()),
                ..VerdictsAsk::default()
            };
            control.verdicts_if(actor, domain, ask).await.map(drop)
        }
        Operation::DomainAdd => {
            let new = DomainNew {
                domain: format!("new-{domain}"),
                tenant: Some(tenant),
            };
            control.domain_add(actor, new).await.map(drop)
        }
        Operation::DomainImport => {
            let new = DomainImport {
                line: 1,
                domain: format!("moved-{domain}"),
                certificate: None,
            };
            control
                .domain_import(actor, tenant, vec![new], true)
                .await
                .map(drop)
        }
        Operation::DomainCheck => control.domain_check(actor, domain).await,
        Operation::DomainPublish => control.domain_publish(actor, domain).await,
        Operation::DomainSet => control
            .domain_set(actor, domain, DomainSet::default())
            .await
            .map(drop),
        Operation::DomainSuspend => control.domain_suspend(actor, domain, "").await.map(drop),
        Operation::DomainResume => control.domain_resume(actor, domain).await.map(drop),
        Operation::DomainRemove => control.domain_remove(actor, domain).await.map(drop),
        Operation::DomainRecords => control.domain_records(actor, domain).await.map(drop),
        Operation::CertificateList => control.certificate_list(actor, domain).await.map(drop),
        Operation::CertificateUpload => {
            let upload = CertificateUpload {
                chain_pem: String::new(),
                key_pem: Secret::default(),
            };
            control
                .certificate_upload(actor, domain, upload)
                .await
                .map(drop)
        }
        Operation::CertificateOrder => control.certificate_order(actor, domain).await,
        Operation::CertificateChangeKey => {
            let change = crate::rollover::KeyChange::default();
            control.certificate_change_key(actor, domain, change).await
        }
        Operation::CertificateRevoke => control
            .certificate_revoke(actor, domain, RevocationReason::KeyCompromise)
            .await
            .map(drop),
        Operation::CertificateQueue => control
            .certificate_queue(actor, Some(tenant))
            .await
            .map(drop),
        Operation::AuthorityList => control.authority_list(actor).await.map(drop),
        Operation::ZoneCheck => control.zone_check(actor, false).await.map(drop),
        Operation::ZoneRepair => control.zone_check(actor, true).await.map(drop),
        Operation::AuthorityRollKey => control.authority_roll_key(actor, "").await.map(drop),
        Operation::AccountList => control
            .account_list(actor, domain, None, 10)
            .await
            .map(drop),
        Operation::AccountShow => control
            .account_show(actor, domain, "juliet")
            .await
            .map(drop),
        Operation::AccountAdd => control
            .account_add(actor, domain, account("romeo"))
            .await
            .map(drop),
        Operation::AccountImport => control
            .account_import(actor, domain, "nurse\n")
            .await
            .map(drop),
        Operation::OutageShow => control.outage_show(actor, Some(domain)).await.map(drop),
        Operation::OutageSet => control.outage_set(actor, Some(domain), None).await,
        Operation::OutagePlatform => control.outage_set(actor, None, None).await,
        Operation::PeopleExport => control
            .people_export(
                actor,
                domain,
                crate::portable::PeopleExport::default(),
                &mut tokio::io::sink(),
                &|_| {},
            )
            .await
            .map(drop),
        Operation::PeopleImport => control
            .people_import(
                actor,
                domain,
                crate::portable::PeopleImport::default(),
                Box::new(std::io::empty()),
                &|_| {},
            )
            .await
            .map(drop),
        Operation::AccountSetPassword => control
            .account_set_password(actor, domain, "juliet", Some("rosemary 42 thyme"))
            .await
            .map(drop),
        Operation::AccountSuspend => control
            .account_suspend(actor, domain, "juliet")
            .await
            .map(drop),
        Operation::AccountResume => control
            .account_resume(actor, domain, "juliet")
            .await
            .map(drop),
        Operation::AccountDevices => control
            .account_devices(actor, domain, "juliet")
            .await
            .map(drop),
        Operation::AccountSignOut => {
            control
                .account_sign_out(actor, domain, "juliet", &crate::device::agent_id("phone"))
                .await
        }
        Operation::AccountRevokeCertificate => {
            control
                .account_revoke_certificate(actor, domain, "juliet", "Phone")
                .await
        }
        Operation::AccountRemove => control.account_remove(actor, domain, "juliet").await,
        Operation::InviteList => control.invite_list(actor, domain).await.map(drop),
        Operation::InviteAdd => control
            .invite_add(actor, domain, InviteAsk::default())
            .await
            .map(drop),
        Operation::InviteRemove => control.invite_remove(actor, domain, of.invite).await,
        Operation::ComponentList => control.component_list(actor, domain).await.map(drop),
        Operation::ComponentAdd => control
            .component_add(actor, domain, "bridge", ComponentAsk::default())
            .await
            .map(drop),
        Operation::ComponentGrant => control
            .component_grant(
                actor,
                domain,
                "bridge",
                crate::grant::Grants::default(),
                None,
            )
            .await
            .map(drop),
        Operation::ComponentRemove => control.component_remove(actor, domain, "bridge").await,
        Operation::PeerList => control.peer_list(actor, domain).await.map(drop),
        Operation::PeerShow => control
            .peer_show(actor, domain, "peer.example")
            .await
            .map(drop),
        Operation::PeerPin => {
            let pin = crate::peer::PeerPin {
                anchors_pem: String::new(),
            };
            control
                .peer_pin(actor, domain, "peer.example", pin)
                .await
                .map(drop)
        }
        Operation::PeerUnpin => control.peer_unpin(actor, domain, "peer.example").await,
        Operation::ReportList => control.report_list(actor, domain, None).await.map(drop),
        Operation::RoomList => control.room_list(actor, domain, None).await.map(drop),
        Operation::UploadList => control.upload_list(actor, domain).await.map(drop),
        Operation::AuditList => control
            .audit_list(
                actor,
                &AuditQuery {
                    tenant: Some(tenant),
                    ..AuditQuery::default()
                },
            )
            .await
            .map(drop),
        Operation::LoginList => control.login_list(actor).await.map(drop),
        Operation::OwnerView => control.owner_view(actor, of.login, tenant).await.map(drop),
        Operation::OwnerViewEnd => control.owner_view_end(actor).await.map(drop),
        Operation::LoginRevoke => control.login_revoke(actor, of.login).await,
        Operation::PasswordChange => control.password_change(actor, "wrong", "wrong").await,
        Operation::MailShow => control.mail_show(actor).await.map(drop),
        Operation::MailSet => control.mail_set(actor, false).await.map(drop),
        Operation::TokenList => control.token_list(actor).await.map(drop),
        Operation::TokenAdd => control.token_add(actor, ask("test")).await.map(drop),
        Operation::TokenRemove => control.token_remove(actor, of.token).await,
        Operation::PlatformOverview => control.overview(actor).await.map(drop),
    }
}

/// Operations that leave an entry in the audit log. The match has no wildcard.
pub(super) fn changes(operation: Operation) -> bool {
    match operation {
        Operation::TenantList
        | Operation::TenantShow
        | Operation::PlatformTeam
        | Operation::LadderStep
        | Operation::UsageShow
        | Operation::PlanList
        | Operation::TeamList
        | Operation::InvitationList
        | Operation::WebhookList
        | Operation::WebhookTest
        | Operation::WebhookDeliveries
        | Operation::FactorShow
        | Operation::PasskeyList
        | Operation::DomainList
        | Operation::DomainShow
        | Operation::DomainVerdicts
        | Operation::DomainCheck
        | Operation::DomainRecords
        | Operation::CertificateList
        | Operation::CertificateQueue
        | Operation::AuthorityList
        | Operation::AccountList
        | Operation::OutageShow
        | Operation::AccountShow
        | Operation::InviteList
        | Operation::ComponentList
        | Operation::PeerList
        | Operation::PeerShow
        | Operation::ReportList
        | Operation::RoomList
        | Operation::UploadList
        | Operation::ZoneCheck
        | Operation::AuditList
        | Operation::AccountDevices
        | Operation::LoginList
        | Operation::MailShow
        | Operation::TokenList
        | Operation::PlatformOverview => false,
        Operation::TenantAdd
        | Operation::ZoneRepair
        | Operation::TenantSuspend
        | Operation::TenantResume
        | Operation::TenantRemove
        | Operation::TenantSetLimits
        | Operation::LadderSet
        | Operation::LadderEnd
        | Operation::PlanAdd
        | Operation::PlanSet
        | Operation::PlanRemove
        | Operation::TeamAdd
        | Operation::TeamRemove
        | Operation::TeamSetRole
        | Operation::TeamResetFactor
        | Operation::TenantRequireFactor
        | Operation::FactorBegin
        | Operation::FactorConfirm
        | Operation::FactorRemove
        | Operation::PasskeyAdd
        | Operation::PasskeyRemove
        | Operation::InvitationAdd
        | Operation::InvitationRemove
        | Operation::WebhookAdd
        | Operation::WebhookRemove
        | Operation::PlatformTeamSet
        | Operation::DomainAdd
        | Operation::DomainImport
        | Operation::DomainPublish
        | Operation::DomainSet
        | Operation::DomainSuspend
        | Operation::DomainResume
        | Operation::DomainRemove
        | Operation::CertificateUpload
        | Operation::CertificateOrder
        | Operation::CertificateChangeKey
        | Operation::CertificateRevoke
        | Operation::AuthorityRollKey
        | Operation::AccountAdd
        | Operation::AccountImport
        | Operation::PeopleExport
        | Operation::PeopleImport
        | Operation::OutageSet
        | Operation::OutagePlatform
        | Operation::AccountSetPassword
        | Operation::AccountSuspend
        | Operation::AccountResume
        | Operation::AccountRevokeCertificate
        | Operation::AccountSignOut
        | Operation::AccountRemove
        | Operation::InviteAdd
        | Operation::InviteRemove
        | Operation::ComponentAdd
        | Operation::ComponentGrant
        | Operation::ComponentRemove
        | Operation::PeerPin
        | Operation::PeerUnpin
        | Operation::OwnerView
        | Operation::OwnerViewEnd
        | Operation::LoginRevoke
        | Operation::PasswordChange
        | Operation::MailSet
        | Operation::TokenAdd
        | Operation::TokenRemove => true,
    }
}

/// How often the log has an operation.
async fn entries(house: &House, operation: Operation) -> usize {
    let query = AuditQuery {
        operation: operation.to_string(),
        limit: Some(10_000),
        ..AuditQuery::default()
    };
    house
        .control
        .audit_list(&Actor::system("test"), &query)
        .await
        .unwrap()
        .len()
}

/// Operations on the actor's own person: there is no such thing as doing them to somebody else's.
fn is_personal(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::LoginList
            | Operation::OwnerViewEnd
            | Operation::LoginRevoke
            | Operation::PasswordChange
            | Operation::FactorShow
            | Operation::FactorBegin
            | Operation::FactorConfirm
            | Operation::FactorRemove
            | Operation::PasskeyList
            | Operation::PasskeyAdd
            | Operation::PasskeyRemove
            | Operation::MailShow
            | Operation::MailSet
            | Operation::TokenList
            | Operation::TokenAdd
            | Operation::TokenRemove
    )
}

/// Operations without an object of a tenant.
fn is_platform(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::DomainImport
            | Operation::LadderStep
            | Operation::OutagePlatform
            | Operation::OwnerView
            | Operation::PlanList
            | Operation::PlanAdd
            | Operation::PlanSet
            | Operation::PlanRemove
            | Operation::TenantAdd
            | Operation::AuthorityList
            | Operation::AuthorityRollKey
            | Operation::PlatformTeam
            | Operation::PlatformTeamSet
            | Operation::ZoneCheck
            | Operation::ZoneRepair
            | Operation::PlatformOverview
    )
}

pub(super) async fn objects(house: &House, domain: &str, nick: &str) -> (Objects, Actor) {
    let owner = house.live(domain, &format!("{nick}@example.org")).await;
    let system = Actor::system("test");
    let tenant = house
        .control
        .tenant_list(&owner)
        .await
        .unwrap()
        .remove(0)
        .id;
    let account = AccountNew {
        local: "juliet".into(),
        password: Some(PASSWORD.into()),
    };
    house
        .control
        .account_add(&system, domain, account)
        .await
        .unwrap();
    let new = OperatorNew {
        login: format!("{nick}-member@example.org"),
        password: PASSWORD.into(),
        role: "auditor".into(),
    };
    let member = house
        .control
        .team_add(&system, tenant, new)
        .await
        .unwrap()
        .id;
    let login = house.control.login_list(&owner).await.unwrap().remove(0).id;
    let token = house
        .control
        .token_add(&owner, ask("own"))
        .await
        .unwrap()
        .view
        .id;
    let invited = house
        .control
        .invitation_add(&system, tenant, invitation())
        .await
        .unwrap();
    let invite = house
        .control
        .invite_add(&system, domain, InviteAsk::default())
        .await
        .unwrap();
    upload(&house.control, domain).await;
    let hooked = house
        .control
        .webhook_add(&system, tenant, hook())
        .await
        .unwrap();
    (
        Objects {
            tenant,
            domain: domain.into(),
            member,
            login,
            token,
            invitation: invited.view.id,
            invite: invite.view.id,
            webhook: hooked.view.id,
        },
        owner,
    )
}

/// All that is stored, to see that a refusal changed nothing, of anybody's.
pub(super) async fn picture(house: &House) -> Vec<String> {
    house.control.store().picture().await.unwrap()
}

#[tokio::test]
async fn every_operation_every_role() {
    for role in Role::ALL {
        let house = House::open(true).await;
        let (own, _) = objects(&house, "own.example", "own").await;
        let (foreign, _) = objects(&house, "foreign.example", "foreign").await;
        let actor = match role {
            Role::System => Actor::system("test"),
            Role::Platform => {
                let new = OperatorNew {
                    login: "root@example.org".into(),
                    password: PASSWORD.into(),
                    role: "platform".into(),
                };
                house
                    .control
                    .platform_team_add(&Actor::system("test"), new)
                    .await
                    .unwrap();
                let request = crate::operator::LoginRequest {
                    login: "root@example.org".into(),
                    password: PASSWORD.into(),
                };
                house
                    .control
                    .login(request, &Origin::default())
                    .await
                    .unwrap()
                    .resumed
                    .actor
            }
            _ => {
                house
                    .operator(own.tenant, role.as_str(), &format!("{role}@example.org"))
                    .await
            }
        };
        let before = picture(&house).await;
        for operation in Operation::ALL.iter().copied() {
            if is_platform(operation) || is_personal(operation) {
                continue;
            }
            if operation.reach(role) == Reach::All {
                // Removals would take the objects away from the operations after them: they are tested last.
                continue;
            }
            let answer = call(&house, operation, &actor, &foreign).await;
            assert!(
                matches!(answer, Err(ControlError::NotFound { .. })),
                "{role} {operation} on another tenant's: {answer:?}"
            );
        }
        let after = picture(&house).await;
        let changed: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
        assert!(
            changed.is_empty() && after.len() == before.len(),
            "{role} changed what is another tenant's: {changed:?}"
        );
        for operation in Operation::ALL.iter().copied() {
            let reach = operation.reach(role);
            if is_platform(operation) {
                let answer = call(&house, operation, &actor, &own).await;
                assert_eq!(
                    matches!(answer, Err(ControlError::Forbidden { .. })),
                    reach == Reach::No,
                    "{role} {operation}: {answer:?}"
                );
                continue;
            }
            if is_personal(operation) {
                // Another person's login or token is not found, whoever asks.
                let answer = call(&house, operation, &actor, &foreign).await;
                match (reach, operation) {
                    (Reach::No, _) => assert!(
                        matches!(answer, Err(ControlError::Forbidden { .. })),
                        "{role} {operation}: {answer:?}"
                    ),
                    (_, Operation::LoginRevoke | Operation::TokenRemove) => {
                        assert!(
                            matches!(answer, Err(ControlError::NotFound { .. })),
                            "{role} {operation}: {answer:?}"
                        );
                    }
                    _ => assert!(
                        !matches!(
                            answer,
                            Err(ControlError::Forbidden { .. } | ControlError::NotFound { .. })
                        ),
                        "{role} {operation}: {answer:?}"
                    ),
                }
            }
        }
        // On one's own: allowed or forbidden, as the table says. What takes objects away comes last.
        let takes = [
            Operation::AccountRemove,
            Operation::WebhookRemove,
            Operation::TeamRemove,
            Operation::DomainRemove,
            Operation::TenantRemove,
        ];
        let order = Operation::ALL
            .iter()
            .copied()
            .filter(|operation| !takes.contains(operation))
            .chain(takes);
        for operation in
            order.filter(|operation| !is_platform(*operation) && !is_personal(*operation))
        {
            let before = entries(&house, operation).await;
            let answer = call(&house, operation, &actor, &own).await;
            if answer.is_ok() && changes(operation) {
                assert!(
                    entries(&house, operation).await > before,
                    "{role} {operation} is not in the log"
                );
            }
            match operation.reach(role) {
                Reach::No => assert!(
                    matches!(answer, Err(ControlError::Forbidden { .. })),
                    "{role} {operation}: {answer:?}"
                ),
                Reach::Own | Reach::All => {
                    let missing = matches!(answer, Err(ControlError::NotFound { .. }))
                        && !matches!(
                            operation,
                            Operation::PeerShow
                                | Operation::PeerUnpin
                                | Operation::TeamResetFactor
                                // A password that is set ends tokens.
                                | Operation::AccountSignOut
                        );
                    assert!(
                        !missing && !matches!(answer, Err(ControlError::Forbidden { .. })),
                        "{role} {operation}: {answer:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn foreign_and_absent_look_the_same() {
    let house = House::open(false).await;
    let owner = house.live("example.com", "me@example.org").await;
    house.live("example.net", "you@example.org").await;
    let text = |error: ControlError| error.to_string();
    let foreign = text(
        house
            .control
            .domain_show(&owner, "example.net")
            .await
            .unwrap_err(),
    );
    let absent = text(
        house
            .control
            .domain_show(&owner, "example.org")
            .await
            .unwrap_err(),
    );
    assert_eq!(foreign.replace("example.net", "example.org"), absent);
}

#[tokio::test]
async fn a_tenant_lists_only_its_own() {
    let house = House::open(false).await;
    let owner = house.live("example.com", "me@example.org").await;
    house.live("example.net", "you@example.org").await;
    let names = |list: Vec<crate::domain::DomainView>| {
        list.into_iter().map(|view| view.domain).collect::<Vec<_>>()
    };
    assert_eq!(
        names(house.control.domain_list(&owner, None).await.unwrap()),
        ["example.com"]
    );
    assert_eq!(
        names(
            house
                .control
                .domain_list(&Actor::system("test"), None)
                .await
                .unwrap()
        )
        .len(),
        2
    );
    assert_eq!(
        house
            .control
            .audit_list(&owner, &AuditQuery::default())
            .await
            .unwrap()
            .iter()
            .filter(|entry| entry.object == "example.net")
            .count(),
        0
    );
}
