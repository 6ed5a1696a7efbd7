//! Checks before the measurement that each variant is called, and decides as expected.

use podgate::policy::workload::Kind;

use crate::client::{self, Client};
use crate::objects::{self, Case};
use crate::support::eventually;
use crate::variants::{By, Variant};

/// Waits until a variant is in force; the API server needs a moment.
pub fn decides(variant: &Variant, client: &Client) {
    eventually(variant.name, || {
        for &kind in variant.kinds() {
            for case in objects::cases(kind) {
                agrees(variant, client, kind, &case)?;
            }
        }
        let silent = variant.webhooks().into_iter().find(|it| client.calls(it).count == 0.0);
        silent.map_or(Ok(()), |webhook| Err(format!("{webhook} was not asked")))
    });
}

fn agrees(variant: &Variant, client: &Client, kind: Kind, case: &Case) -> Result<(), String> {
    let mut pod = objects::compliant();
    (case.change)(&mut pod["spec"]);
    let object = objects::object(kind, pod).to_string();
    let (status, answer) = client.create(&client::path(kind, variant.namespace), &object);
    let as_expected = match case.breaks.filter(|_| variant.decides()) {
        None => status == 201,
        Some(rule) => {
            let one = !matches!(variant.by, By::Podgate | By::Validations)
                || answer.contains("breaks 1 rule");
            (400..500).contains(&status) && answer.contains(rule) && one
        }
    };
    let fault = || format!("{kind:?}, {}: {status} {answer}", case.what);
    if as_expected { Ok(()) } else { Err(fault()) }
}
