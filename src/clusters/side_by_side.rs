//! Queries several clusters at once. Each has a time limit, so that one that hangs does not delay the others.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::contexts::Context;
use super::error::ClusterError;

/// How much longer than its time limit a cluster's thread may take to report the timeout itself.
const GRACE: Duration = Duration::from_secs(1);

/// Runs the query on every cluster; the results are in the order of the contexts. Each cluster has its own thread,
/// because connecting may block on a credential plugin, a file or a name server. A thread that blocks for longer than
/// the limit is abandoned, and ends with the process.
pub fn query_all<T, E, Q, A>(contexts: &[&Context], limit: Duration, query: Q) -> Vec<Result<T, E>>
where
    Q: Fn(Cluster) -> A + Clone + Send + 'static,
    A: Future<Output = Result<T, E>>,
    T: Send + 'static,
    E: From<ClusterError> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    for (index, context) in contexts.iter().enumerate() {
        let (context, query, sender) = ((*context).clone(), query.clone(), sender.clone());
        let started = thread::Builder::new().spawn({
            let sender = sender.clone();
            move || query_one(&context, limit, &query, |answer| drop(sender.send((index, answer))))
        });
        if let Err(error) = started {
            let _ = sender.send((index, Err(ClusterError::Thread(error).into())));
        }
    }
    drop(sender);
    let mut answers: Vec<_> = contexts.iter().map(|_| None).collect();
    let deadline = Instant::now() + limit + GRACE;
    while let Ok((index, answer)) =
        receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if let Some(place) = answers.get_mut(index) {
            *place = Some(answer);
        }
    }
    let silent = |context: &Context| Err(no_answer(context, limit).into());
    let answers = answers.into_iter().zip(contexts);
    answers.map(|(answer, context)| answer.unwrap_or_else(|| silent(context))).collect()
}

/// Queries one cluster. Calls `send` before it shuts the runtime down, which may hang.
fn query_one<T, E, Q, A>(
    context: &Context,
    limit: Duration,
    query: &Q,
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
        let answer = tokio::time::timeout(left, query(cluster)).await;
        answer.unwrap_or_else(|_| Err(no_answer(context, limit).into()))
    });
    send(answer);
    // A pending name lookup blocks one of the runtime's threads.
    runtime.shutdown_background();
}

fn no_answer(context: &Context, limit: Duration) -> ClusterError {
    ClusterError::NoAnswer { url: context.server.clone().unwrap_or_default(), limit }
}
