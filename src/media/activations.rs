//! Handles activations that were made elsewhere. Rows of files are copied at ingest; of a dataset of ours, only their
//! places are kept, and the rows are read where they lie.

use gimlet_store::{Column, Compression, CompressionSetting, DType, Generation, Values};
use serde_json::{Value, json};

use super::{Handler, Ingest, Ingested, column, rows_at_once};
use crate::pipeline::settings::{Source as SourceSettings, Unseen};
use crate::pipeline::{ActivationKind, ActivationView, Cell, Pipeline, SampleSize, Split, json_of};
use crate::source::activations::{Activations, Reading};
use crate::source::{self, Sample, Source};
use crate::train::activation_rows::{
    ActivationRows, GivenActivations, PLACE, PLACE_BYTES, shape_of,
};
use crate::train::input::{ACTIVATION, Input};
use crate::{Error, Result};

/// Bytes of f16.
const HALF: usize = 2;

impl Handler for ActivationView {
    fn ingest_key(&self, _source: &SourceSettings) -> Value {
        // How a row is seen does not change what is ingested of it; its shape is in `source`.
        json!("activations")
    }

    fn framing_key(&self) -> Result<Value> {
        let Self { kind, grid, expected: _ } = self;
        Ok(json!({ "kind": json_of(kind)?, "grid": grid }))
    }

    fn column(&self) -> &'static str {
        ACTIVATION
    }

    fn sample_column(&self, size: SampleSize) -> Column {
        let Some(cell) = size.cell else { return place_column() };
        let shape = [size.height * size.width, cell.map.height, cell.map.width, cell.map.channels];
        match cell.copied {
            Some(bytes) => activation_column(&shape, bytes),
            None => place_column(),
        }
    }

    fn size_of_column(&self, _shape: &[usize]) -> Option<SampleSize> {
        None
    }

    fn size_in(&self, ingested: &Generation) -> Result<SampleSize> {
        let schema = &ingested.manifest().schema;
        let copied = schema.column(ACTIVATION).map(|it| it.dtype.bytes());
        sized(self, &shape_of(ingested)?, copied).map_err(plain)
    }

    fn size(&self, pipeline: &Pipeline, ingested: Option<&Generation>) -> Result<SampleSize> {
        let (shape, copied) = match (ingested, &pipeline.data.source) {
            (Some(ingested), _) => return self.size_in(ingested),
            (None, SourceSettings::Activations(files)) => {
                let source = Activations::open(files, Split::Train, Reading::InPlace)?;
                (source.shape.clone(), source.copied)
            }
            (None, _) => {
                let source = source::open(&pipeline.data, Split::Train, pipeline.seed)?;
                let first = source.read(&[0])?.into_iter().next();
                match first {
                    Some(Ok(sample)) => {
                        let activation = sample.media.activation()?;
                        (activation.shape.clone(), activation.kept_bytes())
                    }
                    Some(Err(bad)) => return Err(Error::failed(bad.to_string())),
                    None => return Err(Error::failed("there is no training sample")),
                }
            }
        };
        sized(self, &shape, copied).map_err(|it| pipeline.told(it.fault()))
    }

    fn ingested(&self, sample: Sample, size: Option<SampleSize>) -> Result<Sample> {
        let found = self.seen_size(&sample)?;
        let same = |it: SampleSize| {
            let map = |it: SampleSize| it.cell.map(|cell| cell.map);
            (it.height, it.width, map(it)) == (found.height, found.width, map(found))
        };
        if size.is_some_and(|it| !same(it)) {
            let shape = &sample.media.activation()?.shape;
            let message = format!(
                "activations differ in shape: row {} ({}) is {shape:?}, others are not",
                sample.id, sample.source
            );
            return Err(Error::failed(message).hint("name only files of one data set"));
        }
        Ok(sample)
    }

    fn ingest<'a>(
        &'a self,
        _source: &'a dyn Source,
        _rows: &[usize],
        _has_hops: bool,
    ) -> Result<Box<dyn Ingest + 'a>> {
        Ok(Box::new(ActivationIngest { view: self, first: None }))
    }

    fn input(&self, ingested: &Ingested<'_>) -> Result<Box<dyn Input>> {
        let Ingested { samples, source, split, .. } = *ingested;
        let size = self.size_in(samples)?;
        let rows = ActivationRows::open(samples, source, split)?;
        let Some(cell) = size.cell else {
            return Err(Error::failed("activations without a shape"));
        };
        // A sequence is one map, whose row has all steps.
        let shape = match cell.kind {
            ActivationKind::Steps => [1, 1, size.width, cell.map.channels],
            _ => [size.height * size.width, cell.map.height, cell.map.width, cell.map.channels],
        };
        Ok(Box::new(GivenActivations::new(rows, shape)?))
    }

    fn evaluated(
        &self,
        sample: &Sample,
        _training: Option<&Generation>,
    ) -> Result<Option<Vec<f32>>> {
        Ok(Some(sample.media.activation()?.values.clone()))
    }

    fn seen_size(&self, sample: &Sample) -> Result<SampleSize> {
        let activation = sample.media.activation()?;
        sized(self, &activation.shape, activation.kept_bytes()).map_err(plain)
    }
}

