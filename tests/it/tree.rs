//! The table of the tree, and what is written about it elsewhere.

use troop::tree::table::{AGENT, Form, ROOT};

fn read(path: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_name_is_documented() {
    let document = read("docs/SEMANTICS.md");
    for row in ROOT {
        let name = if row.form == Form::Dir { format!("\n    {}/", row.name) } else { format!("\n    {} ", row.name) };
        assert!(document.contains(&name), "docs/SEMANTICS.md does not list {}", row.name);
    }
    let (_, agent) = document.split_once("The directory of an agent holds").unwrap();
    let agent = agent.split("\n\n").next().unwrap();
    for row in AGENT {
        assert!(agent.contains(&format!("`{}`", row.name)), "docs/SEMANTICS.md does not list {}", row.name);
    }
}

#[test]
fn every_row_says_what_it_is_for() {
    let docs = ROOT.iter().map(|row| (row.name, row.doc)).chain(AGENT.iter().map(|row| (row.name, row.doc)));
    for (name, doc) in docs {
        assert!(!doc.is_empty() && !doc.ends_with('.') && !doc.contains('\n'), "{name}: {doc:?}");
        assert!(name.len() <= 16, "{name} does not fit its column in the README");
    }
}
