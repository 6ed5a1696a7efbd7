//! `podgate policy convert`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::diagnostics;
use super::super::failure::Failure;
use super::super::output::{self, Versioned};
use crate::convert::{self, Conversion, Fit, Source};
use crate::findings::Fault;
use crate::gitops::{folder, yaml};
use crate::inputs;
use crate::manifests::documents;
use crate::manifests::error::Cause;
use crate::policy::key::PolicyKey;
use crate::policy::text::{count, printable};

#[derive(Args, Debug)]
#[command(
    after_help = "Reads Pod Security labels of Namespaces, Kyverno's ClusterPolicy, Policy, ValidatingPolicy and PolicyException,
ValidatingAdmissionPolicy with its bindings, and Gatekeeper's constraints, with templates in CEL. Give all files together: a
binding, a template or an exception is about another object.

The policies go to stdout, and a report to stderr. It says of each rule whether podgate's verdict on a new object is the
source's (exact), denies more (stricter), admits some that it denies (looser), or whether there is no conversion (not).

Exit codes: 1 where something is looser or not converted, 2 where a file cannot be used, 3 where one cannot be read or written.

Examples:
  podgate policy convert kyverno/ > policies.yaml
  podgate policy convert kyverno/ gatekeeper/ --output-dir policies/
  kubectl get namespaces,clusterpolicies -o yaml | podgate policy convert - -o json 2> report.json"
)]
pub(crate) struct ConvertArgs {
    /// A file, a folder (read recursively), or - for stdin; may be repeated
    #[arg(required = true, value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// The report on stderr
    #[arg(short, long, value_enum, default_value_t)]
    output: ReportFormat,
    /// Write a file for each policy, as export does; files that are there are never overwritten
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ReportFormat {
    /// Lines for people
    #[default]
    Text,
    Json,
}

impl ConvertArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (sources, faults) = read(&self.paths);
        let conversion = convert::convert(&sources);
        self.write(&conversion)?;
        match self.output {
            ReportFormat::Text => text(&conversion),
            ReportFormat::Json => eprint!("{}", output::to_json(&Versioned::of(&conversion))?),
        }
        diagnostics::report_faults(&faults)?;
        if conversion.sources.is_empty() {
            let message = "there is no policy to convert; name files of Kyverno, Gatekeeper, ValidatingAdmissionPolicies, or Namespaces with Pod Security labels";
            return Err(Failure::Input(message.to_owned()));
        }
        let of = |fit: Fit| conversion.summary.get(&fit).copied().unwrap_or_default();
        let lost = of(Fit::Looser) + of(Fit::Not);
        match self.output {
            _ if lost == 0 => Ok(()),
            ReportFormat::Text => {
                let lost = count(lost, "source");
                Err(Failure::Findings(format!("{lost} not converted, or looser, as above")))
            }
            // What reads the report reads it as JSON.
            ReportFormat::Json => Err(Failure::Findings(String::new())),
        }
    }

    fn write(&self, conversion: &Conversion) -> Result<(), Failure> {
        let texts: Result<Vec<_>, _> = conversion.policies.iter().map(yaml).collect();
        let texts = texts?;
        let Some(dir) = &self.output_dir else { return output::print(&texts.join("---\n")) };
        let cannot = |path: &Path, error: &std::io::Error| {
            Failure::Cluster(format!("cannot write {}: {error}", dir.join(path).display()))
        };
        let mut files = Vec::new();
        for (policy, text) in conversion.policies.iter().zip(texts) {
            let part = |pointer: &str| {
                policy.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned)
            };
            let key = PolicyKey {
                namespace: part("/metadata/namespace"),
                name: part("/metadata/name").unwrap_or_default(),
            };
            let path =
                folder::path(&key).map_err(|error| Failure::Input(format!("{key}: {error}")))?;
            if dir.join(&path).exists() {
                return Err(Failure::Cluster(format!(
                    "{} is there already, and is not overwritten; name another folder",
                    dir.join(&path).display()
                )));
            }
            files.push((path, text));
        }
        for (path, text) in files {
            folder::write(dir, &path, &text).map_err(|error| cannot(&path, &error))?;
        }
        Ok(())
    }
}

/// The objects of the files. In folders, what is no object is passed over.
fn read(paths: &[PathBuf]) -> (Vec<Source>, Vec<Fault>) {
    let (inputs, mut faults) = inputs::find(paths);
    let mut sources = Vec::new();
    for input in inputs {
        let named = input.origin == inputs::Origin::Named;
        let read = input.read(|text| {
            for manifest in documents::read(text) {
                match manifest {
                    Ok(manifest) => sources.push(Source {
                        place: format!("{}:{}", input.name, manifest.node.at),
                        object: manifest.node.to_json(),
                    }),
                    Err(error) if error.cause == Cause::NoObject && !named => {}
                    Err(error) => faults.push(error.in_file(&input.name)),
                }
            }
        });
        faults.extend(read.err());
    }
    (sources, faults)
}

fn text(conversion: &Conversion) {
    for report in &conversion.sources {
        let name = printable(&format!("{}: {} {}", report.place, report.kind, report.name));
        let into = report.policies.iter().map(|it| printable(it)).collect::<Vec<_>>().join(", ");
        let into = if into.is_empty() { into } else { format!(" → {into}") };
        eprintln!("{name}: {}{into}", report.conversion.as_str());
        for rule in &report.rules {
            if rule.rule.is_empty() && rule.notes.is_empty() {
                continue;
            }
            let rule_name = if rule.rule.is_empty() {
                String::new()
            } else {
                format!("{}: ", printable(&rule.rule))
            };
            let notes: Vec<_> = rule.notes.iter().map(|it| printable(it)).collect();
            let notes =
                if notes.is_empty() { String::new() } else { format!(": {}", notes.join("; ")) };
            eprintln!("  {rule_name}{}{notes}", rule.conversion.as_str());
        }
    }
    let counts = Fit::ALL.map(|fit| {
        format!("{} {}", conversion.summary.get(&fit).copied().unwrap_or_default(), fit.as_str())
    });
    eprintln!("{}: {}", count(conversion.sources.len() as u64, "source"), counts.join(", "));
}
