//! A repository as people have it: which files are manifests by themselves, and which are parts of a Helm chart or of a
//! kustomization, that only the rendered whole shows.
//!
//! [`read`] is the way in.

mod chart;
mod kustomization;
mod path;
mod program;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use self::chart::{Chart, Charts};
use self::kustomization::Kustomizations;
use self::program::Program;
use super::offline::in_parallel;
use crate::findings::{Fault, PassedOver, Unjudged};
use crate::inputs::{Input, Origin, RenderedFrom};
use crate::policy::text::count;

/// Whether charts and kustomizations are rendered.
#[derive(Clone, Debug)]
pub enum Rendering {
    Never,
    /// By the person's own programs, where they are there.
    Auto {
        /// Values files for every chart.
        values: Vec<PathBuf>,
        /// The namespace of releases.
        namespace: Option<String>,
    },
}

/// The input as it is to be judged.
#[derive(Default)]
pub struct Repository {
    /// The files that are judged by themselves, and what was rendered.
    pub inputs: Vec<Input>,
    pub unjudged: Unjudged,
    pub faults: Vec<Fault>,
    /// Sentences on what was not rendered for want of a program.
    pub notes: Vec<String>,
}

/// Sorts the files of an input, and renders what is to be rendered. Charts and kustomizations are those that were found
/// in folders; a file that is named on the command line stays what it is. `progress` is called with each folder before
/// it is rendered.
pub fn read(
    inputs: Vec<Input>,
    rendering: &Rendering,
    progress: &(dyn Fn(String) + Sync),
) -> Repository {
    let charts = Charts::of(&inputs);
    let kustomizations = Kustomizations::of(&inputs);
    let mut repository = Repository::default();
    let rendered_charts = repository.charts(&charts, rendering, progress);
    let rendered_kustomizations = repository.kustomizations(&kustomizations, rendering, progress);
    let whole = kustomizations.files_of(&rendered_kustomizations);
    let mut kept = Vec::new();
    for mut input in inputs {
        let found = input.path().filter(|_| input.origin == Origin::Folder).map(path::normal);
        let part = found.as_deref().and_then(|file| {
            if kustomizations.is_part(file) || whole.contains(file) {
                return Some(PassedOver::Kustomization);
            }
            let part = charts.part_of(file)?;
            if part.is_description() || rendered_charts.contains(part.root()) {
                return Some(PassedOver::Chart);
            }
            input.origin = Origin::Template;
            None
        });
        match part {
            Some(what) => *repository.unjudged.passed_over.entry(what).or_default() += 1,
            None => kept.push(input),
        }
    }
    kept.append(&mut repository.inputs);
    repository.inputs = kept;
    repository
}

impl Repository {
    /// Renders the charts; returns the normal paths of those that were rendered.
    fn charts(
        &mut self,
        charts: &Charts,
        rendering: &Rendering,
        progress: &(dyn Fn(String) + Sync),
    ) -> HashSet<PathBuf> {
        let roots: Vec<_> = charts.roots().collect();
        let (values, namespace, helm) = match rendering {
            _ if roots.is_empty() => return HashSet::new(),
            Rendering::Never => {
                self.unjudged.unrendered_charts = roots.len() as u64;
                return HashSet::new();
            }
            Rendering::Auto { values, namespace } => (values, namespace, Program::helm()),
        };
        let Some(helm) = helm else {
            self.unjudged.unrendered_charts = roots.len() as u64;
            let first = roots.first().map(|it| path::shown(&it.folder)).unwrap_or_default();
            self.notes.push(format!(
                "there is no helm on the PATH, so charts are not judged ({}); install it, or pipe its output: helm template {first} | podgate scan -",
                count(roots.len() as u64, "chart"),
            ));
            return HashSet::new();
        };
        let texts = in_parallel(&roots, |chart| {
            progress(path::shown(&chart.folder));
            helm.template(chart, values, namespace.as_deref())
        });
        let mut rendered = HashSet::new();
        for (chart, text) in roots.into_iter().zip(texts) {
            let Chart { folder, normal, .. } = chart;
            let from = RenderedFrom::Chart(folder.clone());
            if self.rendered(folder, text, from) {
                rendered.insert(normal.clone());
            }
        }
        rendered
    }

    /// Renders the kustomizations that no other one lists; returns the normal paths of their folders.
    fn kustomizations(
        &mut self,
        kustomizations: &Kustomizations,
        rendering: &Rendering,
        progress: &(dyn Fn(String) + Sync),
    ) -> HashSet<PathBuf> {
        let roots: Vec<_> = kustomizations.roots().collect();
        if roots.is_empty() {
            return HashSet::new();
        }
        let program = match rendering {
            Rendering::Never => None,
            Rendering::Auto { .. } => {
                let program = Program::kustomize();
                if program.is_none() {
                    self.notes.push(format!(
                        "there is neither kustomize nor kubectl on the PATH, so kustomizations are not rendered ({}), and their resources are judged without patches; install one of them",
                        count(roots.len() as u64, "kustomization"),
                    ));
                }
                program
            }
        };
        let Some(program) = program else {
            self.unjudged.unrendered_kustomizations = roots.len() as u64;
            return HashSet::new();
        };
        let texts = in_parallel(&roots, |it| {
            progress(path::shown(&it.folder));
            program.build(&it.folder)
        });
        let mut rendered = HashSet::new();
        for (kustomization, text) in roots.into_iter().zip(texts) {
            let from = RenderedFrom::Kustomization(path::shown(&kustomization.file));
            if self.rendered(&kustomization.folder, text, from) {
                rendered.insert(kustomization.normal.clone());
            }
        }
        rendered
    }

    /// Adds what a program made of a folder; `false` if it is a fault.
    fn rendered(
        &mut self,
        folder: &Path,
        text: Result<Vec<u8>, String>,
        from: RenderedFrom,
    ) -> bool {
        let place = path::shown(folder);
        match text {
            Ok(bytes) => {
                self.inputs.push(Input::rendered(format!("{place} as rendered"), from, bytes));
                true
            }
            Err(message) => {
                self.faults.push(Fault::input(place, message));
                false
            }
        }
    }
}
