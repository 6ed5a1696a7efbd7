//! Whether stdout is coloured.

use std::ffi::OsStr;
use std::io::IsTerminal;

use clap::{Args, ColorChoice};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coloring {
    Colored,
    Plain,
}

#[derive(Args, Debug)]
pub(super) struct ColorArgs {
    /// Whether to colour the output; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

impl ColorArgs {
    /// Whether stdout is coloured.
    pub(super) fn coloring(&self) -> Coloring {
        let terminal = std::io::stdout().is_terminal();
        let [no_color, term] = ["NO_COLOR", "TERM"].map(std::env::var_os);
        let wanted = wanted(self.color, terminal, no_color.as_deref(), term.as_deref());
        // A Windows console must be switched to ANSI colours first; elsewhere this does nothing.
        let capable = !terminal || anstyle_query::windows::enable_ansi_colors() != Some(false);
        if wanted && capable { Coloring::Colored } else { Coloring::Plain }
    }
}

fn wanted(
    choice: ColorChoice,
    terminal: bool,
    no_color: Option<&OsStr>,
    term: Option<&OsStr>,
) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // An empty NO_COLOR counts as unset: https://no-color.org.
        ColorChoice::Auto => {
            terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|it| it != "dumb")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
        wanted(ColorChoice::Auto, terminal, no_color.map(OsStr::new), term.map(OsStr::new))
    }

    #[test]
    fn a_terminal_gets_colours_unless_the_environment_objects() {
        assert!(auto(true, None, Some("xterm-256color")));
        assert!(auto(true, Some(""), None), "an empty NO_COLOR counts as unset");
        assert!(!auto(false, None, Some("xterm-256color")), "a pipe gets none");
        assert!(!auto(true, Some("1"), Some("xterm-256color")));
        assert!(!auto(true, None, Some("dumb")));
    }

    #[test]
    fn the_flag_wins_over_terminal_and_environment() {
        let (no_color, dumb) = (Some(OsStr::new("1")), Some(OsStr::new("dumb")));
        assert!(wanted(ColorChoice::Always, false, no_color, dumb));
        assert!(!wanted(ColorChoice::Never, true, None, None));
    }
}
