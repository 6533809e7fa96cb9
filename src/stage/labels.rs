//! The labels of samples: the one that a loss reads, and further ones, which datasets hold as attributes.

use gimlet_store::{Generation, Keys};
use serde_json::{Map, Value, json};

use super::Run;
use super::provenance::Provenance;
use crate::pipeline::{OnBadSample, Pipeline, Split};
use crate::schedule::Step;
use crate::source::{Labelled, Sample, Source};
use crate::{Error, Result};

/// Returns the class of each row of `keys`. Where the loss reads no labels, it returns nothing and does not call
/// `keys`.
///
/// # Errors
/// When a row has no label.
pub(super) fn of_rows(
    pipeline: &Pipeline,
    keys: impl FnOnce() -> Result<Keys>,
) -> Result<Vec<u32>> {
    if !pipeline.reads_labels() {
        return Ok(Vec::new());
    }
    let keys = keys()?;
    let class = |label: i64| {
        u32::try_from(label)
            .map_err(|_| Error::failed(format!("a row has the label {label}, which is no class")))
    };
    let labels = keys.labels.iter().flatten().copied().map(class).collect::<Result<Vec<_>>>()?;
    match keys.labels.len() - labels.len() {
        0 => Ok(labels),
        missing => Err(no_labels(pipeline, missing as u64, keys.labels.len() as u64)),
    }
}

/// Counts the classes (from 0) that the labels of both splits tell apart; 0 where the loss reads no labels.
pub(super) fn classes(run: &Run<'_>) -> Result<usize> {
    let mut classes = 0;
    for split in Split::ALL {
        let labels = of_rows(run.pipeline, || {
            let samples = run.standing.generation(Step::Ingest, split)?;
            Ok(samples.reader(&[])?.keys()?)
        })?;
        classes = classes.max(labels.into_iter().max().map_or(0, |label| label as usize + 1));
    }
    Ok(classes)
}

/// Refuses a loss that reads labels where rows to be ingested have none, as far as that is known before `ingest`.
///
/// # Errors
/// [`crate::Kind::Failed`], where the training would fail too, but only after the steps before it.
pub(super) fn check_labels(pipeline: &Pipeline, provenance: &Provenance) -> Result<()> {
    if !pipeline.reads_labels() {
        return Ok(());
    }
    for split in Split::ALL {
        let Some(Labelled { with, without }) = provenance.labelled[split] else {
            continue;
        };
        // In a subset, or where broken samples are skipped, the rows without labels may be those that are left out.
        let all_taken = pipeline.data.subset_of(split).is_none()
            && pipeline.data.on_bad_sample == OnBadSample::Fail;
        if with == 0 || without > 0 && all_taken {
            return Err(no_labels(pipeline, without, with + without));
        }
    }
    Ok(())
}

fn no_labels(pipeline: &Pipeline, missing: u64, samples: u64) -> Error {
    let loss = pipeline.loss.name();
    let message =
        format!("the loss `{loss}` reads labels, and {missing} of {samples} samples have none");
    Error::failed(message).hint("give the data labels, or take another loss")
}

/// The labels of samples.
pub struct Labels {
    /// The label of each sample; `None` where it has none.
    pub first: Vec<Option<i64>>,
    /// The further labels, by their names in the pipeline.
    pub further: Vec<(String, Vec<Option<i64>>)>,
}

/// Reads the labels of ingested samples.
///
/// # Errors
/// When they cannot be read.
pub fn labels_of(pipeline: &Pipeline, ingested: &Generation) -> Result<Labels> {
    let keys = ingested.reader(&[])?.keys()?;
    let further = pipeline.data.source.further().into_iter().filter_map(|name| {
        let attribute = label_attribute(name);
        let place = ingested.manifest().schema.attributes.iter().position(|it| *it == attribute)?;
        let labels = keys.attributes.get(place)?;
        let labels = labels.iter().map(|it| Some(*it).filter(|it| *it >= 0));
        Some((name.to_string(), labels.collect()))
    });
    let further = further.collect();
    Ok(Labels { first: keys.labels, further })
}

/// The value of a label's attribute where a sample has no such label.
const NO_LABEL: i64 = -1;

/// The name of the attribute that holds a further label. It may have letters, digits and `_`.
pub(super) fn label_attribute(label: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("label_{}", label.chars().map(plain).collect::<String>())
}

/// The attribute names of all further labels of a source.
pub(super) fn label_attributes(source: &dyn Source) -> Vec<String> {
    source.further_labels().iter().map(|it| label_attribute(&it.name)).collect()
}

/// The names of the classes of each further label.
pub(super) fn label_names(source: &dyn Source) -> Map<String, Value> {
    let further = source.further_labels().iter();
    further.map(|it| (it.name.clone(), json!(it.names))).collect()
}

/// The values of the first `count` further labels, one value per sample.
pub(super) fn further_labels(samples: &[Sample], count: usize) -> Vec<Vec<i64>> {
    let of = |place: usize| {
        let label = |sample: &Sample| sample.further.get(place).copied().flatten();
        samples.iter().map(|sample| label(sample).unwrap_or(NO_LABEL)).collect()
    };
    (0..count).map(of).collect()
}
