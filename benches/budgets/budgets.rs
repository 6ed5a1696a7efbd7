//! Figures of several rounds, printed beside their budgets (`docs/performance.md`).

/// The median and the range of a figure, and whether the median keeps a budget. No figure of a budget is better by being
/// larger.
pub fn beside(values: &[f64], budget: Option<f64>) -> String {
    let sorted = sorted(values);
    let (low, middle, high) = (sorted[0], median(values), sorted[sorted.len() - 1]);
    let digits = if middle < 10.0 { 2 } else { 1 };
    let figures = format!("{middle:.digits$} ({low:.digits$}–{high:.digits$})");
    match budget {
        None => figures,
        Some(budget) if middle <= budget => format!("{figures:<24} budget {budget}: kept"),
        Some(budget) => format!("{figures:<24} budget {budget}: missed"),
    }
}

pub fn median(values: &[f64]) -> f64 {
    sorted(values)[values.len() / 2]
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}
