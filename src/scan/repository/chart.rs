//! The Helm charts of a repository.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::path::normal;
use crate::inputs::{Input, Origin};

/// The longest name of a release, which Helm enforces.
const MAX_RELEASE: usize = 53;

/// A folder with a `Chart.yaml`.
#[derive(Debug)]
pub(super) struct Chart {
    pub folder: PathBuf,
    pub normal: PathBuf,
    /// The name of its release: its own, if a release can have it.
    pub release: Option<String>,
    /// A library, which renders nothing and which other charts use.
    library: bool,
    /// The chart whose `charts/` folder it is in; it is rendered with it.
    parent: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ChartFile {
    name: String,
    r#type: String,
}

pub(super) struct Charts(Vec<Chart>);

/// A file of a chart.
pub(super) struct Part<'c> {
    chart: &'c Chart,
    description: bool,
}

impl Part<'_> {
    /// Whether it is not a template: the chart's own description or values.
    pub(super) fn is_description(&self) -> bool {
        self.description
    }

    /// The normal path of the chart that is rendered for it.
    pub(super) fn root(&self) -> &Path {
        self.chart.parent.as_deref().unwrap_or(&self.chart.normal)
    }
}

impl Charts {
    pub(super) fn of(inputs: &[Input]) -> Self {
        let charts = inputs.iter().filter(|it| it.origin == Origin::Folder).filter_map(|input| {
            let file =
                input.path().filter(|it| it.file_name().is_some_and(|it| it == "Chart.yaml"))?;
            let read = input.read(|text| serde_saphyr::from_str(text).unwrap_or_default());
            let ChartFile { name, r#type } = read.unwrap_or_default();
            let folder = file.parent()?.to_owned();
            Some(Chart {
                normal: normal(&folder),
                folder,
                release: Some(name).filter(|name| is_release(name)),
                library: r#type == "library",
                parent: None,
            })
        });
        let mut charts: Vec<_> = charts.collect();
        let folders: Vec<_> = charts.iter().map(|it| it.normal.clone()).collect();
        for chart in &mut charts {
            // The outermost chart renders all that are below it.
            let parents = folders.iter().filter(|it| chart.normal.starts_with(it.join("charts")));
            chart.parent = parents.min_by_key(|it| it.components().count()).cloned();
        }
        Self(charts)
    }

    /// The charts that are rendered on their own.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Chart> {
        self.0.iter().filter(|it| it.parent.is_none() && !it.library)
    }

    /// What a file is in the innermost chart that it belongs to. A manifest beside a chart's own files belongs to none.
    pub(super) fn part_of(&self, file: &Path) -> Option<Part<'_>> {
        let parts = self.0.iter().filter_map(|chart| {
            let below = file.strip_prefix(&chart.normal).ok()?;
            let first = below.components().next()?;
            let first = first.as_os_str().to_str().unwrap_or_default();
            let at_top = below.components().count() == 1;
            let values = at_top && first.starts_with("values");
            let description = at_top && (first == "Chart.yaml" || values);
            (description || (!at_top && ["templates", "charts"].contains(&first)))
                .then_some(Part { chart, description })
        });
        parts.max_by_key(|it| it.chart.normal.components().count())
    }
}

/// Whether a name is one that Helm takes for a release, and no flag.
fn is_release(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= MAX_RELEASE
        && name.bytes().all(|byte| plain(byte) || byte == b'-')
        && name.bytes().next().is_some_and(plain)
        && name.bytes().next_back().is_some_and(plain)
}
