use super::super::activation::CompiledVariable;
use super::super::environment::Environment;
use super::super::tree::Tree;
use super::super::types::Type;
use super::super::{admission, compile, library};
use super::*;

fn program(source: &str, environment: &Environment) -> Program {
    let checked = compile::compile(source, environment, 1 << 16).unwrap();
    Program::plan(&checked, environment, &library::find).unwrap()
}

fn on_a_small_stack(evaluate: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(evaluate);
    thread.unwrap().join().unwrap();
}

#[test]
fn the_deepest_expressions_do_not_overflow_the_stack() {
    let nested = |open: &str, core: &str, close: &str, depth: usize| {
        format!("{}{core}{}", open.repeat(depth), close.repeat(depth))
    };
    let environment = admission::environment();
    for source in [
        nested("[", "object", "]", 240),
        nested("{'a': ", "object", "}", 240),
        nested("dyn(", "object.a", ")", 240),
        nested("-dyn(", "object.a", ")", 120),
        nested("[1].all(x, ", "true", ")", 240),
        nested("[[1]].map(x, ", "[1]", ")", 240),
        nested("object.a == 1 ? true : (", "true", ")", 120),
        nested("object[", "'a'", "]", 240),
        nested("[", "object", "]", 240) + " == " + &nested("[", "object", "]", 240),
    ] {
        let program = program(&source, &environment);
        on_a_small_stack(move || {
            let tree = Tree::from_json(r#"{"a": 1}"#).unwrap();
            let mut activation = Activation::new(tree.value(), Value::Null, &[]);
            let value = program.evaluate(&mut activation, &mut Meter::default());
            assert!(value.is_ok() || source.starts_with("object["), "{source}: {value:?}");
        });
    }
}

#[test]
fn a_long_chain_of_variables_does_not_overflow_the_stack_and_its_values_can_be_dropped() {
    let mut environment = admission::environment();
    let mut variables = Vec::new();
    for at in 0..300 {
        let source = match at {
            0 => "[object]".to_owned(),
            _ => format!("[[[variables.v{}]]]", at - 1),
        };
        let name = format!("v{at}");
        let program = program(&source, &environment);
        admission::define(&mut environment, &name, &Type::Dyn);
        variables.push(CompiledVariable { name, program });
    }
    let shallow = program("variables.v20 == variables.v20", &environment);
    let deep = program("variables.v299 == variables.v299", &environment);
    on_a_small_stack(move || {
        let tree = Tree::from_json(r#"{"a": 1}"#).unwrap();
        let mut activation = Activation::new(tree.value(), Value::Null, &variables);
        let mut meter = Meter::default();
        let value = shallow.evaluate(&mut activation, &mut meter);
        assert!(matches!(value, Ok(Value::Bool(true))), "{value:?}");
        let error = deep.evaluate(&mut activation, &mut meter).unwrap_err().to_string();
        assert!(error.ends_with("values nest deeper than 512"), "{error}");
    });
}
