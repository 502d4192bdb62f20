//! The document and the tests say the same, paragraph by paragraph.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text under each third-level heading, by the name of the test that proves it.
fn document(text: &str) -> BTreeMap<String, String> {
    let mut paragraphs: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let test = test_name(heading);
            assert!(paragraphs.insert(test.clone(), String::new()).is_none(), "two headings {heading:?}");
            name = Some(test);
        } else if line.starts_with('#') {
            name = None;
        } else if let Some(name) = &name {
            paragraphs.get_mut(name).unwrap().push_str(&format!("{line}\n"));
        } else {
            // Outside there is only the introduction, which promises nothing.
            assert!(line.is_empty() || paragraphs.is_empty(), "{line:?} is under no heading of its own");
        }
    }
    paragraphs
}

/// "One reader, one version" is proven by `one_reader_one_version`.
fn test_name(heading: &str) -> String {
    let words: String =
        heading.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    words.split_whitespace().collect::<Vec<_>>().join("_")
}

/// The doc comment above each test that has one, by the test's name.
fn quoted(source: &str, quotes: &mut BTreeMap<String, String>) {
    let mut comment = String::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(&format!("{}\n", text.strip_prefix(' ').unwrap_or(text)));
        } else if line == "#[test]" {
            is_test = true;
        } else if let Some(signature) = line.strip_prefix("fn ").filter(|_| is_test) {
            let name = signature.split('(').next().unwrap().to_owned();
            if !comment.is_empty() {
                assert!(quotes.insert(name.clone(), comment.clone()).is_none(), "two tests {name}");
            }
            (comment, is_test) = (String::new(), false);
        } else if !line.starts_with("#[") {
            (comment, is_test) = (String::new(), false);
        }
    }
}

/// Where lines break does not matter, except in what is indented.
fn words(text: &str) -> Vec<String> {
    text.lines()
        .flat_map(|line| match line.strip_prefix("    ") {
            Some(row) => vec![row.trim_end().to_owned()],
            None => line.split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}

#[test]
fn every_paragraph_is_quoted_above_its_test_and_nothing_else_is() {
    let document = document(&fs::read_to_string(repo("docs/SEMANTICS.md")).unwrap());
    let mut quotes = BTreeMap::new();
    for file in fs::read_dir(repo("tests/it/semantics")).unwrap() {
        quoted(&fs::read_to_string(file.unwrap().path()).unwrap(), &mut quotes);
    }
    assert!(document.len() > 30, "{document:?}");
    let mut wrong = Vec::new();
    for (name, text) in &document {
        match quotes.remove(name) {
            None => wrong.push(format!("no test {name} with its paragraph above it")),
            Some(quote) if words(&quote) != words(text) => {
                wrong.push(format!("{name} quotes\n{quote}\nand the document says\n{text}"));
            }
            Some(_) => {}
        }
    }
    wrong.extend(quotes.keys().map(|name| format!("{name} quotes a paragraph that is not in the document")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_difference_is_seen() {
    let document = document("# T\n\nIntroduction.\n\n## A\n\n### It holds, always\n\nOne\ntwo.\n\n    a  b\n");
    let mut quotes = BTreeMap::new();
    quoted("    /// One two.\n    ///\n    ///     a  b\n    #[test]\n    fn it_holds_always() {\n", &mut quotes);
    assert_eq!(words(&document["it_holds_always"]), words(&quotes["it_holds_always"]));
    quoted("/// One three.\n#[test]\nfn other() {\n/// not a test\nfn helper() {\n", &mut quotes);
    assert_ne!(words(&quotes["other"]), words(&document["it_holds_always"]));
    assert_eq!(quotes.len(), 2);
}
