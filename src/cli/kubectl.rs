//! podgate as kubectl's plugin, by the name that it is called with: as `kubectl-podgate` its usage says `kubectl podgate`,
//! and as `kubectl_complete-podgate` it answers kubectl's completion.
//!
//! kubectl passes the words after `kubectl podgate`, of which the last is the one to complete, and reads a line for each
//! candidate, `WORD\tDESCRIPTION`, and at the end `:DIRECTIVE`, a number of cobra's.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command, ValueHint};

/// Files may follow.
const DEFAULT: u8 = 0;
const NO_FILES: u8 = 4;

/// What the program is called as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CalledAs {
    Podgate,
    Plugin,
    Completion,
}

impl CalledAs {
    /// By the first word of the command line.
    pub(super) fn of(program: Option<&OsStr>) -> Self {
        let name = program.and_then(|it| Path::new(it).file_stem()).and_then(OsStr::to_str);
        match name {
            Some("kubectl-podgate") => Self::Plugin,
            Some("kubectl_complete-podgate") => Self::Completion,
            _ => Self::Podgate,
        }
    }
}

/// The answer to kubectl for these words.
pub(super) fn complete(mut root: Command, words: &[String]) -> String {
    root.build();
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, it)| (last, it));
    let mut command = &root;
    // The flag whose value comes next.
    let mut open = None;
    let mut only_paths = false;
    for word in before {
        if open.take().is_some() || only_paths {
            continue;
        }
        if word.starts_with('-') {
            only_paths = word == "--";
            open = flag(command, word);
        } else if let Some(inner) = command.find_subcommand(word) {
            command = inner;
        }
    }
    let inline = last.split_once('=').filter(|_| last.starts_with("--"));
    let inline = inline.and_then(|(name, value)| Some((flag(command, name)?, value)));
    let (candidates, typed, directive) = if let Some((arg, value)) = inline {
        (values(arg), value, files(arg))
    } else if let Some(arg) = open {
        (values(arg), last, files(arg))
    } else if last.starts_with('-') && !only_paths {
        (flags(command), last, NO_FILES)
    } else {
        let positional = command.get_positionals().next();
        let words = positional.map(values).unwrap_or_default();
        ([subcommands(command), words].concat(), last, positional.map_or(NO_FILES, files))
    };
    let mut answer = String::new();
    for (word, about) in candidates.iter().filter(|(word, _)| word.starts_with(typed)) {
        let described = if about.is_empty() { "" } else { "\t" };
        let _ = writeln!(answer, "{word}{described}{about}");
    }
    answer + &format!(":{directive}\n")
}

/// The flag of a word such as `--output` or `-o`, if its value is the next word.
fn flag<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    command.get_arguments().filter(|arg| arg.get_action().takes_values()).find(|arg| {
        match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short().is_some_and(|short| {
                word.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]))
            }),
        }
    })
}

fn subcommands(command: &Command) -> Vec<(String, String)> {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown.map(|it| (it.get_name().to_owned(), line(it.get_about()))).collect()
}

fn flags(command: &Command) -> Vec<(String, String)> {
    let shown = command
        .get_opts()
        .chain(command.get_arguments().filter(|it| !it.get_action().takes_values()));
    let shown = shown.filter(|it| !it.is_hide_set());
    shown.filter_map(|it| Some((format!("--{}", it.get_long()?), line(it.get_help())))).collect()
}

fn values(arg: &Arg) -> Vec<(String, String)> {
    let shown = arg.get_possible_values().into_iter().filter(|it| !it.is_hide_set());
    shown.map(|it| (it.get_name().to_owned(), line(it.get_help()))).collect()
}

/// Whether a value may be a file.
fn files(arg: &Arg) -> u8 {
    if arg.get_value_hint() == ValueHint::Unknown { NO_FILES } else { DEFAULT }
}

/// A help text as one line, since each line is a candidate.
fn line(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(|it| it.to_string().replace('\n', " ")).unwrap_or_default()
}
