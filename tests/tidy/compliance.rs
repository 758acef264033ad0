//! What the project says of its compliance is what the code and the tests say.

use std::fs;

use super::{cited, root, text};
use domicile::specifications;

const PAGE: &str = "docs/compliance.md";

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
fn the_tables_of_compliance_are_true() {
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
    let numbers = cited::extensions();
    let by_number = |number: u16| -> Vec<String> {
        numbers
            .get(&number)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    let extensions = specifications::extensions_markdown(tests, by_number);
    let unproven = extensions
        .lines()
        .filter(|row| row.contains(specifications::NO_TEST));
    assert_eq!(unproven.collect::<Vec<_>>(), [""; 0]);
    // One after the other in one test: both are in the same file.
    let mut page = text(&root().join(PAGE));
    for (name, table) in [
        ("suites", specifications::compliance_markdown(tests)),
        ("extensions", extensions),
    ] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let (head, rest) = page.split_once(&begin).expect("where a table begins");
        let (_, tail) = rest.split_once(&end).expect("where it ends");
        page = format!("{head}{begin}{table}{end}{tail}");
    }
    kept(PAGE, &page);
}

#[test]
fn the_doap_file_is_the_generated_one() {
    kept("docs/domicile.doap", &specifications::doap());
}
