//! Runs a program of the person who runs podgate: without a shell and a terminal, with a time limit and bounded output.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How often a program that has closed its output is polled until it ends.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long to wait for a killed program to end. One in an uninterruptible system call may take longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of stderr is kept, in bytes. The rest is read and dropped, so that the program can go on.
const MAX_ERRORS: u64 = 1 << 20;

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub time: Duration,
    /// The most bytes of stdout.
    pub output: u64,
}

/// A program that has ended.
pub(crate) struct Ran {
    pub status: ExitStatus,
    pub output: Vec<u8>,
    pub errors: Vec<u8>,
}

/// Why a program has no answer. The sentences follow its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot be run: {0}")]
    Start(io::Error),
    #[error("cannot be waited for: {0}")]
    Wait(io::Error),
    #[error("gave no answer within {0:?}")]
    Timeout(Duration),
    #[error("printed more than {} MiB", .0 >> 20)]
    TooMuch(u64),
}

/// Runs a program to its end, with nothing on stdin. One that exceeds a limit is killed, with the processes that it
/// started.
pub(crate) fn run(command: &mut Command, limits: Limits) -> Result<Ran, RunError> {
    let deadline = Instant::now() + limits.time;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(RunError::Start)?;
    let ran = answer(&mut child, limits, deadline);
    if ran.is_err() {
        kill(&mut child);
    }
    ran
}

fn answer(child: &mut Child, limits: Limits, deadline: Instant) -> Result<Ran, RunError> {
    let output = child.stdout.take().map(|it| reader(it, limits.output + 1, false));
    let errors = child.stderr.take().map(|it| reader(it, MAX_ERRORS, true));
    let timeout = || RunError::Timeout(limits.time);
    let read = |stream: Option<io::Result<Receiver<Vec<u8>>>>| match stream {
        None => Ok(Vec::new()),
        Some(Err(error)) => Err(RunError::Start(error)),
        Some(Ok(stream)) => {
            let left = deadline.saturating_duration_since(Instant::now());
            match stream.recv_timeout(left) {
                Ok(bytes) => Ok(bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(timeout()),
            }
        }
    };
    let output = read(output)?;
    if output.len() as u64 > limits.output {
        return Err(RunError::TooMuch(limits.output));
    }
    let errors = read(errors)?;
    let status = wait(child, deadline).map_err(RunError::Wait)?.ok_or_else(timeout)?;
    Ok(Ran { status, output, errors })
}

/// Reads a stream in a thread of its own, which is not joined: the program's child processes may keep it open.
fn reader(
    mut stream: impl Read + Send + 'static,
    most: u64,
    drain: bool,
) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.by_ref().take(most).read_to_end(&mut bytes);
        if drain {
            let _ = io::copy(&mut stream, &mut io::sink());
        }
        let _ = sender.send(bytes);
    })?;
    Ok(receiver)
}

/// Waits for the program to end; `None` if it has not ended by the deadline.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            None if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
            ended => return Ok(ended),
        }
    }
}

/// Kills the program's process group: the program and the processes that it started.
fn kill(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = wait(child, Instant::now() + KILL_TIMEOUT);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, output: u64) -> Result<Ran, RunError> {
        let limits = Limits { time: Duration::from_mins(1), output };
        run(Command::new("sh").args(["-c", script]), limits)
    }

    #[test]
    fn output_up_to_the_limit_is_kept_and_more_kills_the_program() {
        let ran = shell("printf 1234; echo why >&2; exit 3", 4).unwrap();
        assert_eq!((ran.output.as_slice(), ran.errors.as_slice()), (&b"1234"[..], &b"why\n"[..]));
        assert_eq!(ran.status.code(), Some(3));
        let error = shell("printf 12345; exec sleep 1000", 4).err().unwrap();
        assert!(matches!(error, RunError::TooMuch(4)), "{error}");
    }

    #[test]
    fn many_errors_do_not_stop_the_program() {
        let ran = shell("head -c 3000000 /dev/zero >&2; echo done", 100).unwrap();
        assert_eq!((ran.output.as_slice(), ran.errors.len()), (&b"done\n"[..], 1 << 20));
    }
}
