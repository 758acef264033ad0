//! Second factors: codes from an app (TOTP, RFC 6238), and recovery codes for when the app is lost.
//!
//! A code is good once: the period it belongs to is written down before anybody is let in, so a code that was overheard is
//! refused. Guessing is counted by person, so that no number of addresses helps. What is stored of a secret is sealed with the
//! master key; of a recovery code, its hash.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha1::Sha1;
use store::{OperatorId, OperatorRow};
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::operator::{LoggedIn, LoginRequest, Origin, hash_of};
use crate::permission::Operation;
use crate::secret::Secret;
use crate::time::{SECOND, plus};
use crate::uri::escaped;
use crate::{Actor, Control, password, rate};

/// Seconds of one period (RFC 6238 5.2).
const PERIOD: i64 = 30;
/// Periods before and after the present one whose codes are taken: clocks differ, and people type (RFC 6238 5.2).
const WINDOW: i64 = 1;
/// Bytes of a secret (RFC 4226 4: 160 bits).
const SECRET_BYTES: usize = 20;
/// Recovery codes of one person.
const CODES: usize = 10;
/// How long a right password waits for its code.
const HALF_SECONDS: i64 = 300;

/// One's own second factor.
#[derive(Debug, Clone, Serialize)]
pub struct FactorView {
    /// `none`, `begun` (not shown to work yet), `on`.
    pub state: &'static str,
    /// Since when it works.
    #[serde(serialize_with = "crate::time::maybe")]
    pub since: Option<Timestamp>,
    /// Recovery codes that are left.
    pub codes: u64,
    /// Does the customer ask it of its people, or the configuration of the platform's operators?
    pub wanted: bool,
}

/// A secret for the app; seen until it was shown to work.
#[derive(Debug, Clone, Serialize)]
pub struct FactorBegun {
    /// Base32, as apps take it.
    pub secret: String,
    /// The same as a link that apps on the same device open.
    pub uri: String,
}

impl Control {
    /// The actor's own second factor.
    pub async fn factor_show(&self, actor: &Actor) -> Result<FactorView> {
        let operator = self.own(actor, Operation::FactorShow)?;
        let row = self.store().factor_get(operator).await?;
        let wanted = match actor.tenant {
            Some(tenant) => {
                let row = self.store().tenant_get(tenant).await?;
                row.is_some_and(|row| row.second_factor)
            }
            None => self.settings().operators_second_factor,
        };
        Ok(FactorView {
            state: match &row {
                None => "none",
                Some(row) if row.since.is_none() => "begun",
                Some(_) => "on",
            },
            since: row.and_then(|row| row.since),
            codes: self.store().recovery_count(operator).await?,
            wanted,
        })
    }

    /// Whether somebody shows something beside a password: an app that was shown to work, or a passkey.
    pub(crate) async fn has_factor(&self, operator: OperatorId) -> Result<bool> {
        let row = self.store().factor_get(operator).await?;
        Ok(row.is_some_and(|row| row.since.is_some())
            || !self.store().passkey_list(operator).await?.is_empty())
    }

    /// Draws a secret for the actor's app, against their password: whoever finds an open browser cannot lock its owner out.
    pub async fn factor_begin(&self, actor: &Actor, password: &Secret) -> Result<FactorBegun> {
        let operator = self.own(actor, Operation::FactorBegin)?;
        self.password_shown(actor, operator, "password", password)
            .await?;
        let secret = password::bytes(SECRET_BYTES);
        let recorded = self.recorded_own(actor, Operation::FactorBegin, "");
        if !recorded.factor_begin(operator, &secret).await? {
            return Err(ControlError::State {
                name: actor.login().to_owned(),
                state: "signing in with a second factor already".into(),
                problem: "there is one at a time".into(),
                remedy: "Take the present one away first.".into(),
            });
        }
        let text = data_encoding::BASE32_NOPAD.encode(&secret);
        let uri = uri(&self.settings().name, actor.login(), &text);
        Ok(FactorBegun { secret: text, uri })
    }

