//! Asking several clusters at once, each within its time: none waits for another, and nobody for one that hangs.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::contexts::Context;
use super::{Cluster, ClusterError};

/// How much longer than its time a cluster may take to say so itself.
const GRACE: Duration = Duration::from_secs(1);

/// Asks every cluster the question; the answers are in the order of the contexts. Each has a thread of its own, because
/// what stands between a context and its API server may block: a credential plugin, a file, a name server. A thread that
/// does so for longer than its time is left behind, and ends with the process.
pub fn ask<T, E, Q, A>(contexts: &[&Context], limit: Duration, question: Q) -> Vec<Result<T, E>>
where
    Q: Fn(Cluster) -> A + Clone + Send + 'static,
    A: Future<Output = Result<T, E>>,
    T: Send + 'static,
    E: From<ClusterError> + Send + 'static,
{
    let (sender, heard) = mpsc::channel();
    for (index, context) in contexts.iter().enumerate() {
        let (context, question, sender) = ((*context).clone(), question.clone(), sender.clone());
        let started = thread::Builder::new().spawn({
            let sender = sender.clone();
            move || one(&context, limit, &question, |answer| drop(sender.send((index, answer))))
        });
        if let Err(error) = started {
            let _ = sender.send((index, Err(ClusterError::Thread(error).into())));
        }
    }
    drop(sender);
    let mut answers: Vec<_> = contexts.iter().map(|_| None).collect();
    let deadline = Instant::now() + limit + GRACE;
    while let Ok((index, answer)) =
        heard.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if let Some(place) = answers.get_mut(index) {
            *place = Some(answer);
        }
    }
    let silent = |context: &Context| Err(no_answer(context, limit).into());
    let answers = answers.into_iter().zip(contexts);
    answers.map(|(answer, context)| answer.unwrap_or_else(|| silent(context))).collect()
}

/// Asks one cluster, and sends the answer before anything of it may hang.
fn one<T, E, Q, A>(
    context: &Context,
    limit: Duration,
    question: &Q,
    send: impl FnOnce(Result<T, E>),
) where
    Q: Fn(Cluster) -> A,
    A: Future<Output = Result<T, E>>,
    E: From<ClusterError>,
{
    let started = Instant::now();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return send(Err(ClusterError::Thread(error).into())),
    };
    let answer = runtime.block_on(async {
        let cluster = context.connect_unattended(limit).await?;
        let left = limit.saturating_sub(started.elapsed());
        let answer = tokio::time::timeout(left, question(cluster)).await;
        answer.unwrap_or_else(|_| Err(no_answer(context, limit).into()))
    });
    send(answer);
    // A name server that does not answer has a thread here.
    runtime.shutdown_background();
}

fn no_answer(context: &Context, limit: Duration) -> ClusterError {
    ClusterError::NoAnswer { url: context.server.clone().unwrap_or_default(), limit }
}
