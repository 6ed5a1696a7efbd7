//! `podgate completion`

use clap::Args;
use clap_complete::Shell;

use super::failure::Failure;
use super::output;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  source <(podgate completion bash)
  podgate completion zsh > \"${fpath[1]}/_podgate\"
  podgate completion fish > ~/.config/fish/completions/podgate.fish")]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

impl CompletionArgs {
    pub(super) fn run(self, mut command: clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "podgate", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}
