//! What an account has shared, and its deletion: an ad-hoc command of the service (XEP-0050), for the account itself.
//!
//! What is deleted is gone for everybody at once; its bytes go with the next look through the files. Refuses: files of others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use store::AccountId;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza};

use crate::commands::COMMANDS;
use crate::context::{Context, Refusal, store_failed};
use crate::form::{Field, Form, Submitted};

/// Node of the command.
const NODE: &str = "files";
const NAME: &str = "Your files";
/// The form's subject; nobody else has one like it.
const FORM: &str = "urn:xmpp:http:upload:0#files";
/// Files listed, the newest.
const LISTED: u32 = 200;

/// The commands there are, for disco.
pub(super) fn items(cx: &Context<'_>) -> Element {
    let item = Element::new("item", ns::DISCO_ITEMS)
        .attr("jid", cx.hosted.domain.as_str())
        .attr("node", NODE)
        .attr("name", NAME);
    Element::new("query", ns::DISCO_ITEMS)
        .attr("node", COMMANDS)
        .child(item)
}

/// Lists an account's files, or deletes those that were chosen.
pub(super) async fn command(
    cx: &Context<'_>,
    iq: &Stanza,
    from: &Jid,
    account: AccountId,
) -> Result<Element, Refusal> {
    let payload = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let asked = payload
        .find("command", COMMANDS)
        .ok_or(Condition::BadRequest)?;
    if asked.get_attr("node") != Some(NODE) {
        return Err(Condition::ItemNotFound.into());
    }
    let failed = |error| store_failed(&error, &from.bare(), "looking through files");
    let session = match asked.get_attr("sessionid") {
        Some(session) => session.to_owned(),
        None => {
            let random: [u8; 12] = rand::random();
            URL_SAFE_NO_PAD.encode(random)
        }
    };
    let answer = |status: &str| {
        Element::new("command", COMMANDS)
            .attr("node", NODE)
            .attr("sessionid", session.as_str())
            .attr("status", status)
    };
    let note = |text: String| {
        Element::new("note", COMMANDS)
            .attr("type", "info")
            .text(text)
    };
    if asked.get_attr("action") == Some("cancel") {
        return Ok(answer("canceled"));
    }
    if let Some(form) = Submitted::within(asked).filter(|form| !form.is_cancelled()) {
        let mut gone = 0;
        for token in form.values("files") {
            let removed = cx.store().upload_remove(account, token).await;
            gone += usize::from(removed.map_err(failed)?);
        }
        return Ok(answer("completed").child(note(format!("{gone} deleted"))));
    }
    let files = cx
        .store()
        .uploads_of(account, LISTED)
        .await
        .map_err(failed)?;
    if files.is_empty() {
        return Ok(answer("completed").child(note("You have no files here.".into())));
    }
    let field = Field::new("files", "list-multi").label("Delete");
    let field = files.iter().fold(field, |field, file| {
        let when = file.created.to_xep0082();
        field.option(
            &file.token,
            &format!("{}, {} bytes, {when}", file.name, file.size),
        )
    });
    let form = Form::asking(FORM).title(NAME).field(field);
    let actions = Element::new("actions", COMMANDS)
        .attr("execute", "complete")
        .child(Element::new("complete", COMMANDS));
    Ok(answer("executing")
        .child(actions)
        .child(form.into_element()))
}
