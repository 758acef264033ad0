//! What holds for every page: small, nothing inline, secrets in forms, names for fields, nothing that shouts.

use std::collections::BTreeSet;

use askama::Template;
use control::Role;

use super::gallery::{about, gallery};
use super::sample;
use crate::frame::Here;
use crate::urls::DomainUrls;
use crate::{domains, people, records, verification};

/// Pages that show addresses of other sites, as text to copy or as what they are about.
const NAMES_OTHERS: [&str; 8] = [
    "tokens",
    "records",
    "team",
    "webhooks",
    "webhooks_empty",
    "people",
    "invited",
    "invited_done",
];

#[test]
fn every_page_renders_small_and_without_anything_inline() {
    for (name, html) in gallery() {
        assert!(html.len() < 60_000, "{name}: {} bytes", html.len());
        assert!(html.contains("</html>"), "{name} is whole");
        for inline in [" style=", "<style", "onclick", "javascript:"] {
            assert!(!html.contains(inline), "{name} holds {inline}");
        }
        // Whoever is invited may have come without.
        let scripts = usize::from(!html.contains("class=\"visitor guest\""))
            + usize::from(html.contains("data-passkey"));
        assert_eq!(
            html.matches("<script").count(),
            scripts,
            "{name}: one script, a file of ours, and one for passkeys"
        );
        assert!(
            // Addresses to copy are text there.
            !html.contains("http://") && !html.contains("https://") || NAMES_OTHERS.contains(&name),
            "{name} names no other site"
        );
        for leads in ["src=\"http", "href=\"http", "action=\"http"] {
            // To apps, which are to be had elsewhere, and to where an owner edits their zone.
            let elsewhere = name.starts_with("invited") || name == "records";
            let may = elsewhere && leads.starts_with("href");
            assert!(may || !html.contains(leads), "{name} leads to another site");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{name} has one heading");
    }
}

#[test]
fn every_form_that_changes_something_holds_the_secret() {
    for (name, html) in gallery() {
        if html.contains("class=\"visitor") {
            continue;
        }
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            // A search changes nothing.
            if form.contains("method=\"get\"") {
                continue;
            }
            assert!(
                form.contains("name=\"csrf\" value=\"c5rf\""),
                "{name}: {form}"
            );
        }
    }
}

/// What somebody else has changed meanwhile is not overwritten, whichever form it is.
#[test]
fn every_form_that_changes_settings_names_the_version_it_was_made_from() {
    let mut found = BTreeSet::new();
    for (name, html) in gallery() {
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            let action = form.split("action=\"").nth(1).unwrap_or_default();
            let action = action.split('"').next().unwrap_or_default();
            for way in [
                "/settings",
                "/kept",
                "/calls",
                "/joining",
                "/verification/mode",
            ] {
                if action.starts_with("/domains/") && action.ends_with(way) {
                    assert!(form.contains("name=\"version\" value=\""), "{name}: {form}");
                    found.insert(way);
                }
            }
        }
    }
    assert_eq!(found.len(), 5, "{found:?}");
}

#[test]
fn every_field_has_a_name_for_those_who_cannot_see_it() {
    for (name, html) in gallery() {
        for tag in ["<input", "<textarea", "<select"] {
            for field in html.split(tag).skip(1) {
                let field = field.split('>').next().unwrap_or_default();
                let labelled = field.contains("type=\"hidden\"")
                    || field.contains("aria-label=")
                    || field.contains("type=\"radio\"")
                    || field.contains("type=\"checkbox\"")
                    || field.contains("aria-hidden")
                    || field
                        .split("id=\"")
                        .nth(1)
                        .and_then(|id| id.split('"').next())
                        .is_some_and(|id| html.contains(&format!("<label for=\"{id}\"")));
                assert!(labelled, "{name}: {tag}{field}");
            }
        }
    }
}

#[test]
fn what_a_role_may_not_do_is_not_offered() {
    let mut frame = sample::frame(Some(Role::Auditor));
    let show = sample::show_pending();
    frame = frame.about(&show.view);
    let urls = DomainUrls::new("bakery.example");
    let page = domains::DomainPage {
        frame: frame.clone(),
        urls: urls.clone(),
        show,
    };
    let html = page.render().unwrap();
    assert!(!html.contains("Publish for me") && !html.contains("Check now"));
    let page = people::PersonPage {
        frame,
        urls,
        account: sample::account("anna", "active"),
        certificates: vec![sample::client_certificate("Phone", true)],
        devices: sample::devices(),
        storage: sample::storage(),
    };
    let html = page.render().unwrap();
    assert!(
        !html.contains("Set password")
            && !html.contains("Remove for good")
            && !html.contains("Revoke")
    );
}

#[test]
fn text_from_outside_is_escaped() {
    let mut show = sample::show_pending();
    show.checks[0].observed = "\"<script>alert(1)</script>\"".into();
    show.view.status = "<b>bold</b>".into();
    let frame = about(Here::Overview, &show.view);
    let page = domains::DomainPage {
        frame,
        urls: DomainUrls::new("bakery.example"),
        show,
    };
    let html = page.render().unwrap();
    assert!(!html.contains("<script>alert") && !html.contains("<b>bold"));
}

#[test]
fn nothing_shouts_and_optional_things_are_never_red() {
    for (name, html) in gallery() {
        let text = html.replace("<!doctype", "");
        assert!(!text.contains('!'), "{name} shouts");
    }
    for verdict in sample::verdicts("one.example") {
        assert!(
            verification::seen(&verdict).2 != "bad" || verdict.prooftype == "pkix",
            "{verdict:?}"
        );
    }
    let rows = sample::records();
    for view in rows.records.iter().filter(|view| view.record.optional) {
        assert_ne!(records::standing(view).2, "bad");
    }
}

/// Whose side has to fix it is the end of an attempt's story, not its beginning.
#[test]
fn a_story_ends_with_whose_side_it_is() {
    let pages = gallery();
    let (_, html) = pages.iter().find(|(name, _)| *name == "peer").unwrap();
    let mut told = 0;
    for attempt in html.split("<article").skip(1) {
        let attempt = attempt.split("</article>").next().unwrap_or_default();
        let Some(side) = attempt.find("Whose side has to fix it") else {
            continue;
        };
        for before in ["class=\"stations way\"", "What was seen"] {
            assert!(attempt.find(before).unwrap() < side, "{attempt}");
        }
        let rest = &attempt[side..];
        assert!(
            !rest.contains("<ol") && !rest.contains("<details"),
            "{rest}"
        );
        told += 1;
    }
    assert_eq!(told, 2);
}