    /// The app's first code shows that it works: from now on it is asked for. Returns recovery codes, seen once.
    pub async fn factor_confirm(&self, actor: &Actor, code: &str) -> Result<Vec<String>> {
        let operator = self.own(actor, Operation::FactorConfirm)?;
        let now = self.now();
        self.gate.attempt(rate::FACTOR, actor.login(), now)?;
        let absent = || ControlError::State {
            name: actor.login().to_owned(),
            state: "not setting up a second factor".into(),
            problem: "there is no secret that waits for its first code".into(),
            remedy: "Begin again.".into(),
        };
        let row = self.store().factor_get(operator).await?;
        let row = row.filter(|row| row.since.is_none()).ok_or_else(absent)?;
        let step = step_of(&row.secret, code, now).ok_or_else(wrong_code)?;
        let codes: Vec<String> = (0..CODES)
            .map(|_| password::token(10).expose().to_owned())
            .collect();
        let hashes: Vec<_> = codes.iter().map(|code| hash_of(code)).collect();
        let recorded = self.recorded_own(actor, Operation::FactorConfirm, "");
        if !recorded
            .factor_confirm(operator, step, &hashes, now)
            .await?
        {
            return Err(absent());
        }
        self.gate.clear(rate::FACTOR, actor.login());
        Ok(codes.iter().map(|code| readable(code)).collect())
    }

    /// Takes the actor's own second factor away, against a code of it.
    pub async fn factor_remove(&self, actor: &Actor, code: &str) -> Result<()> {
        let operator = self.own(actor, Operation::FactorRemove)?;
        self.factor_check(operator, actor.login(), code).await?;
        self.recorded_own(actor, Operation::FactorRemove, "")
            .factor_remove(operator)
            .await?;
        Ok(())
    }

    /// Takes a colleague's second factor away, who has lost it: app, recovery codes and passkeys.
    pub async fn team_reset_factor(&self, actor: &Actor, tenant: i64, id: i64) -> Result<()> {
        let row = self
            .tenant_row(actor, Operation::TeamResetFactor, tenant)
            .await?;
        let team = self.store().operator_list(Some(row.id)).await?;
        let member = team.iter().find(|member| member.id.0 == id);
        let member = member.ok_or_else(|| ControlError::not_found("operator", id))?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TeamResetFactor,
            "",
            &member.login,
            "",
        );
        if recorded.factors_reset(member.id).await? {
            Ok(())
        } else {
            Err(ControlError::not_found("second factor", &member.login))
        }
    }

    /// The same of an operator of the platform, by e-mail address.
    pub async fn platform_reset_factor(&self, actor: &Actor, login: &str) -> Result<()> {
        actor.check(Operation::PlatformTeamSet, None, "operator", login)?;
        let login = login.trim().to_lowercase();
        let found = self.store().operator_find(&login).await?;
        let row = found.filter(|row| row.tenant.is_none());
        let row = row.ok_or_else(|| ControlError::not_found("operator", &login))?;
        let said = "second factor taken away";
        let recorded = self.recorded(actor, None, Operation::PlatformTeamSet, "", &login, said);
        if recorded.factors_reset(row.id).await? {
            Ok(())
        } else {
            Err(ControlError::not_found("second factor", &login))
        }
    }

    /// Whether everybody of a tenant's team must have a second factor. Whoever has none can do nothing else until they do.
    pub async fn tenant_require_factor(&self, actor: &Actor, id: i64, wanted: bool) -> Result<()> {
        let row = self
            .tenant_row(actor, Operation::TenantRequireFactor, id)
            .await?;
        let said = if wanted { "wanted" } else { "not wanted" };
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TenantRequireFactor,
            "",
            &row.name,
            said,
        );
        self.tenant_edit(&recorded, row.id, |row| row.second_factor = wanted)
            .await
    }

    /// Signs in with password and, where the person has a second factor, its code (or a recovery code).
    ///
    /// # Errors
    /// [`ControlError::SecondFactor`] where a code is wanted and none was given; it carries what [`Control::login_second`] takes.
    pub async fn login_with(
        &self,
        request: LoginRequest,
        code: Option<&str>,
        origin: &Origin,
    ) -> Result<LoggedIn> {
        let row = self.password_login(request, origin).await?;
        if !self.has_factor(row.id).await? {
            return self.login_make(&row, origin).await;
        }
        match code {
            Some(code) => {
                self.factor_check(row.id, &row.login, code).await?;
                self.login_make(&row, origin).await
            }
            None => {
                let pending = password::token(32);
                let expires = plus(self.now(), HALF_SECONDS);
                self.store()
                    .half_login_add(&hash_of(pending.expose()), row.id, expires)
                    .await?;
                Err(ControlError::SecondFactor { pending })
            }
        }
    }

    /// The second half of signing in.
    pub async fn login_second(
        &self,
        pending: &str,
        code: &str,
        origin: &Origin,
    ) -> Result<LoggedIn> {
        let ended = || ControlError::NotSignedIn { what: "this login" };
        let hash = hash_of(pending);
        let operator = self.store().half_login_find(&hash, self.now()).await?;
        let operator = operator.ok_or_else(ended)?;
        let row: OperatorRow = self
            .store()
            .operator_get(operator)
            .await?
            .ok_or_else(ended)?;
        self.factor_check(operator, &row.login, code).await?;
        if !self.store().half_login_take(&hash).await? {
            return Err(ended());
        }
        self.login_make(&row, origin).await
    }

    /// Is this a code of theirs that was not used before? It is used then.
    async fn factor_check(&self, operator: OperatorId, login: &str, code: &str) -> Result<()> {
        let now = self.now();
        self.gate.attempt(rate::FACTOR, login, now)?;
        let row = self.store().factor_get(operator).await?;
        let row = row
            .filter(|row| row.since.is_some())
            .ok_or_else(wrong_code)?;
        let plain: String = code
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .collect();
        let good = match step_of(&row.secret, &plain, now) {
            Some(step) => self.store().factor_use(operator, step).await?,
            None => {
                let person = self.store().operator_get(operator).await?;
                let actor = person.and_then(|row| crate::operator::actor_of(&row, "panel"));
                let actor = actor.ok_or_else(wrong_code)?;
                self.recorded_own(&actor, Operation::FactorConfirm, "a recovery code was used")
                    .recovery_use(operator, &hash_of(&plain.to_lowercase()))
                    .await?
            }
        };
        if good {
            self.gate.clear(rate::FACTOR, login);
            Ok(())
        } else {
            Err(wrong_code())
        }
    }
}

