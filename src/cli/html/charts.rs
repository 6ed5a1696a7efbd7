//! Drawings in SVG. Each is beside the text that says the same, so screen readers skip it.

use super::markup::Html;
use crate::api::{Classification, Severity};

/// The class of a score in the stylesheet, which decides the colour.
fn tone(class: Option<Classification>) -> &'static str {
    match class {
        Some(Classification::Healthy) => "healthy",
        Some(Classification::Stable) => "stable",
        Some(Classification::Degraded) => "degraded",
        Some(Classification::Critical) => "critical",
        None => "none",
    }
}

/// A ring that is closed as far as the score goes, around its number.
pub(super) fn ring(html: &mut Html, score: Option<u8>, class: Option<Classification>) {
    html.markup("<div class=\"ring ")
        .markup(tone(class))
        .markup("\"><svg viewBox=\"0 0 120 120\" aria-hidden=true>");
    html.markup("<circle class=track cx=60 cy=60 r=52 /><circle class=fill cx=60 cy=60 r=52 pathLength=100 ");
    html.markup("stroke-dasharray=\"")
        .number(score.unwrap_or(0).into())
        .markup(" 100\" /></svg><p>");
    match score {
        Some(score) => html.markup("<b>").number(score.into()).markup("</b> of 100"),
        None => html.markup("<b>–</b> no score"),
    };
    if let Some(class) = class {
        html.markup("<br>").element("strong", class.as_str());
    }
    html.markup("</p></div>");
}

/// A bar of a score.
pub(super) fn score_bar(html: &mut Html, score: u8, class: Option<Classification>) {
    bar(html, score.into(), 100, tone(class));
}

/// A bar of a value, as long as its part of the largest one.
pub(super) fn bar(html: &mut Html, value: u64, largest: u64, tone: &'static str) {
    let width = value.saturating_mul(100).checked_div(largest).unwrap_or(0);
    html.markup("<svg class=bar viewBox=\"0 0 100 8\" preserveAspectRatio=none aria-hidden=true><rect class=track width=100 height=8 />");
    html.markup("<rect class=")
        .markup(tone)
        .markup(" width=")
        .number(width)
        .markup(" height=8 /></svg>");
}

/// One bar with a part for each severity, and their counts below it.
pub(super) fn severities(html: &mut Html, counts: [u64; 4]) {
    html.markup(
        "<svg class=parts viewBox=\"0 0 1000 12\" preserveAspectRatio=none aria-hidden=true>",
    );
    html.markup("<rect class=track width=1000 height=12 />");
    let all: u64 = counts.iter().sum();
    let place = |sum: u64| sum.saturating_mul(1000).checked_div(all).unwrap_or(0);
    let mut before = 0;
    for (severity, count) in Severity::ALL.into_iter().zip(counts) {
        let (from, to) = (place(before), place(before + count));
        html.markup("<rect class=").markup(severity.as_str()).markup(" x=").number(from);
        html.markup(" width=").number(to - from).markup(" height=12 />");
        before += count;
    }
    html.markup("</svg>");
    legend(html, counts);
}

/// The counts by severity, in words.
fn legend(html: &mut Html, counts: [u64; 4]) {
    html.markup("<ul class=legend>");
    for (severity, count) in Severity::ALL.into_iter().zip(counts) {
        html.markup("<li class=").markup(severity.as_str()).markup("><b>").number(count);
        html.markup("</b> ").markup(severity.as_str());
    }
    html.markup("</ul>");
}
