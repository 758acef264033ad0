//! Every page, rendered from sample data. With `PANEL_GALLERY=DIR` the test below writes them there, beside the assets, to be
//! looked at (`just shots`).

mod desk;
mod domains;
mod people;
mod platform;
mod visitors;

use control::Role;
use control::domain::Removed;

use super::sample;
use crate::frame::{Frame, Here};

/// Names and pages.
pub(super) type Pages = Vec<(&'static str, String)>;

/// All of them.
pub(super) fn gallery() -> Pages {
    let mut all = visitors::for_visitors();
    all.extend(domains::of_domains());
    all.extend(people::of_people());
    all.extend(platform::of_the_platform());
    all.extend(desk::of_the_desk());
    all
}

fn page(page: &dyn askama::DynTemplate) -> String {
    page.dyn_render().unwrap()
}

fn visitor() -> Frame {
    sample::frame(None)
}

pub(super) fn owner(here: Here) -> Frame {
    let mut frame = sample::frame(Some(Role::Owner));
    frame.here = here;
    frame
}

pub(super) fn about(here: Here, view: &control::domain::DomainView) -> Frame {
    owner(here).about(view)
}

/// A page in the middle of a list.
fn of(domains: Vec<control::domain::DomainView>, total: usize) -> control::domain::DomainPage {
    let middle = total > 100;
    control::domain::DomainPage {
        domains,
        total,
        from: if middle { 50 } else { 0 },
        next: middle.then_some(100),
        previous: middle.then_some(0),
    }
}

fn operator(here: Here) -> Frame {
    let mut frame = sample::frame(Some(Role::Platform));
    frame.here = here;
    frame
}

/// A domain that is gone, whose records are not.
fn removed() -> Removed {
    let records = sample::records().records.into_iter();
    Removed {
        domain: "old.example".into(),
        dangling: records.map(|view| view.record).collect(),
    }
}

#[test]
fn the_gallery_can_be_looked_at() {
    let Some(dir) = std::env::var_os("PANEL_GALLERY") else {
        return;
    };
    let dir = std::path::PathBuf::from(dir);
    std::fs::create_dir_all(&dir).unwrap();
    for file in ["panel.css", "panel.js", "icon.svg"] {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("assets")
            .join(file);
        std::fs::copy(from, dir.join(file)).unwrap();
    }
    for (name, html) in gallery() {
        let html = ["panel.css", "panel.js", "icon.svg"]
            .iter()
            .fold(html, |html, file| {
                html.replace(&crate::assets::url(file), file)
            });
        std::fs::write(dir.join(format!("{name}.html")), html).unwrap();
    }
}
