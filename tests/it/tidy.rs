//! The architecture, enforced: reads the module table of `docs/ARCHITECTURE.md` and the
//! sources, and fails when a module knows more than its row allows.

mod looking;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use source::{Named, Source};

/// Modules whose answers depend on their arguments alone.
const PURE: [&str; 8] = ["error", "model", "tool", "tracker", "command", "tree", "engine", "headless"];

/// What a pure module may not name: the doors to files, programs, threads and clocks.
const IMPURE: [&[&str]; 13] = [
    &["std", "fs"],
    &["std", "process"],
    &["std", "net"],
    &["std", "thread"],
    &["tokio"],
    &["fuser"],
    &["nix"],
    &["libc"],
    &["rustix"],
    &["SystemTime"],
    &["Instant"],
    &["Timestamp", "now"],
    &["Zoned", "now"],
];

/// Who meets errno(3): `fuse`, which chooses one, and the doors, which read what a system call gave.
const ERRNO: &[&str] = &["fuse", "store", "tmux", "process", "stand_in"];

/// What only some modules may name.
const RESERVED: [(&[&str], &[&str]); 5] = [
    (&["fuser"], &["fuse"]),
    (&["Errno"], ERRNO),
    (&["libc", "E*"], ERRNO),
    (&["ExitCode"], &["cli", "stand_in", "main"]),
    (&["tokio"], &["daemon", "tmux", "process", "port", "cli"]),
];

/// Lines a source file should have at most, and may have at most.
const AIM: usize = 400;
const LIMIT: usize = 500;

/// How the row of a module that is planned begins.
const NOT_YET: &str = "Not yet";

/// Which modules each module may use.
type Table = BTreeMap<String, Vec<String>>;

#[test]
fn modules_use_only_what_their_row_allows() {
    let table = table();
    let mut found = Vec::new();
    for file in sources("src") {
        let module = module_of(&file);
        // A file of tests, which its parent names behind `#[cfg(test)]`.
        if module.iter().any(|name| name == "tests") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let problems = check(&text, &module.iter().map(String::as_str).collect::<Vec<_>>(), &table);
        found.extend(problems.into_iter().map(|problem| format!("{}:{problem}", shown(&file))));
    }
    assert!(found.is_empty(), "docs/ARCHITECTURE.md does not allow:\n  {}", found.join("\n  "));
}

#[test]
fn every_module_has_a_row_and_every_row_a_module() {
    let doc = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let mut found = Vec::new();
    for (name, sentence, _) in rows(&doc) {
        let exists =
            root().join(format!("src/{name}.rs")).exists() || root().join(format!("src/{name}/mod.rs")).exists();
        if exists == sentence.starts_with(NOT_YET) {
            found.push(format!("`{name}` {}", if exists { "exists by now" } else { "has a row and no source" }));
        }
    }
    let table = table();
    let modules = sources("src").into_iter().map(|file| module_of(&file)).filter(|module| module.len() > 1);
    found.extend(modules.filter(|m| !table.contains_key(&m[1])).map(|m| format!("`{}` has no row", m[1])));
    assert!(found.is_empty(), "the table of docs/ARCHITECTURE.md is not true:\n  {}", found.join("\n  "));
}

#[test]
fn files_are_short() {
    let mut files: Vec<_> =
        everything().iter().map(|f| (fs::read_to_string(f).unwrap().lines().count(), shown(f))).collect();
    files.sort();
    let above = |limit: usize| files.iter().filter(move |(lines, _)| *lines > limit);
    for (lines, file) in above(AIM) {
        let _ = writeln!(std::io::stderr(), "{file}: {lines} lines, aim for {AIM}");
    }
    let too_long: Vec<_> = above(LIMIT).collect();
    assert!(too_long.is_empty(), "more than {LIMIT} lines; split at an idea: {too_long:?}");
}

