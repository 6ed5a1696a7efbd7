//! A validation and a pod: the source is refused with its place, or it is evaluated within the meter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate::cel::activation::Activation;
use podgate::cel::admission;
use podgate::cel::compile::compile;
use podgate::cel::library;
use podgate::cel::meter::{EXPRESSION_COST_LIMIT, Meter, POLICY_COST_BUDGET};
use podgate::cel::program::Program;
use podgate::cel::tree::Tree;
use podgate_fuzz::is_presentable;

/// The pod for inputs without one.
const POD: &str = r#"{"kind":"Pod","metadata":{"name":"web","labels":{"app":"web"}},"spec":{"hostNetwork":true,"containers":[{"name":"web","image":"nginx:1.29","resources":{"limits":{"memory":"64Mi"}}}]}}"#;

// The source ends at a NUL; behind it is the pod.
fuzz_target!(|text: &str| {
    let (source, pod) = text.split_once('\0').unwrap_or((text, POD));
    let environment = admission::environment();
    let planned = compile(source, &environment, 1024)
        .and_then(|checked| Program::plan(&checked, &environment, &library::find));
    let program = match planned {
        Ok(program) => program,
        Err(refusal) => {
            assert!(refusal.place.line > 0 && refusal.place.column > 0, "{refusal}");
            is_presentable(&refusal.to_string(), 4096);
            return;
        }
    };
    let Ok(pod) = Tree::from_json(pod) else { return };
    let namespace = Tree::empty();
    let mut activation = Activation::new(pod.value(), namespace.value(), &[]);
    let mut meter = Meter::default();
    if program.evaluate(&mut activation, &mut meter).is_ok() {
        let cost = POLICY_COST_BUDGET - activation.budget();
        assert!(cost <= EXPRESSION_COST_LIMIT, "{cost} units");
    }
});
