//! The README in the mount, written from the table.

use super::table::{AGENT, Form, HOME, ROOT, WAIT};
use std::fmt::Write;

/// The text of `<mount>/README`.
pub(super) fn readme() -> String {
    let mut text = String::from(
        "troop: every live AI agent is a directory here. Reading a file never disturbs an\n\
         agent; writing one is how you talk to it.\n\n\
         \x20   ls agents; cat agents/alice/status; cat agents/alice/screen\n\
         \x20   echo 'count the files' > agents/alice/prompt || cat agents/alice/error\n\
         \x20   tail -F agents/alice/history\n\
         \x20   timeout 600 cat agents/alice/wait/ready\n\
         \x20   exec 3<>agents/alice/ask; echo 'and now?' >&3; cat <&3; exec 3>&-\n\
         \x20   echo interrupt > agents/alice/control\n\
         \x20   grep -lx ready agents/*/status\n\
         \x20   mkdir agents/bob\n\n\
         At the top\n\n",
    );
    rows(&mut text, ROOT.iter().map(|row| (row.name, row.form, row.doc)));
    text.push_str("\nIn homes/N/\n\n");
    rows(&mut text, HOME.iter().map(|row| (row.name, row.form, row.doc)));
    text.push_str("\nIn agents/NAME/ and stopped/NAME/\n\n");
    rows(&mut text, AGENT.iter().map(|row| (row.name, row.form, row.doc)));
    text.push_str("\nIn agents/NAME/wait/, not listed: reading one waits, then gives one line\n\n");
    rows(&mut text, WAIT.iter().map(|row| (row.name, row.form, row.doc)));
    text.push_str(
        "\nA refused write fails with EBUSY (working, asking, pending, or a draft in its\n\
         composer), ESRCH (gone or down), EINVAL (not a verb, not UTF-8, control characters),\n\
         EFBIG (over 1 MiB), EPERM (not a file one writes), EAGAIN (a queue is full) or ENXIO\n\
         (this kind of agent cannot do that); the sentence is in the agent's error file.\n\
         Changes made by an agent raise no inotify events: tail -F works because it polls.\n",
    );
    text
}

fn rows(text: &mut String, rows: impl Iterator<Item = (&'static str, Form, &'static str)>) {
    for (name, form, doc) in rows {
        let (suffix, access) = match form {
            Form::Dir => ("/", "  "),
            Form::Link => ("", "->"),
            Form::Read | Form::Wait => ("", "r "),
            Form::ReadWrite | Form::Ask => ("", "rw"),
        };
        let _ = writeln!(text, "    {:<17} {access} {doc}", format!("{name}{suffix}"));
    }
}
