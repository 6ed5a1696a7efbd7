//! `podgate policy init`

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::args::bundle_parser;
use super::super::failure::Failure;
use super::super::output;
use crate::api::BundleName;

#[derive(Args, Debug)]
#[command(
    after_help = "It writes policies/BUNDLE.yaml, which audits, and policy-tests/BUNDLE.yaml, whose cases exercise
all of it. It overwrites nothing: if one of the files is there, none is written.

Examples:
  podgate policy init
  podgate policy init --bundle restricted --ci github
  podgate policy init shop/ --ci gitlab"
)]
pub(crate) struct InitArgs {
    /// The folder to write into [default: the working directory]
    #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    /// The built-in bundle that the policy starts from
    #[arg(long, value_name = "NAME", value_parser = bundle_parser(), default_value = "baseline")]
    bundle: BundleName,
    /// Also write a pipeline that runs the tests and scans the manifests
    #[arg(long, value_enum)]
    ci: Option<Ci>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ci {
    /// .github/workflows/podgate.yml
    Github,
    /// .gitlab/podgate.yml, to be included by .gitlab-ci.yml
    Gitlab,
}

impl Ci {
    const fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Github => (".github/workflows/podgate.yml", include_str!("init/github.yml")),
            Self::Gitlab => (".gitlab/podgate.yml", include_str!("init/gitlab.yml")),
        }
    }
}

impl InitArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let name = self.bundle.as_str();
        let tests = match self.bundle {
            BundleName::Permissive => {
                include_str!("../../../tests/policies/bundles/permissive.yaml")
            }
            BundleName::Baseline => include_str!("../../../tests/policies/bundles/baseline.yaml"),
            BundleName::Restricted => {
                include_str!("../../../tests/policies/bundles/restricted.yaml")
            }
        };
        let own = format!("- spec: {{bundle: {name}}}");
        let mut files = vec![
            (format!("policies/{name}.yaml"), policy(name)),
            (
                format!("policy-tests/{name}.yaml"),
                tests.replace(&own, &format!("- ../policies/{name}.yaml")),
            ),
        ];
        files.extend(self.ci.map(|ci| {
            let (path, text) = ci.file();
            (path.to_owned(), text.replace("VERSION", env!("CARGO_PKG_VERSION")))
        }));
        let files: Vec<_> =
            files.into_iter().map(|(path, text)| (self.dir.join(path), text)).collect();
        if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
            let path = path.display();
            return Err(Failure::Input(format!(
                "{path} is there already, and nothing was written; name another folder, or move it away"
            )));
        }
        let mut told = String::new();
        for (path, text) in &files {
            write(path, text).map_err(|error| {
                Failure::Cluster(format!("cannot write {}: {error}", path.display()))
            })?;
            let _ = writeln!(told, "{}", path.display());
        }
        output::print(&told)?;
        eprint!("{}", self.next(name));
        Ok(())
    }

    fn next(&self, name: &str) -> String {
        let path = |folder: &str| self.dir.join(folder).display().to_string();
        let (policies, tests) = (path("policies"), path("policy-tests"));
        let commands = [
            (format!("policy test {tests} --coverage"), "runs the tests"),
            (format!("scan --policy {policies}"), "what the policy finds in your manifests"),
            (format!("policy preview {policies}"), "what it would deny in your cluster"),
            (format!("policy import {policies}"), "writes it into the cluster, where it audits"),
        ];
        let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
        let mut next = "Next:\n".to_owned();
        for (command, what) in commands {
            let _ = writeln!(next, "  podgate {command:width$}  {what}");
        }
        let _ = writeln!(
            next,
            "Set enforcementMode in {policies}/{name}.yaml to enforce when nothing that runs violates it."
        );
        if matches!(self.ci, Some(Ci::Gitlab)) {
            next.push_str("Add to .gitlab-ci.yml: include: [{local: .gitlab/podgate.yml}]\n");
        }
        next
    }
}

fn policy(name: &str) -> String {
    format!(
        "# The rules of podgate's bundle {name}; a field that is set here wins. It denies nothing before enforcementMode is enforce.
apiVersion: devops.stochastic.io/v1
kind: ClusterDevOpsPolicy
metadata:
  name: {name}
spec:
  bundle: {name}
  enforcementMode: audit
"
    )
}

/// Writes a new file, and its folders. An existing file stays.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
