//! `ingest`: the source's images, decoded, in one random order.

use std::time::Instant;

use gimlet_store::{Compression, CompressionSetting, Rows, Schema, Spec, Values, Writer};
use serde_json::json;

use super::layout::{image_column, rows_per_group};
use super::plan::Step;
use super::run_dir::INGEST;
use super::{Run, memory};
use crate::pipeline::{OnBadSample, Split, View};
use crate::random::generator;
use crate::source::{self, Sample, Source};
use crate::view::{self, Pixels};
use crate::{Error, Result};

/// Source rows read at once, and the most memory that their images may take.
const CHUNK: usize = 512;
const CHUNK_BYTES: usize = 128 << 20;

impl Run<'_> {
    pub(super) fn ingest(&self) -> Result<()> {
        let (data, seed) = (&self.pipeline.data, self.pipeline.seed);
        let train = source::open(data, Split::Train, seed)?;
        let test = source::open(data, Split::Test, seed)?;
        source::check_labels_agree(train.as_ref(), test.as_ref())?;
        for (split, source) in Split::ALL.into_iter().zip([train, test]) {
            if !self.plan.is_split_done(Step::Ingest, split, &self.dir)? {
                self.ingest_split(split, source.as_ref())?;
            }
        }
        Ok(())
    }

    fn ingest_split(&self, split: Split, source: &dyn Source) -> Result<()> {
        memory::reset_peak();
        let started = Instant::now();
        let (data, seed) = (&self.pipeline.data, self.pipeline.seed);
        let purpose = format!("ingest/{}", split.name());
        // Rows are stored in a random order, so that reading them in sequence is random too.
        let mut order = generator(seed, &purpose, &[]).permutation(source.rows());
        order.truncate(data.subset_of(split).unwrap_or(usize::MAX));

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
            let rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
            if let (Some(open), OnBadSample::Fail) = (&mut writer, data.on_bad_sample) {
                // No sample is left out, so it is known which rows these would be.
                let open: &mut Writer = open;
                let from = open.position();
                if !open.wants(from..from + rows.len() as u64) {
                    open.skip(rows.len() as u64)?;
                    continue;
                }
            }
            let mut samples = Vec::with_capacity(rows.len());
            let view = &self.pipeline.view;
            for sample in source.read_through(&rows, &|sample| seen(view, sample, size))? {
                match (sample, data.on_bad_sample) {
                    (Ok(sample), _) => {
                        let pixels = view::ingest(view, &sample.image)?;
                        at_once = (CHUNK_BYTES / pixels.values.len().max(1)).clamp(1, CHUNK);
                        samples.push((sample, pixels));
                    }
                    (Err(bad), OnBadSample::Skip) => {
                        self.progress.warn(&format!("skipped {bad}"));
                        skipped.push(json!({ "id": bad.id, "source": bad.source,
                                             "reason": bad.reason }));
                    }
                    (Err(bad), OnBadSample::Fail) => {
                        return Err(Error::failed(bad.to_string())
                            .hint("mend or remove it, or set `data.on_bad_sample = \"skip\"`"));
                    }
                }
            }
            let Some((_, first)) = samples.first() else { continue };
            let size = size.get_or_insert((first.height, first.width));
            let writer = match &mut writer {
                Some(open) => open,
                None => {
                    let schema = Schema {
                        columns: vec![image_column(*size, first.channels)],
                        source: true,
                        label_names: source.label_names().map(<[String]>::to_vec),
                        attributes: vec![],
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
            self.write_images(writer, *size, &samples)?;
            self.progress.advance((order.len() - left.len()) as u64, "");
        }
        let Some(writer) = writer else {
            return Err(Error::failed(format!(
                "the {} split is empty: none of its {} samples could be read",
                split.name(),
                order.len()
            )));
        };
        let seconds = started.elapsed().as_secs_f64();
        let count = skipped.len();
        let generation = writer.commit(json!({
            "seconds": seconds, "peak_memory": memory::peak(), "skipped": skipped,
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
    ) -> Result<()> {
        let mut values = Vec::new();
        for (sample, pixels) in samples {
            check_size(sample, (pixels.height, pixels.width), size)?;
            values.extend_from_slice(&pixels.values);
        }
        let ids: Vec<i64> = samples.iter().map(|(sample, _)| sample.id).collect();
        let labels: Vec<Option<i64>> = samples.iter().map(|(sample, _)| sample.label).collect();
        let sources: Vec<String> = samples.iter().map(|(it, _)| it.source.clone()).collect();
        Ok(writer.write(&Rows {
            ids: &ids,
            labels: &labels,
            sources: Some(&sources),
            attributes: &[],
            tensors: &[Values::U8(&values)],
        })?)
    }
}

/// A sample as the view sees it; of `size`, if that is known.
fn seen(view: &View, mut sample: Sample, size: Option<(usize, usize)>) -> Result<Sample> {
    let pixels = view::ingest(view, &sample.image)?;
    if let Some(size) = size {
        check_size(&sample, (pixels.height, pixels.width), size)?;
    }
    sample.image = pixels.into_image()?;
    Ok(sample)
}

fn check_size(sample: &Sample, found: (usize, usize), size: (usize, usize)) -> Result<()> {
    if found == size {
        return Ok(());
    }
    let message = format!(
        "images differ in size: row {} ({}) is {}x{}, others are {}x{}",
        sample.id, sample.source, found.1, found.0, size.1, size.0
    );
    Err(Error::failed(message).hint("set `view.resize` to one size for all"))
}
