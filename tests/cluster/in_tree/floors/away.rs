//! While podgate is away, a floor has podgate's verdicts.

use super::super::{corners, expressions, fixtures, random};
use super::{away, away_quickly};
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> = trials![
    every_fixture_in_every_kind_gets_the_verdict_of_podgate_from_a_floor,
    random_pods_get_the_verdict_of_podgate_from_a_floor,
    random_image_references_get_the_verdict_of_podgate_from_a_floor,
    random_writes_get_the_verdict_of_podgate_from_a_floor,
    corners_get_the_verdict_of_podgate_from_a_floor
];
/// The trials that take long.
pub const LONG: Alone<Result<(), String>> = trials![
    thousands_of_random_pods_get_the_verdict_of_podgate_from_a_floor,
    thousands_of_random_image_references_get_the_verdict_of_podgate_from_a_floor,
    thousands_of_random_writes_get_the_verdict_of_podgate_from_a_floor,
    expressions_get_the_verdict_of_podgate_from_a_floor
];

fn every_fixture_in_every_kind_gets_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    fixtures::fixtures(away_quickly)
}

fn random_pods_get_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    random::pods(100, away_quickly)
}

fn random_image_references_get_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    random::references(200, away_quickly)
}

fn random_writes_get_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    random::writes(4, 80, [away, away_quickly])
}

fn thousands_of_random_pods_get_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    random::pods(5_000, away)
}

fn thousands_of_random_image_references_get_the_verdict_of_podgate_from_a_floor()
-> Result<(), String> {
    random::references(6_000, away)
}

fn thousands_of_random_writes_get_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    random::writes(60, 150, [away, away_quickly])
}

fn expressions_get_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    expressions::judged(1, away_quickly)
}

/// Mirror pods, large pods, several namespaces, and an application.
fn corners_get_the_verdict_of_podgate_from_a_floor() -> Result<(), String> {
    corners::mirror_pods(away_quickly)?;
    corners::large_pods(away_quickly)?;
    corners::namespaces(away_quickly)?;
    corners::demo_application(away_quickly)
}
