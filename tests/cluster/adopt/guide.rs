//! The commands of `docs/guides/adopt.md`, run in a namespace of the test instead of `shop`.

use std::fs;
use std::path::Path;

use crate::support::binary;
use crate::support::cluster::Namespace;
use crate::support::ran::Ran;

/// A section of the guide.
pub struct Step<'s> {
    shop: &'s Namespace<'s>,
    title: &'static str,
    commands: Vec<String>,
}

impl<'s> Step<'s> {
    pub fn of(shop: &'s Namespace<'_>, title: &'static str) -> Self {
        println!("{title}");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/adopt.md");
        let page = fs::read_to_string(page).unwrap();
        let mut sections = page.split("\n## ");
        let section = sections.find(|it| it.lines().next() == Some(title));
        let section = section.unwrap_or_else(|| panic!("the guide has no step {title:?}"));
        let commands = section.lines().filter_map(|line| line.strip_prefix("$ "));
        let commands = commands.map(|it| it.split(" #").next().unwrap().trim().to_owned());
        Self { shop, title, commands: commands.collect() }
    }

    /// Asserts that the step has this command of podgate.
    pub fn has(&self, command: &str) {
        self.has_line(&format!("podgate {command}"));
    }

    /// Asserts that the step has this command of kubectl, in the namespace `shop`.
    pub fn has_kubectl(&self, command: &str) {
        self.has_line(&format!("kubectl {command} -n shop"));
    }

    fn has_line(&self, line: &str) {
        assert!(
            self.commands.iter().any(|it| it == line),
            "step {:?} of the guide has no {line:?}: {:?}",
            self.title,
            self.commands
        );
    }

    /// Runs a command of podgate that the step has, which must exit with this code.
    pub fn runs(&self, command: &str, code: i32) -> Ran {
        self.runs_with(command, &[], code)
    }

    /// The same with further arguments.
    pub fn runs_with(&self, command: &str, more: &[&str], code: i32) -> Ran {
        self.has(command);
        let shop = &self.shop.name;
        let words = command.split(' ').map(|word| if word == "shop" { shop } else { word });
        let kubeconfig = self.shop.cluster.plane.kubeconfig("admin");
        let args = words.chain(more.iter().copied());
        let args: Vec<_> = args.chain(["--kubeconfig", kubeconfig.to_str().unwrap()]).collect();
        println!("   podgate {command}");
        Ran::of(&binary::run(&args)).exits(code)
    }
}
