//! `ingest`: the source's samples, decoded, in one random order; of images here, of sound in
//! `ingest_sound.rs`.

use std::time::Instant;

use gimlet_store::{Compression, CompressionSetting, Rows, Schema, Spec, Values, Writer};
use serde_json::json;

use super::labels::{further_labels, label_attributes, label_names};
use super::layout::{image_column, rows_per_group};
use super::plan::Step;
use super::run_dir::INGEST;
use super::samples::{Samples, check_size, rows_at_once};
use super::{Run, memory};
use crate::pipeline::{ImageView, OnBadSample, Split, View};
use crate::random::generator;
use crate::source::{self, BadSample, Sample, Source};
use crate::view::Pixels;
use crate::{Error, Result};

impl Run<'_> {
    pub(super) fn ingest(&self) -> Result<()> {
        let (data, seed) = (&self.pipeline.data, self.pipeline.seed);
        let train = source::open(data, Split::Train, seed)?;
        let test = source::open(data, Split::Test, seed)?;
        source::check_labels_agree(train.as_ref(), test.as_ref())?;
        let unfit = source::check_alignments(train.as_ref(), test.as_ref())?;
        unfit.lines().iter().for_each(|line| self.progress.warn(line));
        for (split, source) in Split::ALL.into_iter().zip([train, test]) {
            if self.plan.is_split_done(Step::Ingest, split, &self.dir)? {
                continue;
            }
            memory::reset_peak();
            match &self.pipeline.view {
                View::Images(view) => self.ingest_images(view, split, source.as_ref())?,
                View::Sound(view) => self.ingest_sound(view, split, source.as_ref())?,
            }
        }
        Ok(())
    }

    /// The rows of a source that are taken, in the order that they are stored in: a random one, so that
    /// reading them in sequence is random too.
    pub(super) fn ingest_order(&self, split: Split, source: &dyn Source) -> Vec<usize> {
        let purpose = format!("ingest/{}", split.name());
        let order = generator(self.pipeline.seed, &purpose, &[]).permutation(source.rows());
        let most = self.pipeline.data.subset_of(split).unwrap_or(usize::MAX);
        order.into_iter().take(most).map(|row| row as usize).collect()
    }

    fn ingest_images(&self, view: &ImageView, split: Split, source: &dyn Source) -> Result<()> {
        let started = Instant::now();
        let data = &self.pipeline.data;
        let order = self.ingest_order(split, source);

        let title = format!("ingest {}", split.name());
        self.progress.begin(&title, order.len() as u64, 0);
        let mut writer = None;
        let mut size = None;
        let mut skipped = Vec::new();
        let mut left = order.as_slice();
        // One row alone, to see how large images are.
        let mut at_once = 1;
        while !left.is_empty() {
            self.check_stop()?;
            let (rows, after) = left.split_at(at_once.min(left.len()));
            left = after;
            if let (Some(open), OnBadSample::Fail) = (&mut writer, data.on_bad_sample) {
                // No sample is left out, so it is known which rows these would be.
                let open: &mut Writer = open;
                let from = open.position();
                if !open.wants(from..from + rows.len() as u64) {
                    open.skip(rows.len() as u64)?;
                    continue;
                }
            }
            let Samples { whole: samples, skipped: bad } = self.images(view, source, rows, size)?;
            for bad in bad {
                let BadSample { id, source, reason, .. } = bad;
                skipped.push(json!({ "id": id, "source": source, "reason": reason }));
            }
            at_once = samples.first().map_or(at_once, |(_, pixels)| rows_at_once(pixels));
            let Some((_, first)) = samples.first() else { continue };
            let size = size.get_or_insert((first.height, first.width));
            let writer = match &mut writer {
                Some(open) => open,
                None => {
                    let schema = Schema {
                        columns: vec![image_column(*size, first.channels)],
                        source: true,
                        label_names: source.label_names().map(<[String]>::to_vec),
                        attributes: label_attributes(source),
                    };
                    let key = self.plan.key(Step::Ingest, split);
                    let open = self.dir.dataset(INGEST, split).begin(Spec {
                        key: key.hash.clone(),
                        settings: key.settings.clone(),
                        // Bad samples are known when they are met.
                        rows: None,
                        rows_per_part: self.pipeline.store.rows_per_part,
                        rows_per_group: rows_per_group(schema.row_bytes()),
                        // Images are read a few at a time, in every step of the first module.
                        compression: CompressionSetting::Fixed(Compression::None),
                        schema,
                    })?;
                    writer.insert(open)
                }
            };
            self.write_images(writer, *size, &samples, source.further_labels().len())?;
            self.progress.advance((order.len() - left.len()) as u64, "");
        }
        let Some(writer) = writer else { return Err(empty(split, order.len())) };
        let seconds = started.elapsed().as_secs_f64();
        let count = skipped.len();
        let generation = writer.commit(json!({
            "seconds": seconds, "peak_memory": memory::peak(), "skipped": skipped,
            "labels": label_names(source),
        }))?;
        let mut summary = format!("{} images", generation.rows());
        if count > 0 {
            summary += &format!(", {count} skipped");
        }
        self.progress.end(&summary);
        Ok(())
    }

    fn write_images(
        &self,
        writer: &mut Writer,
        size: (usize, usize),
        samples: &[(Sample, Pixels)],
        further: usize,
    ) -> Result<()> {
        let mut values = Vec::new();
        for (sample, pixels) in samples {
            check_size(sample, (pixels.height, pixels.width), size)?;
            values.extend_from_slice(&pixels.values);
        }
        let ids: Vec<i64> = samples.iter().map(|(sample, _)| sample.id).collect();
        let labels: Vec<Option<i64>> = samples.iter().map(|(sample, _)| sample.label).collect();
        let sources: Vec<String> = samples.iter().map(|(it, _)| it.source.clone()).collect();
        let further = further_labels(samples, further);
        let attributes: Vec<&[i64]> = further.iter().map(Vec::as_slice).collect();
        Ok(writer.write(&Rows {
            ids: &ids,
            labels: &labels,
            sources: Some(&sources),
            attributes: &attributes,
            tensors: &[Values::U8(&values)],
        })?)
    }
}

/// The error of a split without a sample.
pub(super) fn empty(split: Split, rows: usize) -> Error {
    let split = split.name();
    Error::failed(format!("the {split} split is empty: none of its {rows} samples could be read"))
}
