//! Our files, through the crate's own writer and reader.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use gimlet_store::{
    Column, CompressionSetting, DType, Generation, Rows, Schema, Spec, Store, Values,
};
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::data::Data;
use crate::side::{BATCH, Job, Measured, Operation, Rate, Result, Side};

pub const COLUMN: &str = "activation";
const ROWS_PER_PART: usize = 2_048;

pub struct Ours {
    name: String,
    folder: PathBuf,
    dtype: DType,
    compression: CompressionSetting,
    halves: bool,
    written: Option<Generation>,
    note: Option<String>,
}

impl Ours {
    pub fn new(data: &Data, name: &str, dtype: DType, compression: CompressionSetting) -> Self {
        let folder = data.folder().join(name.replace([' ', ','], "-"));
        let name = name.into();
        Self { name, folder, dtype, compression, halves: false, written: None, note: None }
    }

    /// Reads values as they lie in the file, not widened.
    pub fn in_halves(self) -> Self {
        Self { halves: true, ..self }
    }

    fn generation(&self) -> Result<&Generation> {
        Ok(self.written.as_ref().ok_or("nothing is written yet")?)
    }

    fn spec(&self, data: &Data) -> Spec {
        let column = Column {
            name: COLUMN.into(),
            dtype: self.dtype,
            shape: data.shape().to_vec(),
            dims: Vec::new(),
            compression: Default::default(),
        };
        Spec {
            schema: Schema {
                columns: vec![column],
                source: false,
                label_names: None,
                attributes: Vec::new(),
            },
            key: "0".repeat(64),
            settings: serde_json::Value::Null,
            rows: Some(data.rows() as u64),
            rows_per_part: ROWS_PER_PART.min(data.rows() / 2),
            rows_per_group: BATCH,
            compression: self.compression,
        }
    }

    /// The values that were written must come back: exactly, or within an eighth of a bit's step.
    fn check(&self, data: &Data) -> Result<()> {
        let reader = self.generation()?.reader(&[COLUMN])?;
        let mut wanted = vec![f16::ZERO; data.values()];
        let mut found = vec![0f32; data.values()];
        for row in [0, data.order()[0], data.rows() as u64 - 1] {
            data.read_row(row, &mut wanted)?;
            reader.read_f32(COLUMN, &[row], &mut found)?;
            let off = if self.dtype == DType::I8 { 0.05 } else { 0.0 };
            let same = |(wanted, found): (&f16, &f32)| (wanted.to_f32() - found).abs() <= off;
            if !wanted.iter().zip(&found).all(same) {
                return Err(format!("{}: row {row} comes back as another", self.name).into());
            }
        }
        Ok(())
    }
}

impl Side for Ours {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, data: &Data) -> Result<Measured> {
        self.remove()?;
        let mut halves = vec![f16::ZERO; BATCH * data.values()];
        let mut singles = vec![0f32; BATCH * data.values()];
        let begun = Instant::now();
        let mut writer = Store::new().dataset(&self.folder).begin(self.spec(data))?;
        let mut time = begun.elapsed();
        for nth in 0..data.rows() / BATCH {
            data.read(nth, &mut halves)?;
            halves.convert_to_f32_slice(&mut singles);
            let first = (nth * BATCH) as i64;
            let ids: Vec<i64> = (first..first + BATCH as i64).collect();
            let rows = Rows {
                ids: &ids,
                labels: &[None; BATCH],
                sources: None,
                attributes: &[],
                tensors: &[Values::F32(&singles)],
            };
            let begun = Instant::now();
            writer.write(&rows)?;
            time += begun.elapsed();
        }
        self.note = writer
            .compression()
            .values()
            .map(|choice| format!("{}: auto chose {choice}", self.name))
            .next();
        let begun = Instant::now();
        let generation = writer.commit(serde_json::Value::Null)?;
        time += begun.elapsed();
        self.written = Some(generation);
        self.check(data)?;
        Ok(Ok(Rate { rows: data.rows() as u64, time }))
    }

    fn read(&self, job: &Job) -> Result<Measured> {
        let reader = self.generation()?.reader(&[COLUMN])?;
        let advised = job.operation == Operation::RandomColdAdvised;
        let values = BATCH * job.data.values();
        let (halves, singles) = if self.halves { (values, 0) } else { (0, values) };
        // Ones, not zeros: memory that was never written to is not there yet.
        let buffers = || (vec![f16::ONE; halves], vec![1f32; singles]);
        job.measure(buffers, |(halves, singles), batch, later| {
            if let Some(later) = later.filter(|_| advised) {
                reader.will_need(COLUMN, later)?;
            }
            if self.halves {
                Ok(reader.read_f16(COLUMN, batch, halves)?)
            } else {
                Ok(reader.read_f32(COLUMN, batch, singles)?)
            }
        })
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let generation = self.generation()?;
        let parts = generation.manifest().parts.iter();
        Ok(parts.map(|part| generation.dir().path().join(&part.file)).collect())
    }

    fn remove(&mut self) -> Result<()> {
        self.written = None;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn note(&self) -> Option<String> {
        self.note.clone()
    }
}
