//! Progress on a terminal's stderr, of what takes long.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::inputs::Input;
use crate::scan::repository::{self, Rendering, Repository};

/// The duration after which progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is drawn again, so that it is seen to go on.
const TICK: Duration = Duration::from_millis(100);

/// Sorts and renders the input; shows what is rendered.
pub(super) fn rendering(inputs: Vec<Input>, rendering: &Rendering) -> Repository {
    let bar = bar("{spinner} rendering {msg} ({elapsed})");
    shown(&bar, || repository::read(inputs, rendering, &|place| bar.set_message(place)))
}

/// Runs `work`, which reports the bytes of the input that are done.
pub(super) fn judging<T>(inputs: &[Input], work: impl FnOnce(&(dyn Fn(u64) + Sync)) -> T) -> T {
    let bar = bar("{bar:40} {bytes} of {total_bytes}");
    bar.set_length(inputs.iter().map(Input::size).sum());
    shown(&bar, || work(&|bytes| bar.inc(bytes)))
}

fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::hidden();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn shown<T>(bar: &ProgressBar, work: impl FnOnce() -> T) -> T {
    let (working, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // Draws nothing where stderr is not a terminal.
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.tick();
                while over.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    bar.tick();
                }
                bar.finish_and_clear();
            }
        });
        let result = work();
        drop(working);
        result
    })
}
