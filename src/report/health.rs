//! Whether representations are healthy: how many directions they use, how their vectors are spread, and how
//! close positive pairs lie.

use serde::Serialize;

use super::figure::{Chart, Line};
use super::numbers::{Numbers, decimals, percent};
use super::page::{Html, Section};
use super::run_view::{Missing, RunView};
use crate::probe::alignment::Alignment;
use crate::probe::feature_std::deviations;
use crate::probe::pooled::Pooled;
use crate::probe::rank_me::rank_me;
use crate::probe::uniformity::uniformity;
use crate::stage::origin::Origin;
use crate::stage::progress::Unit;
use crate::{Error, Result};

/// The most rows of the test split that are measured.
pub const MOST_ROWS: u64 = 4096;

/// The measurements of one module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// The name of the module.
    pub module: String,
    /// The module's place in the stack, from 0.
    pub index: usize,
    /// Where its weights come from.
    #[serde(rename = "kind")]
    pub origin: Origin,
    /// Rows of the test split that were measured.
    pub rows: usize,
    /// Channels of its pooled vectors.
    pub channels: usize,
    /// The RankMe ([`crate::probe::rank_me`]); `None` where all vectors are 0.
    pub rank_me: Option<f64>,
    /// The mean standard deviation of directions ([`crate::probe::feature_std`]).
    pub feature_std: Option<f64>,
    /// The share of channels that hardly vary ([`crate::probe::feature_std`]).
    pub dead_share: Option<f64>,
    /// The alignment ([`crate::probe::alignment`]); `None` where the loss has no positive pairs within a
    /// sample.
    pub alignment: Option<f64>,
    /// The uniformity ([`crate::probe::uniformity`]); `None` with fewer than two rows.
    pub uniformity: Option<f64>,
}

/// The columns of [`Health::cells`].
pub const HEADER: [&str; 8] = [
    "module",
    "kind",
    "channels",
    "RankMe",
    "feature std",
    "dead channels",
    "alignment",
    "uniformity",
];

/// Explains the columns.
pub const WHAT_COLUMNS_ARE: [&str; 4] = [
    "RankMe: directions in use, from 1 to the channels (or the rows, if they are fewer); feature std: of \
     vectors over their lengths, times the root of the channels, 0 when collapsed, 1 when spread evenly.",
    "dead channels: those that vary by at most a thousandth of what varies most.",
    "alignment: mean squared distance of positive pairs of pooled vectors over their lengths, from 0 (the \
     same) to 4; the positive pairs are those of the loss within a sample.",
    "uniformity: log of the mean of exp(-2 distance²) over pairs of samples, 0 when all are alike, lower the \
     more evenly they are spread.",
];

impl Health {
    /// The cells of the table, in the order of [`HEADER`].
    pub fn cells(&self) -> Vec<String> {
        vec![
            self.module.clone(),
            self.origin.name().to_string(),
            self.channels.to_string(),
            decimals(self.rank_me, 1),
            decimals(self.feature_std, 3),
            percent(self.dead_share),
            decimals(self.alignment, 3),
            decimals(self.uniformity, 3),
        ]
    }
}

/// Measures the run's modules, each module's trained weights first, and lists what is missing.
///
/// # Errors
/// When vectors cannot be read.
pub fn measure(run: &RunView<'_>) -> Result<(Vec<Health>, Vec<Missing>)> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let measured = run.count("health", Unit::Of("modules"), 2 * run.modules().count() as u64);
    for (index, module) in run.modules().enumerate() {
        for origin in Origin::ALL {
            run.check_stop()?;
            measured(1);
            match run.output(index, origin)? {
                Ok(it) => found.push(health(run, index, module, origin, &Pooled::open(&it)?)?),
                Err(it) => missing.push(it),
            }
        }
    }
    Ok((found, missing))
}

