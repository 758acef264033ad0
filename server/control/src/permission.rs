//! Who may do what: one table, operation × role.
//!
//! The question is asked about the *resolved* object ("may this actor remove the domain with this owner"), never about a
//! path or a button. What is outside the actor's reach is "not found". The enum of operations is made from the table, so an
//! operation cannot exist without a row; the test `every_operation_every_role` calls each of them on an object of the
//! actor's own tenant and of another one.

use std::fmt;

use serde::Serialize;
use store::TenantId;

use crate::error::{ControlError, Result};

/// As whom something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The process itself: the worker, or a person at the machine's command line.
    System,
    /// An operator of the platform: sees every tenant.
    Platform,
    /// Owner of a tenant.
    Owner,
    /// Runs a tenant's domains and people, but neither its team nor its removal.
    Admin,
    /// Helps the tenant's people: accounts, but not domains.
    Support,
    /// Reads everything of a tenant, changes nothing.
    Auditor,
}

impl Role {
    /// Every role, in the order of the table's columns.
    pub const ALL: [Self; 6] = [
        Self::System,
        Self::Platform,
        Self::Owner,
        Self::Admin,
        Self::Support,
        Self::Auditor,
    ];

    /// The word used in the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Platform => "platform",
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Support => "support",
            Self::Auditor => "auditor",
        }
    }

    /// The role of this word; `system` is not one that an operator can have.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .skip(1)
            .find(|role| role.as_str() == word)
    }

    /// Does the role belong to one tenant (rather than to the platform)?
    pub fn of_a_tenant(self) -> bool {
        !matches!(self, Self::System | Self::Platform)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a role reaches with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Not at all.
    No,
    /// Objects of the actor's own tenant (or the actor's own person).
    Own,
    /// Every tenant's objects.
    All,
}

macro_rules! table {
    ($($(#[$doc:meta])* $operation:ident $name:literal : $system:ident $platform:ident $owner:ident $admin:ident $support:ident $auditor:ident;)*) => {
        /// Everything an actor can do. The name (`domain.add`) is the word of the audit log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[$doc])* $operation,)* }

        impl Operation {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)*];

            /// Its stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$operation => $name,)* }
            }

            /// The table.
            pub fn reach(self, role: Role) -> Reach {
                let row = match self { $(Self::$operation => [Reach::$system, Reach::$platform, Reach::$owner, Reach::$admin, Reach::$support, Reach::$auditor],)* };
                row[role as usize]
            }
        }
    };
}

