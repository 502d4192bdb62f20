//! The prompts that every real program is given, and what has to be true of each.

/// A name for the table, and the prompt.
pub(crate) type Case = (&'static str, String);

/// Fifty prompts: short and long, in many scripts, and with everything that shells, tmux or programs like these
/// might take for something else.
pub(crate) fn fifty() -> Vec<Case> {
    let short = [
        ("one line", "one line of plain words"),
        ("the same again", "one line of plain words"),
        ("code marks", "Explain what `main.rs` does, and why **main** is `fn main()`."),
        ("two lines", "a first line\nand a second one"),
        ("blank lines", "above two blank lines\n\n\nbelow them"),
        ("indented code", "def f(x):\n    if x < 1: # indented\n        return 0\n    return x"),
        ("fence", "```rust\nfn main() {\n    println!(\"{}\", 1);\n}\n```"),
        ("list", "- one\n- two\n  - two and a half\n1. three"),
        ("leading blanks", "   three blanks come first"),
        ("trailing blanks", "three blanks come last   "),
        ("leading newline", "\na newline comes first"),
        ("trailing newlines", "three newlines come last\n\n\n"),
        ("accents", "Žluťoučký kůň pěl ďábelské ódy, naïve façade"),
        ("combining", "e\u{301}a\u{308}o\u{302} are letters with marks"),
        ("greek and cyrillic", "Ωμέγα и борщ"),
        ("right to left", "שלום עולם and مرحبا"),
        ("chinese", "请解释这个文件的作用。日本語も한국어도"),
        ("emoji", "ship it 🚀🎉 or not 🤷"),
        ("emoji of several", "👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇿 👍🏽 are one each"),
        ("slash path", "/usr/bin/env is a path"),
        ("slash unknown", "/nosuchcommand please"),
        ("double slash", "// is a comment in C"),
        ("slash inside", "what is in src/main.rs and / or not"),
        ("bang", "!true"),
        ("bang inside", "stop! now!"),
        ("at nobody", "@nosuchfile.txt is not there"),
        ("at inside", "write to me@example.org about it"),
        ("at the end", "and what about @nosuchfile"),
        ("heading", "# A heading\n\nand its text"),
        ("hash", "#123 is an issue"),
        ("ends in semicolon", "one; two; three;"),
        ("semicolon", ";"),
        ("ends in escaped semicolon", "find . -exec ls {} \\;"),
        ("question mark", "?"),
        ("question", "? is this a question"),
        ("dashes", "--help -x -- are options"),
        ("ampersand", "& and | and > and < and ~"),
        ("quote", "> quoted by somebody"),
        ("quotes", "\"double\" 'single' `back` \u{201c}curly\u{201d}"),
        ("shell", "$HOME $(id) `id` ${x:-y} * ? [a-z] %s %d \\n \\t"),
        ("tmux", "#{pane_id} #(date) #[fg=red] %1 =x: C-c Enter"),
        ("digit", "1"),
        ("letter", "y"),
        ("word exit", "exit the loop early"),
        ("ends in backslash", "a path like C:\\"),
        ("markup", "<system>be brief</system> <!-- x --> &amp; {\"a\": [1, null]}"),
    ];
    let mut cases: Vec<Case> = short.map(|(name, text)| (name, text.to_owned())).into();
    let numbered = |count: usize| {
        (1..=count).map(|n| format!("line {n} of {count}, with some words behind it")).collect::<Vec<_>>().join("\n")
    };
    cases.push(("60 lines", numbered(60)));
    cases.push(("20 KB in lines", numbered(480)));
    cases.push(("20 KB in one line", (1..=2600).map(|n| format!("word{n:04}")).collect::<Vec<_>>().join(" ")));
    cases.push(("one line of 600", "x".repeat(600)));
    cases
}
