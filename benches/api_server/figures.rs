//! Statistics of the rounds.

use podgate::policy::workload::Kind;

use crate::client::{self, Calls, Client};
use crate::variants::{By, Variant};
use crate::{budgets, objects};

/// What podgate may add to the median creation, divided by what the null webhook adds.
const BUDGET: f64 = 1.1;

/// The measurements of one variant.
pub struct Lane {
    pub variant: &'static Variant,
    pub path: String,
    pub body: String,
    /// The milliseconds of each request, by round.
    pub rounds: Vec<Vec<f64>>,
    /// The API server's CPU time in the rounds, in milliseconds.
    pub cpu: f64,
    /// The count of webhook calls before the rounds.
    before: Vec<Calls>,
}

impl Lane {
    pub fn new(variant: &'static Variant, kind: Kind) -> Self {
        Self {
            variant,
            path: client::path(kind, variant.namespace),
            body: objects::object(kind, objects::compliant()).to_string(),
            rounds: Vec::new(),
            cpu: 0.0,
            before: Vec::new(),
        }
    }

    /// Discards the measurements so far.
    pub fn start(&mut self, client: &Client) {
        self.before = self.calls(client);
    }

    fn cpu_of_a_request(&self) -> f64 {
        self.cpu / self.rounds.iter().map(Vec::len).sum::<usize>() as f64
    }

    fn calls(&self, client: &Client) -> Vec<Calls> {
        self.variant.webhooks().iter().map(|webhook| client.calls(webhook)).collect()
    }

    /// The API server's mean wait for webhooks in a request, in milliseconds.
    fn waited(&self, client: &Client) -> f64 {
        let both = self.before.iter().zip(self.calls(client));
        let means = both.map(|(then, now)| (now.seconds - then.seconds) / (now.count - then.count));
        means.fold(0.0, |sum, mean| sum + mean * 1e3)
    }
}

/// Prints the lanes of one kind. The first is the baseline, without webhooks.
pub fn print(lanes: &[Lane], client: &Client) {
    println!(
        "{:<18} {:>8} {:>7} {:>7} {:>7} {:>8} {:>8} {:>7} {:>8}   {:<19} adds ÷ null's",
        "",
        "requests",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "adds ms",
        "waits ms",
        "CPU ms",
        "adds CPU",
        "p99 ÷ null's"
    );
    for lane in lanes {
        let all = lane.rounds.concat();
        let [p50, p90, p99] = [50, 90, 99].map(|it| percentile(&all, it));
        let null = lanes.iter().find(|it| it.variant.is_null_of(lane.variant)).unwrap();
        let added = adds(lane, &lanes[0]);
        let of_null = ratios(&added, &adds(null, &lanes[0]));
        let tails = ratios(&by_round(lane, 99), &by_round(null, 99));
        let cpu = lane.cpu_of_a_request();
        println!(
            "{:<18} {:>8} {p50:>7.2} {p90:>7.2} {p99:>7.2} {:>8.2} {:>8.3} {cpu:>7.2} {:>8.2}   {:<19} {}",
            lane.variant.name,
            all.len(),
            budgets::median(&added),
            lane.waited(client),
            cpu - lanes[0].cpu_of_a_request(),
            budgets::beside(&tails, None),
            budgets::beside(&of_null, (lane.variant.by == By::Podgate).then_some(BUDGET)),
        );
    }
}

/// A percentile of the requests; the share is in hundredths.
fn percentile(times: &[f64], hundredths: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() * hundredths / 100]
}

/// The median request's delay against the baseline, for each round.
fn adds(lane: &Lane, nothing: &Lane) -> Vec<f64> {
    let both = by_round(lane, 50).into_iter().zip(by_round(nothing, 50));
    both.map(|(own, nothing)| own - nothing).collect()
}

fn by_round(lane: &Lane, hundredths: usize) -> Vec<f64> {
    lane.rounds.iter().map(|times| percentile(times, hundredths)).collect()
}

fn ratios(own: &[f64], others: &[f64]) -> Vec<f64> {
    own.iter().zip(others).map(|(own, other)| own / other).collect()
}