fn wrong_code() -> ControlError {
    ControlError::invalid(
        "code",
        "",
        "this code is not right, or it was used before",
        "Wait for the next one in your app, or use a recovery code.",
    )
}

/// `abcd-efgh-ijkl-mnop`.
fn readable(code: &str) -> String {
    let chars: Vec<char> = code.chars().collect();
    let groups: Vec<String> = chars.chunks(4).map(|part| part.iter().collect()).collect();
    groups.join("-")
}

/// What apps read: `otpauth://totp/Domicile:me@example.org?secret=…`.
fn uri(issuer: &str, login: &str, secret: &str) -> String {
    let (issuer, login) = (escaped(issuer), escaped(login));
    format!(
        "otpauth://totp/{issuer}:{login}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period={PERIOD}"
    )
}

/// The six digits of a period (RFC 4226 5.3, RFC 6238 4).
fn digits(secret: &[u8], step: i64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).ok()?;
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash.last()? & 0x0f);
    let part: [u8; 4] = hash.get(offset..offset + 4)?.try_into().ok()?;
    let number = u32::from_be_bytes(part) & 0x7fff_ffff;
    Some(format!("{:06}", number % 1_000_000))
}

/// The period whose code this is, the newest first.
fn step_of(secret: &[u8], code: &str, now: Timestamp) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let present = now.0.div_euclid(SECOND).div_euclid(PERIOD);
    (present - WINDOW..=present + WINDOW)
        .rev()
        // Hashes are compared, so that the time it takes tells nothing of the code.
        .find(|step| digits(secret, *step).is_some_and(|right| hash_of(&right) == hash_of(&code)))
}

/// What an app with this secret (base32) shows.
#[cfg(test)]
pub(crate) fn code_at(secret: &str, now: Timestamp) -> String {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes());
    let step = now.0.div_euclid(SECOND).div_euclid(PERIOD);
    digits(&secret.unwrap_or_default(), step).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let secret = b"12345678901234567890";
            assert_eq!(digits(secret, seconds / PERIOD).as_deref(), Some(code));
            let at = |offset: i64| Timestamp((seconds + offset) * SECOND);
            let step = Some(seconds / PERIOD);
            assert_eq!(step_of(secret, code, at(0)), step);
            assert_eq!(step_of(secret, code, at(PERIOD)), step, "one late");
            assert_eq!(step_of(secret, code, at(-PERIOD)), step, "one early");
            assert_eq!(step_of(secret, code, at(2 * PERIOD)), None);
            assert_eq!(step_of(secret, "", at(0)), None);
        }
    }

    #[test]
    fn apps_can_read_the_link() {
        assert_eq!(
            uri("My House", "me@example.org", "ABC"),
            "otpauth://totp/My%20House:me%40example.org?secret=ABC&issuer=My%20House&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(readable("abcdefghijklmnop"), "abcd-efgh-ijkl-mnop");
    }
}