#[test]
fn nothing_is_unsafe_and_every_exception_has_a_reason() {
    let mut found = Vec::new();
    for file in everything() {
        let source = Source::read(&fs::read_to_string(&file).unwrap(), &["crate"], true).unwrap();
        found.extend(exceptions(&source).into_iter().map(|problem| format!("{}:{problem}", shown(&file))));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What is wrong in `text`, a file of `module` (`["crate", "tmux", "parser"]`).
fn check(text: &str, module: &[&str], table: &Table) -> Vec<String> {
    let source = match Source::read(text, module, false) {
        Ok(source) => source,
        Err(error) => return vec![format!("1: cannot be read: {error}")],
    };
    // `lib.rs` is `crate` itself and lists the modules; `main.rs` belongs to no module.
    let own = module.get(1).copied().unwrap_or("main");
    let mut problems: Vec<_> = source.paths.iter().filter_map(|named| foreign(named, own, table)).collect();
    for named in &source.paths {
        if PURE.contains(&own) && IMPURE.iter().any(|door| names(&named.path, door)) {
            problems.push(format!("{}: {own} is pure and names {}", named.line, named.path.join("::")));
        }
        let reserved = RESERVED.iter().filter(|(what, who)| !who.contains(&own) && names(&named.path, what));
        problems.extend(reserved.map(|(_, who)| {
            format!("{}: {own} names {}, which is for {}", named.line, named.path.join("::"), who.join(", "))
        }));
    }
    problems.dedup();
    problems
}

/// The complaint about `named` when it leads into a module that `own` may not use.
fn foreign(named: &Named, own: &str, table: &Table) -> Option<String> {
    let [first, target, ..] = named.path.as_slice() else { return None };
    if first != "crate" || own == "main" {
        return None;
    }
    // `lib.rs` shows the types of `error` at the top.
    let target = if target.starts_with(char::is_uppercase) { "error" } else { target.as_str() };
    let allowed = table.get(own).is_some_and(|uses| uses.iter().any(|name| name == target));
    let module = table.contains_key(target);
    (module && target != own && !allowed).then(|| format!("{}: {own} uses {target}", named.line))
}

/// Whether `path` has `what` in it, in a row. A first word with a small letter is a crate,
/// so it must be the first; `E*` stands for the constants of errno(3).
fn names(path: &[String], what: &[&str]) -> bool {
    let matches = |word: &String, wanted: &str| match wanted {
        "E*" => {
            word.len() > 2
                && word.starts_with('E')
                && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        }
        _ => word == wanted,
    };
    let in_a_row = |window: &[String]| window.iter().zip(what).all(|(word, wanted)| matches(word, wanted));
    if what[0].starts_with(char::is_lowercase) {
        return path.len() >= what.len() && in_a_row(&path[..what.len()]);
    }
    path.windows(what.len()).any(in_a_row)
}

fn exceptions(source: &Source) -> Vec<String> {
    let is_unsafe = |named: &&Named| named.path.iter().any(|word| word == "unsafe");
    let unsafety = source.paths.iter().filter(is_unsafe).map(|named| format!("{}: unsafe code", named.line));
    let unreasoned = source.unreasoned.iter().map(|line| format!("{line}: a lint is allowed without `reason = …`"));
    unsafety.chain(unreasoned).collect()
}

fn table() -> Table {
    let doc = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let table: Table = rows(&doc).into_iter().map(|(name, _, uses)| (name, uses)).collect();
    assert!(!table.is_empty(), "docs/ARCHITECTURE.md has no table that begins `| module |`");
    table
}

/// The rows `| module | sentence | may use |`: names in backquotes.
fn rows(doc: &str) -> Vec<(String, String, Vec<String>)> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let lines = doc.lines().skip_while(|line| !line.starts_with("| module |")).skip(2);
    lines
        .map_while(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .filter_map(|line| {
            let [module, sentence, uses] = line.split('|').collect::<Vec<_>>().try_into().ok()?;
            Some((quoted(module).pop()?, sentence.trim().to_owned(), quoted(uses)))
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}

fn everything() -> Vec<PathBuf> {
    ["src", "tests", "benches", "examples"].into_iter().flat_map(sources).collect()
}

/// The Rust files below a directory of the repository, in order.
fn sources(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// `src/tmux/parser.rs` is `["crate", "tmux", "parser"]`; `src/main.rs` and `src/lib.rs` are `["crate"]`.
fn module_of(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let names = inside.iter().map(|name| name.to_str().unwrap().to_owned());
    std::iter::once("crate".to_owned()).chain(names.filter(|n| !matches!(n.as_str(), "mod" | "lib" | "main"))).collect()
}

/// The rules seen to fail, on sources made for it.
mod seen_to_fail {
    use super::*;

    const DOC: &str = "# x\n\n| module | in one sentence | may use |\n|---|---|---|\n\
                       | `error` | what | nothing |\n| `model` | nouns | `error` |\n| `store` | files | `error`, `model` |\n\
                       | `fuse` | kernel | `error`, `model` |\n\nafter | `store` | x |\n";

    fn problems(module: &[&str], text: &str) -> Vec<String> {
        let table = rows(DOC).into_iter().map(|(name, _, uses)| (name, uses)).collect();
        check(text, module, &table)
    }

    #[track_caller]
    fn one(module: &[&str], text: &str, expected: &str) {
        let found = problems(module, text);
        assert!(found.len() == 1 && found[0] == expected, "{found:?} is not [{expected:?}]");
    }

    #[test]
    fn the_table_is_read() {
        let names: Vec<_> = rows(DOC).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["error", "model", "store", "fuse"]);
        assert_eq!(rows(DOC)[2].2, ["error", "model"]);
    }

    #[test]
    fn a_module_that_is_not_allowed() {
        let model = ["crate", "model", "name"];
        one(&model, "use crate::store::Record;", "1: model uses store");
        one(&model, "\nuse crate::{error::Error, store};", "2: model uses store");
        one(&model, "use crate::{Error, error::{Kind, Result}, store::{a::{b, c}}};\n", "1: model uses store");
    }

    #[test]
    fn a_path_in_the_middle_of_code() {
        let model = ["crate", "model", "name"];
        one(&model, "fn f() -> u8 { g(crate::store::X) }", "1: model uses store");
        one(&model, "fn f() { assert!(matches!(x, crate::store::X)) }", "1: model uses store");
        one(&model, "use super::super::store;", "1: model uses store");
        one(&model, "mod a { use super::super::super::store; }", "1: model uses store");
        one(&["crate", "model"], "use super::store as harmless;", "1: model uses store");
    }

    #[test]
    fn what_is_allowed_is_not_reported() {
        let text = "use crate::{Error, Result, model::Name}; use super::thing; use std::fs; // crate::fuse\nconst S: &str = \"crate::fuse\";";
        assert_eq!(problems(&["crate", "store", "x"], text), [""; 0]);
        assert_eq!(problems(&["crate"], "pub mod store; pub use error::Error; fn f() { troop::cli::main() }"), [""; 0]);
    }

    #[test]
    fn tests_inside_a_module_are_free() {
        let text = "#[cfg(test)]\nmod tests { use std::fs; use crate::store::X; }\nfn f() {}";
        assert_eq!(problems(&["crate", "model"], text), [""; 0]);
        one(&["crate", "model"], &format!("{text} use std::fs;"), "3: model is pure and names std::fs");
        one(&["crate", "model"], "#[cfg(unix)] mod a { use std::fs; }", "1: model is pure and names std::fs");
    }

    #[test]
    fn a_pure_module_with_a_clock_or_a_file() {
        for (text, named) in [
            ("use std::{fmt, fs::{self, File}};", "std::fs::self"),
            ("fn f() { std::process::exit(1) }", "std::process::exit"),
            ("use std::net::TcpStream;", "std::net::TcpStream"),
            ("fn f() { let t = std::time::Instant::now(); }", "std::time::Instant::now"),
            ("fn f(t: SystemTime) {}", "SystemTime"),
            ("fn f() { jiff::Timestamp::now() }", "jiff::Timestamp::now"),
            ("use rustix::event;", "rustix::event"),
            ("fn f() { ::libc::getpid() }", "libc::getpid"),
        ] {
            let found = problems(&["crate", "model"], text);
            let expected = format!("1: model is pure and names {named}");
            assert!(found.contains(&expected), "{text}: {found:?}");
        }
        assert_eq!(problems(&["crate", "model"], "use jiff::Timestamp; fn f(instant: Timestamp) {}"), [""; 0]);
    }

    #[test]
    fn what_belongs_to_another_module() {
        one(&["crate", "store"], "use fuser::INodeNo;", "1: store names fuser::INodeNo, which is for fuse");
        let errno = ERRNO.join(", ");
        one(
            &["crate", "port"],
            "const E: i32 = libc::ENOENT;",
            &format!("1: port names libc::ENOENT, which is for {errno}"),
        );
        one(
            &["crate", "cli"],
            "use nix::errno::Errno;",
            &format!("1: cli names nix::errno::Errno, which is for {errno}"),
        );
        one(
            &["crate", "fuse"],
            "use std::process::ExitCode;",
            "1: fuse names std::process::ExitCode, which is for cli, stand_in, main",
        );
        one(
            &["crate", "fuse"],
            "tokio::select! {}",
            "1: fuse names tokio::select, which is for daemon, tmux, process, port, cli",
        );
        assert_eq!(problems(&["crate", "fuse"], "use nix::errno::Errno; use libc::EIO;"), [""; 0]);
        assert_eq!(problems(&["crate", "store"], "use libc::EXIT_FAILURE; use nix::errno::Errno;"), [""; 0]);
    }

    #[test]
    fn unsafe_code_and_bare_exceptions() {
        let found = |text: &str| exceptions(&Source::read(text, &["crate"], true).unwrap());
        assert_eq!(found("fn f() { unsafe { g() } }"), ["1: unsafe code"]);
        assert_eq!(found("#[cfg(test)]\nmod t { unsafe impl X for Y {} }"), ["2: unsafe code"]);
        assert_eq!(found("\n#[allow(dead_code)]\nfn f() {}"), ["2: a lint is allowed without `reason = …`"]);
        assert_eq!(found("#![allow(dead_code)]"), ["1: a lint is allowed without `reason = …`"]);
        assert_eq!(found("#[allow(dead_code, reason = \"x\")] fn f() {} // unsafe\n"), [""; 0]);
    }
}
