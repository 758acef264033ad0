//! Components: programs of the owner's own that answer for a name below the domain. A secret is shown once, on the page that
//! answers the form.

use askama::Template;
use control::ControlError;
use control::component::{ComponentAsk, ComponentNew, ComponentView};
use control::domain::DomainView;
use control::grant::Grants;

use crate::domains::view_of;
use crate::door::Path;
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;

#[derive(Template)]
#[template(path = "components.html")]
pub(crate) struct ComponentsPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) components: Vec<ComponentView>,
    /// Seen once.
    pub(crate) fresh: Option<ComponentNew>,
    /// As typed.
    pub(crate) name: String,
}

/// The list.
pub(crate) async fn list(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    page(&desk, &domain, None, None, "").await
}

async fn page(
    desk: &SignedIn,
    domain: &str,
    problem: Option<Problem>,
    fresh: Option<ComponentNew>,
    name: &str,
) -> Answer {
    let show = view_of(desk, domain).await?;
    let control = &desk.panel.control;
    let page = ComponentsPage {
        components: control
            .component_list(&desk.actor, domain)
            .await
            .or_page(desk)?,
        frame: desk
            .at(Here::Settings)
            .about(&show.view)
            .still()
            .problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        view: show.view,
        fresh,
        name: name.to_owned(),
    };
    Ok(html(page.frame.status(), &page))
}

async fn refused(desk: &SignedIn, domain: &str, failure: ControlError, name: &str) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    page(desk, domain, Some(problem), None, name).await
}

/// Lets one connect, or gives it another secret.
pub(crate) async fn add(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let name = fields.text("name").to_owned();
    let control = &desk.panel.control;
    let ask = ComponentAsk {
        rotate: fields.text("rotate") == "true",
        ..ComponentAsk::default()
    };
    match control
        .component_add(&desk.actor, &domain, &name, ask)
        .await
    {
        // Typed again: it is not cut off for that.
        Ok(fresh) if fresh.secret.is_none() => {
            let problem = Problem::new(
                Some("name"),
                format!("{} is in the list already.", fresh.view.name),
                "If its secret is lost, make a new one there.",
            );
            page(&desk, &domain, Some(problem), None, &name).await
        }
        Ok(fresh) => page(&desk, &domain, None, Some(fresh), "").await,
        Err(failure) => refused(&desk, &domain, failure, &name).await,
    }
}

/// Says what it may. Lines hold a namespace and, behind a blank, a word or the names of attributes.
pub(crate) async fn grant(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let name = fields.text("name").to_owned();
    let lines = |field: &str| {
        let lines = fields.text(field).lines().map(str::trim);
        let pairs = lines.filter(|line| !line.is_empty()).map(|line| {
            let (namespace, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (namespace.to_owned(), rest.trim().to_owned())
        });
        pairs.collect::<Vec<_>>()
    };
    let names = |rest: String| rest.split_whitespace().map(str::to_owned).collect();
    let delegated = lines("delegated").into_iter();
    let grants = Grants {
        roster: fields.text("roster").to_owned(),
        roster_push: !fields.text("roster_push").is_empty(),
        message: fields.text("message").to_owned(),
        presence: fields.text("presence").to_owned(),
        iq: lines("iq").into_iter().collect(),
        delegated: delegated.map(|(ns, rest)| (ns, names(rest))).collect(),
        ..Grants::default()
    };
    let control = &desk.panel.control;
    let version = fields.version();
    let granted = control.component_grant(&desk.actor, &domain, &name, grants, version.as_deref());
    match granted.await {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).components(), "saved")),
        Err(failure) => refused(&desk, &domain, failure, "").await,
    }
}

impl ComponentsPage {
    /// Seen once.
    fn secret(&self) -> &str {
        let fresh = self.fresh.as_ref();
        fresh
            .and_then(|fresh| fresh.secret.as_deref())
            .unwrap_or_default()
    }

    /// Words that may be chosen, what each means, and whether it is the one.
    fn words(&self, of: &str, chosen: &str) -> Vec<(&'static str, &'static str, bool)> {
        let words: &[(&str, &str)] = match of {
            "roster" => &[
                ("none", "nothing"),
                ("get", "read them"),
                ("set", "change them"),
                ("both", "read and change them"),
            ],
            "message" => &[
                ("none", "nothing"),
                ("outgoing", "send messages as if they had written them"),
            ],
            _ => &[
                ("none", "nothing"),
                ("managed_entity", "see who of your people is online"),
                ("roster", "see who of their contacts is online, too"),
            ],
        };
        let is = |(word, text): &(&'static str, &'static str)| (*word, *text, *word == chosen);
        words.iter().map(is).collect()
    }

    /// A namespace a line, and what is said of it.
    fn lines(&self, grants: &Grants, of: &str) -> String {
        let lines: Vec<String> = match of {
            "iq" => grants
                .iq
                .iter()
                .map(|(ns, word)| format!("{ns} {word}"))
                .collect(),
            _ => {
                let delegated = grants.delegated.iter();
                let line =
                    |(ns, names): (&String, &Vec<String>)| format!("{ns} {}", names.join(" "));
                delegated
                    .map(|one| line(one).trim_end().to_owned())
                    .collect()
            }
        };
        lines.join("\n")
    }
}

/// Takes its name away.
pub(crate) async fn remove(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let name = fields.text("name");
    let control = &desk.panel.control;
    match control.component_remove(&desk.actor, &domain, name).await {
        Ok(()) => Ok(done(&DomainUrls::new(&domain).components(), "removed")),
        Err(failure) => refused(&desk, &domain, failure, "").await,
    }
}