fn health(
    run: &RunView<'_>,
    index: usize,
    module: &str,
    origin: Origin,
    pooled: &Pooled,
) -> Result<Health> {
    let (rows, channels) = (pooled.spread_rows(MOST_ROWS), pooled.channels());
    let means = pooled.means_of(&rows)?;
    let mut alignment = None;
    if let Some(apart) = run.pipeline.loss.positives() {
        let of = |_: &[u64], vectors: &[f32]| Ok(Alignment::of(vectors, pooled.shape(), &apart));
        let parts = pooled.map_rows(&rows, of)?;
        alignment = parts.into_iter().fold(Alignment::default(), Alignment::and).mean();
    }
    // The output of a diverged module is not finite, and cannot be measured.
    let is_finite = means.iter().all(|it| it.is_finite());
    let spread = deviations(&means, channels).filter(|_| is_finite);
    let (rank_me, uniformity) = match is_finite {
        true => (rank_me(&means, channels)?, uniformity(&means, channels)?),
        false => (None, None),
    };
    let finite = |value: Option<f64>| value.filter(|it| it.is_finite());
    Ok(Health {
        module: module.to_string(),
        index,
        origin,
        rows: rows.len(),
        channels,
        rank_me: finite(rank_me),
        feature_std: spread.map(|it| it.feature_std),
        dead_share: spread.map(|it| it.dead_share),
        alignment: finite(alignment),
        uniformity: finite(uniformity),
    })
}

/// Builds the section on health; also writes `health.json` beside the page.
///
/// # Errors
/// When vectors cannot be read, or the file cannot be written.
pub fn section(run: &RunView<'_>) -> Result<Section> {
    let (found, missing) = measure(run)?;
    let json = serde_json::to_vec_pretty(&found)
        .map_err(|error| Error::failed(format!("could not write health.json: {error}")))?;
    let folder = run.standing.dir.report();
    folder.create_folder()?;
    folder.join("health.json").replace(&json)?;
    let rows = found.iter().map(|it| it.rows).max().unwrap_or(0);
    let mut lead = match rows {
        0 => String::new(),
        _ => format!(
            "Measured on the mean pooled vectors of {rows} samples of the test split (alignment: on \
             their pooled vectors). Dashed: the same modules as they were drawn."
        ),
    };
    for (index, module) in run.modules().enumerate() {
        let training = run.standing.training(run.standing.plan.last(index))?;
        if let Some(nothing) = training.and_then(|(_, it)| it.learns_nothing) {
            lead += &format!(" {module} has learnt nothing: {}.", nothing.describe());
        }
    }
    let body = match found.is_empty() {
        true => Html::default(),
        false => {
            let numbers = Numbers {
                charts: charts(run, &found)?,
                header: HEADER.map(String::from).to_vec(),
                rows: found.iter().map(Health::cells).collect(),
                notes: WHAT_COLUMNS_ARE.map(String::from).to_vec(),
            };
            numbers.html()?
        }
    };
    Ok(Section { id: "health", title: "Is the representation healthy?", lead, body, missing })
}

fn charts(run: &RunView<'_>, found: &[Health]) -> Result<Vec<Html>> {
    type Value = fn(&Health) -> Option<f64>;
    let measures: [(&str, &str, bool, Value); 5] = [
        ("RankMe: directions in use", "RankMe", false, |it| it.rank_me),
        ("Feature standard deviation", "std", false, |it| it.feature_std),
        ("Dead channels", "share", true, |it| it.dead_share),
        ("Alignment of positive pairs", "alignment", false, |it| it.alignment),
        ("Uniformity", "uniformity", false, |it| it.uniformity),
    ];
    let mut charts = Vec::new();
    for (title, y, percent, value) in measures {
        let line = |origin: Origin| {
            let of = found.iter().filter(|it| it.origin == origin);
            let points = of.filter_map(|it| Some((it.index as f64, value(it)?)));
            Line {
                name: origin.name().to_string(),
                colour: 0,
                dashed: origin == Origin::Untrained,
                dots: true,
                points: points.collect(),
            }
        };
        let lines = Origin::ALL.map(line);
        let lines: Vec<Line> = lines.into_iter().filter(|it| !it.points.is_empty()).collect();
        // Shares that are all 0 need no picture.
        let nothing = percent && lines.iter().flat_map(|it| &it.points).all(|it| it.1 == 0.0);
        if lines.is_empty() || nothing {
            continue;
        }
        let chart = Chart {
            title: title.to_string(),
            x: "module".to_string(),
            y: y.to_string(),
            places: run.modules().map(String::from).collect(),
            percent,
            lines,
            ..Chart::default()
        };
        charts.push(chart.figure()?);
    }
    Ok(charts)
}
