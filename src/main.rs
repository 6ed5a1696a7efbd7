//! The `podgate` command.

use std::process::ExitCode;

use podgate::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The crypto provider of the whole process; installing fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ran = Cli::of_process().and_then(|command| command.map_or(Ok(()), Cli::run));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            if !message.is_empty() {
                eprintln!("podgate: {message}");
            }
            failure.exit_code()
        }
    }
}
