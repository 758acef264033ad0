//! What a form sends: fields by name, from `application/x-www-form-urlencoded` or, where a file may be chosen, from
//! `multipart/form-data`. [`Posted`] is the only way to a form's fields, and it has compared the CSRF secret before.

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use control::Secret;

use crate::Shared;
use crate::error::Failure;
use crate::login::SignedIn;

/// Name of the hidden field that holds the login's secret.
pub(crate) const CSRF_FIELD: &str = "csrf";
/// More fields than any form of ours has.
const MOST_FIELDS: usize = 200;

/// Fields of a form, in order; `Debug` is not derived, since they hold passwords.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of this name, without space around it; empty if it is not there.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// As it was typed: for passwords.
    pub(crate) fn secret(&self, name: &str) -> Secret {
        Secret::from(self.raw(name))
    }

    /// Every value of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(field, _)| field == name);
        values.map(|(_, value)| value.trim().to_owned()).collect()
    }

    /// One entry per line or comma.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let parts = self.raw(name).split(['\n', ',', ';']);
        parts
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The version of what the form was made from.
    pub(crate) fn version(&self) -> Option<String> {
        Some(self.text("version").to_owned()).filter(|version| !version.is_empty())
    }

    /// The chosen file, or what was pasted beside it.
    pub(crate) fn file_or_text(&self, file: &str, text: &str) -> &str {
        match self.raw(file) {
            "" => self.raw(text),
            content => content,
        }
    }

    fn raw(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value)
    }

    /// What a form that changes nothing puts into the address.
    pub(crate) fn of_query(query: &str) -> Self {
        Self::of_urlencoded(query.as_bytes())
    }

    fn of_urlencoded(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body).take(MOST_FIELDS);
        Self(
            pairs
                .map(|(n, v)| (n.into_owned(), v.into_owned()))
                .collect(),
        )
    }

    async fn of_multipart(mut multipart: Multipart) -> Result<Self, Unreadable> {
        let mut fields = Vec::new();
        while let Some(field) = multipart.next_field().await.map_err(Unreadable::of)? {
            let name = field.name().unwrap_or_default().to_owned();
            let bytes = field.bytes().await.map_err(Unreadable::of)?;
            let text = String::from_utf8(bytes.to_vec()).map_err(|_| Unreadable::NotText)?;
            fields.push((name, text));
            if fields.len() >= MOST_FIELDS {
                break;
            }
        }
        Ok(Self(fields))
    }
}

/// Why a form could not be read.
enum Unreadable {
    NotText,
    TooLarge,
    Broken,
}

impl Unreadable {
    fn of(error: axum::extract::multipart::MultipartError) -> Self {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge
        } else {
            Self::Broken
        }
    }

    fn page(self, frame: crate::frame::Frame) -> Failure {
        let (status, text, remedy) = match self {
            Self::NotText => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "The file you chose is not plain text.",
                "Save it as UTF-8 text (CSV or PEM) and choose it again.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "What you sent is larger than this form takes.",
                "Send it in smaller parts.",
            ),
            Self::Broken => (
                StatusCode::BAD_REQUEST,
                "The form arrived incomplete.",
                "Go back and send it again.",
            ),
        };
        frame
            .error_page(status, "The form cannot be read", text, remedy)
            .into()
    }
}

/// A form sent by somebody who is signed in, from a page of ours.
pub(crate) struct Posted {
    /// Who.
    pub(crate) desk: SignedIn,
    /// What they filled in.
    pub(crate) fields: Fields,
}

impl FromRequest<Shared> for Posted {
    type Rejection = Failure;

    async fn from_request(request: Request, panel: &Shared) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let desk = SignedIn::of(&mut parts, panel).await?;
        let fields = match read(Request::from_parts(parts, body), panel).await {
            Ok(fields) => fields,
            Err(unreadable) => return Err(unreadable.page(desk.frame())),
        };
        if !same(fields.raw(CSRF_FIELD), desk.csrf.expose()) {
            return Err(desk
                .frame()
                .error_page(
                    StatusCode::FORBIDDEN,
                    "This form belongs to another login",
                    "It was opened before you signed in as you are now, so nothing was done.",
                    "Open the page again and repeat what you did.",
                )
                .into());
        }
        Ok(Self { desk, fields })
    }
}

/// A form of somebody who is not signed in yet: sign-in, sign-up, first run. The same-site rule of `door` stands before it.
pub(crate) struct Open {
    /// What they filled in.
    pub(crate) fields: Fields,
    /// Where they come from.
    pub(crate) origin: control::operator::Origin,
}

impl FromRequest<Shared> for Open {
    type Rejection = Failure;

    async fn from_request(request: Request, panel: &Shared) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let origin = crate::door::origin(panel, &parts);
        match read(Request::from_parts(parts, body), panel).await {
            Ok(fields) => Ok(Self { fields, origin }),
            Err(unreadable) => Err(unreadable.page(crate::frame::Frame::visitor(panel))),
        }
    }
}

async fn read(request: Request, panel: &Shared) -> Result<Fields, Unreadable> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if kind.starts_with("multipart/form-data") {
        let multipart = Multipart::from_request(request, panel).await;
        return Fields::of_multipart(multipart.map_err(|_| Unreadable::Broken)?).await;
    }
    match Bytes::from_request(request, panel).await {
        Ok(body) => Ok(Fields::of_urlencoded(&body)),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Unreadable::TooLarge)
        }
        Err(_) => Err(Unreadable::Broken),
    }
}

/// Equal, compared without stopping at the first difference. Nothing equals an empty secret.
pub(crate) fn same(given: &str, secret: &str) -> bool {
    if secret.is_empty() || given.len() != secret.len() {
        return false;
    }
    let pairs = given.bytes().zip(secret.bytes());
    pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_but_passwords_are_not() {
        let fields =
            Fields::of_urlencoded(b"local=+zo%C3%AB+&password=+x+&s=a&s=b&l=a%0D%0Ab%2C+c");
        assert_eq!(fields.text("local"), "zoë");
        assert_eq!(fields.secret("password").expose(), " x ");
        assert_eq!(fields.all("s"), ["a", "b"]);
        assert_eq!(fields.list("l"), ["a", "b", "c"]);
        assert_eq!(fields.text("nothing"), "");
    }

    #[test]
    fn an_empty_secret_is_never_matched() {
        assert!(same("abc", "abc"));
        assert!(!same("abd", "abc"));
        assert!(!same("ab", "abc"));
        assert!(!same("", ""));
    }
}