table! {
    //                                                        system platform owner admin support auditor
    /// List tenants: all, or the actor's own.
    TenantList "tenant.list":                                 All All Own Own Own Own;
    /// Show a tenant.
    TenantShow "tenant.show":                                 All All Own Own Own Own;
    /// Add a tenant by hand (a customer signs up without an actor).
    TenantAdd "tenant.add":                                   All All No No No No;
    /// Stop all of a tenant's domains.
    TenantSuspend "tenant.suspend":                           All All No No No No;
    /// Undo that.
    TenantResume "tenant.resume":                             All All No No No No;
    /// Erase a tenant with everything it has.
    TenantRemove "tenant.remove":                             All All Own No No No;
    /// Look at a tenant's pages as its owner does, read only; its log says so.
    OwnerView "tenant.view":                                  No All No No No No;
    /// End that.
    OwnerViewEnd "tenant.view-end":                           No Own Own Own Own Own;
    /// Change a tenant's plan and limits.
    TenantSetLimits "tenant.set-limits":                      All All No No No No;
    /// Put a tenant on the suspension ladder, or give it other dates.
    LadderSet "ladder.set":                                   All All No No No No;
    /// Take it off.
    LadderEnd "ladder.end":                                   All All No No No No;
    /// Take the step whose time has come.
    LadderStep "ladder.step":                                 All No No No No No;
    /// See what tenants use of what they may have: all, or the actor's own.
    UsageShow "usage.show":                                   All All Own Own Own Own;
    /// List plans.
    PlanList "plan.list":                                     All All No No No No;
    /// Make a plan.
    PlanAdd "plan.add":                                       All All No No No No;
    /// Change one.
    PlanSet "plan.set":                                       All All No No No No;
    /// Remove one that nobody was given.
    PlanRemove "plan.remove":                                 All All No No No No;

    /// List a tenant's operators.
    TeamList "team.list":                                     All All Own Own Own Own;
    /// Add an operator to a tenant.
    TeamAdd "team.add":                                       All All Own No No No;
    /// Remove an operator from a tenant.
    TeamRemove "team.remove":                                 All All Own No No No;
    /// Give an operator of a tenant another role.
    TeamSetRole "team.set-role":                              All All Own No No No;
    /// Take away the second factor of an operator of a tenant who has lost it.
    TeamResetFactor "team.reset-factor":                      All All Own No No No;
    /// Ask everybody of a tenant's team for a second factor, or not.
    TenantRequireFactor "tenant.require-factor":              All All Own No No No;
    /// See who is invited into a tenant's team.
    InvitationList "invitation.list":                         All All Own Own Own Own;
    /// Invite somebody.
    InvitationAdd "invitation.add":                           All All Own No No No;
    /// Take an invitation back.
    InvitationRemove "invitation.remove":                     All All Own No No No;
    /// List the operators of the platform.
    PlatformTeam "platform.team":                             All All No No No No;
    /// Add an operator of the platform, set the password of one, or take a second factor away.
    PlatformTeamSet "platform.team-set":                      All All No No No No;

    /// See a tenant's webhooks.
    WebhookList "webhook.list":                               All All Own Own No Own;
    /// Add one.
    WebhookAdd "webhook.add":                                 All All Own Own No No;
    /// Remove one.
    WebhookRemove "webhook.remove":                           All All Own Own No No;
    /// Send one a message to try it.
    WebhookTest "webhook.test":                               All All Own Own No No;
    /// See what was sent, and what became of it.
    WebhookDeliveries "webhook.deliveries":                   All All Own Own No Own;

    /// List domains: all, or the tenant's.
    DomainList "domain.list":                                 All All Own Own Own Own;
    /// Show a domain: status, checks, verdicts.
    DomainShow "domain.show":                                 All All Own Own Own Own;
    /// See who would accept a domain how: as it is, or in a mode that is only thought about.
    DomainVerdicts "domain.verdicts":                         All All Own Own Own Own;
    /// Add a domain.
    DomainAdd "domain.add":                                   All All Own Own No No;
    /// Add thousands, on the word of whoever is at the machine, with files that lie there.
    DomainImport "domain.import":                             All No No No No No;
    /// Look at the world now.
    DomainCheck "domain.check":                               All All Own Own Own No;
    /// Let the sandbox's DNS publish the records.
    DomainPublish "domain.publish":                           All All Own Own No No;
    /// Change a domain's settings: policy, services.
    DomainSet "domain.set":                                   All All Own Own No No;
    /// See what outage is announced for a domain.
    OutageShow "outage.show":                                 All All Own Own Own Own;
    /// Announce one, or that it is over.
    OutageSet "outage.set":                                   All All Own Own No No;
    /// The same for all of the platform.
    OutagePlatform "outage.platform":                         All All No No No No;
    /// Stop a domain.
    DomainSuspend "domain.suspend":                           All All Own Own No No;
    /// Undo that.
    DomainResume "domain.resume":                             All All Own Own No No;
    /// Erase a domain with everything it has.
    DomainRemove "domain.remove":                             All All Own No No No;
    /// See the records to publish.
    DomainRecords "domain.records":                           All All Own Own Own Own;

    /// See a domain's certificates.
    CertificateList "certificate.list":                       All All Own Own Own Own;
    /// Upload chain and key.
    CertificateUpload "certificate.upload":                   All All Own Own No No;
    /// Order now.
    CertificateOrder "certificate.order":                     All All Own Own No No;
    /// Another key for the next certificate, in good order or at once.
    CertificateChangeKey "certificate.change-key":            All All Own Own No No;
    /// Revoke what was ordered, and order anew with another key.
    CertificateRevoke "certificate.revoke":                   All All Own Own No No;
    /// See who stands in line for a certificate.
    CertificateQueue "certificate.queue":                     All All Own Own Own Own;
    /// See the certificate authorities, and what of their limits is used.
    AuthorityList "authority.list":                           All All No No No No;
    /// Look for names in the platform's zone that no domain owns.
    ZoneCheck "zone.check":                                   All All No No No No;
    /// Take them away.
    ZoneRepair "zone.repair":                                 All All No No No No;
    /// Give our account at one of them another key.
    AuthorityRollKey "authority.roll-key":                    All All No No No No;

    /// List accounts.
    AccountList "account.list":                               All All Own Own Own Own;
    /// Show one.
    AccountShow "account.show":                               All All Own Own Own Own;
    /// Add one.
    AccountAdd "account.add":                                 All All Own Own Own No;
    /// Add thousands.
    AccountImport "account.import":                           All All Own Own No No;
    /// Set an account's password.
    AccountSetPassword "account.set-password":                All All Own Own Own No;
    /// Stop an account.
    AccountSuspend "account.suspend":                         All All Own Own Own No;
    /// Undo that.
    AccountResume "account.resume":                           All All Own Own Own No;
    /// See what an account's people sign in with, and who of them is connected.
    AccountDevices "account.devices":                         All All Own Own Own Own;
    /// Sign one of these devices out.
    AccountSignOut "account.sign-out":                        All All Own Own Own No;
    /// Revoke a certificate that an account's clients log in with.
    AccountRevokeCertificate "account.revoke-certificate":    All All Own Own Own No;
    /// Erase an account.
    AccountRemove "account.remove":                           All All Own Own No No;

    /// See who is invited to an account of a domain.
    InviteList "invite.list":                                 All All Own Own Own Own;
    /// Invite somebody.
    InviteAdd "invite.add":                                   All All Own Own Own No;
    /// Take an invitation back.
    InviteRemove "invite.remove":                             All All Own Own Own No;
    /// Take out what a domain's people have, passwords' verifiers among it (XEP-0227).
    PeopleExport "people.export":                             All All Own No No No;
    /// Take in what people have elsewhere.
    PeopleImport "people.import":                             All All Own Own No No;

    /// List the programs that answer for names below a domain.
    ComponentList "component.list":                           All All Own Own Own Own;
    /// Let one connect.
    ComponentAdd "component.add":                             All All Own Own No No;
    /// Say what it may do in the name of the domain's accounts.
    ComponentGrant "component.grant":                         All All Own No No No;
    /// Take its name away.
    ComponentRemove "component.remove":                       All All Own Own No No;

    /// What happened with peers.
    PeerList "peer.list":                                     All All Own Own Own Own;
    /// One peer's story.
    PeerShow "peer.show":                                     All All Own Own Own Own;
    /// Pin trust anchors for a peer.
    PeerPin "peer.pin":                                       All All Own Own No No;
    /// Undo that.
    PeerUnpin "peer.unpin":                                   All All Own Own No No;

    /// What a domain's people report to its owner.
    ReportList "report.list":                                 All All Own Own Own Own;
    /// See a domain's rooms, and what they keep.
    RoomList "room.list":                                     All All Own Own Own Own;
    /// See who of a domain shares how much.
    UploadList "upload.list":                                 All All Own Own Own Own;

    /// Read the audit log.
    AuditList "audit.list":                                   All All Own Own No Own;

    /// The actor's own logins.
    LoginList "login.list":                                   No Own Own Own Own Own;
    /// End one of them.
    LoginRevoke "login.revoke":                               No Own Own Own Own Own;
    /// The actor's own password.
    PasswordChange "password.change":                         No Own Own Own Own Own;
    /// The actor's own second factor.
    FactorShow "factor.show":                                 No Own Own Own Own Own;
    /// Draw a secret for it.
    FactorBegin "factor.begin":                               No Own Own Own Own Own;
    /// Show that it works.
    FactorConfirm "factor.confirm":                           No Own Own Own Own Own;
    /// Take it away.
    FactorRemove "factor.remove":                             No Own Own Own Own Own;
    /// The actor's own passkeys.
    PasskeyList "passkey.list":                               No Own Own Own Own Own;
    /// Make one.
    PasskeyAdd "passkey.add":                                 No Own Own Own Own Own;
    /// Take one away.
    PasskeyRemove "passkey.remove":                           No Own Own Own Own Own;
    /// Whether the actor is written to.
    MailShow "mail.show":                                     No Own Own Own Own Own;
    /// Choose it.
    MailSet "mail.set":                                       No Own Own Own Own Own;
    /// The actor's own API tokens.
    TokenList "token.list":                                   No Own Own Own Own Own;
    /// Make one.
    TokenAdd "token.add":                                     No Own Own Own Own Own;
    /// End one.
    TokenRemove "token.remove":                               No Own Own Own Own Own;
    /// Numbers across tenants.
    PlatformOverview "platform.overview":                     All All No No No No;
}

