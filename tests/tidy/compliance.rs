//! What the project says of its compliance is what the code and the tests say.

use std::fs;

use super::{cited, root, text};
use domicile::specifications;

const PAGE: &str = "docs/compliance.md";
const BEGIN: &str = "<!-- suites -->\n";
const END: &str = "<!-- /suites -->";

/// Compares with the file, or writes it where `DOMICILE_WRITE_DOCS` is set.
fn kept(path: &str, wanted: &str) {
    let file = root().join(path);
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        fs::write(&file, wanted).expect("written");
    }
    assert!(
        text(&file) == wanted,
        "{path} is stale; run `DOMICILE_WRITE_DOCS=1 cargo test -p domicile --test tidy`"
    );
}

#[test]
fn the_table_of_the_compliance_suites_is_true() {
    let named = cited::by_tests();
    let tests = |id: &str| -> Vec<String> {
        let (group, number) = id.split_once('-').expect("GROUP-NN");
        let id = (group.to_owned(), number.parse().expect("a number"));
        named.get(&id).into_iter().flatten().cloned().collect()
    };
    for entry in specifications::SUITES {
        let here = !specifications::gaps().contains(&entry.about);
        let proven = entry.obligations.iter().any(|id| !tests(id).is_empty());
        assert!(!here || proven, "no test proves: {}", entry.about);
    }
    let page = text(&root().join(PAGE));
    let (head, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (_, tail) = rest.split_once(END).expect("where it ends");
    let table = specifications::compliance_markdown(tests);
    kept(PAGE, &format!("{head}{BEGIN}{table}{END}{tail}"));
}

#[test]
fn the_doap_file_is_the_generated_one() {
    kept("docs/domicile.doap", &specifications::doap());
}
