//! Webhooks of a tenant: where its own server is told what is done, and what became of it.

use askama::Template;
use control::ControlError;
use control::webhook::{DeliveryView, WebhookAsk, WebhookNew, WebhookView};

use crate::desk::own_tenant;
use crate::door::Path;
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::{OrPage, SignedIn};
use crate::urls;

#[derive(Template)]
#[template(path = "webhooks.html")]
pub(crate) struct WebhooksPage {
    pub(crate) frame: Frame,
    pub(crate) hooks: Vec<WebhookView>,
    pub(crate) deliveries: Vec<DeliveryView>,
    /// Seen once.
    pub(crate) fresh: Option<WebhookNew>,
    /// As it was filled in.
    pub(crate) ask: WebhookAsk,
}

impl WebhooksPage {
    /// Where a message goes.
    fn url(&self, id: &i64) -> &str {
        let hook = self.hooks.iter().find(|hook| hook.id == *id);
        hook.map_or("", |hook| &hook.url)
    }
}

/// Icon and colour of what became of a message.
pub(crate) fn standing(delivery: &DeliveryView) -> (&'static str, &'static str) {
    match delivery.state {
        "delivered" => ("check-full", "ok"),
        "waiting" if delivery.attempts == 0 => ("clock", "world"),
        "waiting" => ("warn", "warn"),
        _ => ("bad", "bad"),
    }
}

/// The list.
pub(crate) async fn list(desk: SignedIn) -> Answer {
    page(&desk, None, None, WebhookAsk::default()).await
}

async fn page(
    desk: &SignedIn,
    problem: Option<Problem>,
    fresh: Option<WebhookNew>,
    ask: WebhookAsk,
) -> Answer {
    let control = &desk.panel.control;
    let tenant = own_tenant(desk)?;
    let page = WebhooksPage {
        hooks: control
            .webhook_list(&desk.actor, tenant)
            .await
            .or_page(desk)?,
        deliveries: control
            .webhook_deliveries(&desk.actor, tenant)
            .await
            .or_page(desk)?,
        frame: desk
            .at(Here::Webhooks)
            .problem(problem)
            .following(fresh.is_some()),
        fresh,
        ask,
    };
    Ok(html(page.frame.status(), &page))
}

async fn refused(desk: &SignedIn, failure: ControlError, ask: WebhookAsk) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    page(desk, Some(problem), None, ask).await
}

/// Makes one and shows its secret once.
pub(crate) async fn add(Posted { desk, fields }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    let ask = WebhookAsk {
        url: fields.text("url").to_owned(),
        events: fields.list("events"),
    };
    let control = &desk.panel.control;
    match control.webhook_add(&desk.actor, tenant, ask.clone()).await {
        Ok(fresh) => page(&desk, None, Some(fresh), WebhookAsk::default()).await,
        Err(failure) => refused(&desk, failure, ask).await,
    }
}

/// Removes one.
pub(crate) async fn remove(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    desk.panel
        .control
        .webhook_remove(&desk.actor, tenant, id)
        .await
        .or_page(&desk)?;
    Ok(done(urls::WEBHOOKS, "removed"))
}

/// Sends one a message to try it.
pub(crate) async fn test(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    desk.panel
        .control
        .webhook_test(&desk.actor, tenant, id)
        .await
        .or_page(&desk)?;
    Ok(done(urls::WEBHOOKS, "hook-tested"))
}