impl Operation {
    /// The operation of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|operation| operation.as_str() == name)
    }

    /// Is it done to one domain (or lists domains), so that a token for some domains may do it to these? What is not known
    /// to be is not.
    pub fn of_a_domain(self) -> bool {
        let noun = self.as_str().split('.').next().unwrap_or_default();
        matches!(
            noun,
            "domain"
                | "certificate"
                | "account"
                | "invite"
                | "people"
                | "outage"
                | "component"
                | "peer"
                | "report"
                | "room"
                | "upload"
        ) && !matches!(
            self,
            Self::DomainAdd | Self::DomainImport | Self::CertificateQueue | Self::OutagePlatform
        )
    }

    /// May it be done by the team of a customer that is on the ladder: looking, one's own person, and leaving?
    pub fn of_looking(self) -> bool {
        matches!(
            self,
            Self::TenantList
                | Self::TenantShow
                | Self::TenantRemove
                | Self::UsageShow
                | Self::TeamList
                | Self::InvitationList
                | Self::DomainList
                | Self::DomainShow
                | Self::DomainRecords
                | Self::DomainVerdicts
                | Self::OutageShow
                | Self::DomainRemove
                | Self::CertificateList
                | Self::CertificateQueue
                | Self::AccountList
                | Self::AccountShow
                | Self::AccountDevices
                | Self::InviteList
                | Self::PeopleExport
                | Self::PeerList
                | Self::PeerShow
                | Self::ComponentList
                | Self::ReportList
                | Self::RoomList
                | Self::UploadList
                | Self::AuditList
                | Self::WebhookList
                | Self::WebhookDeliveries
                | Self::MailShow
                | Self::MailSet
                | Self::TokenList
                | Self::TokenRemove
        ) || self.of_enrolling()
    }

    /// May it be done by an operator of the platform who looks as an owner: looking at what is the tenant's, nothing else? What
    /// is not known to be is not.
    pub fn of_viewing(self) -> bool {
        matches!(
            self,
            Self::TenantList
                | Self::TenantShow
                | Self::UsageShow
                | Self::TeamList
                | Self::InvitationList
                | Self::WebhookList
                | Self::WebhookDeliveries
                | Self::DomainList
                | Self::DomainShow
                | Self::DomainRecords
                | Self::DomainVerdicts
                | Self::OutageShow
                | Self::CertificateList
                | Self::CertificateQueue
                | Self::AccountList
                | Self::AccountShow
                | Self::AccountDevices
                | Self::InviteList
                | Self::ComponentList
                | Self::PeerList
                | Self::PeerShow
                | Self::ReportList
                | Self::RoomList
                | Self::UploadList
                | Self::AuditList
                | Self::OwnerViewEnd
        )
    }

    /// May it be done by whoever must set up a second factor first?
    pub fn of_enrolling(self) -> bool {
        matches!(
            self,
            Self::LoginList
                | Self::LoginRevoke
                | Self::PasswordChange
                | Self::FactorShow
                | Self::FactorBegin
                | Self::FactorConfirm
                | Self::FactorRemove
                | Self::PasskeyList
                | Self::PasskeyAdd
                | Self::PasskeyRemove
        )
    }

    /// May an API token do it that was made for less than its owner may do? Not what would get it more: new tokens, passwords,
    /// logins, colleagues.
    pub fn of_a_limited_token(self) -> bool {
        !matches!(
            self,
            Self::LoginList
                | Self::LoginRevoke
                | Self::OwnerView
                | Self::OwnerViewEnd
                | Self::PasswordChange
                | Self::FactorShow
                | Self::FactorBegin
                | Self::FactorConfirm
                | Self::FactorRemove
                | Self::PasskeyList
                | Self::PasskeyAdd
                | Self::PasskeyRemove
                | Self::TenantRequireFactor
                | Self::TeamResetFactor
                | Self::WebhookAdd
                | Self::TeamAdd
                | Self::TeamSetRole
                | Self::InvitationAdd
                | Self::PlatformTeamSet
                | Self::MailSet
                | Self::TokenList
                | Self::TokenAdd
                | Self::TokenRemove
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// May `role` (of tenant `own`, if of one) do `operation` on an object of tenant `owner`? `what` and `name` are for the
/// "not found" that another tenant's object answers with.
pub fn check(
    role: Role,
    own: Option<TenantId>,
    operation: Operation,
    owner: Option<TenantId>,
    what: &'static str,
    name: &str,
) -> Result<()> {
    // Another tenant's object is not there at all; only then may the answer depend on the role.
    if role.of_a_tenant() && owner.is_some() && owner != own {
        return Err(ControlError::not_found(what, name));
    }
    match operation.reach(role) {
        Reach::No => Err(ControlError::Forbidden { operation, role }),
        Reach::Own if role.of_a_tenant() && owner.is_none() => {
            Err(ControlError::not_found(what, name))
        }
        Reach::Own | Reach::All => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_stable_words() {
        let mut names: Vec<_> = Operation::ALL
            .iter()
            .map(|operation| operation.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Operation::ALL.len());
    }

    #[test]
    fn an_auditor_changes_nothing_and_no_tenant_role_reaches_all() {
        for operation in Operation::ALL.iter().copied() {
            for role in Role::ALL.into_iter().filter(|role| role.of_a_tenant()) {
                assert_ne!(operation.reach(role), Reach::All, "{operation} {role}");
            }
        }
        for operation in [
            Operation::DomainAdd,
            Operation::AccountAdd,
            Operation::DomainRemove,
            Operation::TeamAdd,
        ] {
            assert_eq!(operation.reach(Role::Auditor), Reach::No);
        }
    }
}