/// The size of rows of this shape, of which values are copied in so many bytes.
fn sized(
    view: &ActivationView,
    shape: &[usize],
    copied: Option<usize>,
) -> Result<SampleSize, Unseen> {
    let size = view.seen(shape)?;
    Ok(SampleSize { cell: size.cell.map(|cell| Cell { copied, ..cell }), ..size })
}

fn plain(unseen: Unseen) -> Error {
    Error::failed(unseen.message).hint(unseen.hint)
}

fn activation_column(shape: &[usize], bytes: usize) -> Column {
    let dtype = if bytes == HALF { DType::F16 } else { DType::F32 };
    column(ACTIVATION, dtype, shape.to_vec(), &[])
}

fn place_column() -> Column {
    column(PLACE, DType::U8, vec![PLACE_BYTES], &["byte"])
}

struct ActivationIngest<'a> {
    view: &'a ActivationView,
    /// The shape of the first row, and bytes of a value if values are copied.
    first: Option<(Vec<usize>, Option<usize>)>,
}

impl Ingest for ActivationIngest<'_> {
    fn columns(&self) -> Option<Vec<Column>> {
        let (shape, copied) = self.first.as_ref()?;
        Some(vec![match copied {
            Some(bytes) => activation_column(shape, *bytes),
            None => place_column(),
        }])
    }

    fn compression(&self) -> CompressionSetting {
        // Rows are read one by one, in every epoch of the first module.
        CompressionSetting::Fixed(Compression::None)
    }

    fn at_once(&self) -> usize {
        // Reads one row first, to learn its shape.
        self.first.as_ref().map_or(1, |(shape, copied)| {
            let bytes =
                copied.map_or(PLACE_BYTES, |_| size_of::<f32>() * shape.iter().product::<usize>());
            rows_at_once(bytes)
        })
    }

    fn size(&self) -> Option<SampleSize> {
        let (shape, copied) = self.first.as_ref()?;
        sized(self.view, shape, *copied).ok()
    }

    fn look(&mut self, samples: Vec<Sample>) -> Result<(Vec<Sample>, Vec<(Sample, String)>)> {
        if let (None, Some(first)) = (&self.first, samples.first()) {
            let activation = first.media.activation()?;
            self.first = Some((activation.shape.clone(), activation.kept_bytes()));
        }
        Ok((samples, Vec::new()))
    }

    fn values(&self, samples: &[Sample], write: &mut super::Chunk<'_>) -> Result<()> {
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for sample in samples {
            let activation = sample.media.activation()?;
            match activation.place {
                Some(place) => places.extend(place.to_le_bytes()),
                None => values.extend_from_slice(&activation.values),
            }
        }
        let values = if places.is_empty() { Values::F32(&values) } else { Values::U8(&places) };
        write(Vec::new(), &[values])
    }
}
