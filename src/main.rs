//! The `podgate` command.

use std::process::ExitCode;

use podgate::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A huge page is resident as a whole from its first byte: with them, an idle process had twice its memory. Only
    // kernels that have none refuse.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
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
