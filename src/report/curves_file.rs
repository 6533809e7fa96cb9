//! The logs of a run's trainings as one file: Parquet, or JSON lines.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, StringArray, UInt64Array};
use serde::Serialize;

use super::training_log::{Curve, Point};
use crate::parquet_table::{self, Column};
use crate::{Error, Kind, Result};

/// The format of a file of curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One Parquet file.
    Parquet,
    /// One JSON document per line.
    JsonLines,
}

impl Format {
    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the name has another extension.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|it| it.to_str()) {
            Some("parquet") => Ok(Self::Parquet),
            Some("jsonl") => Ok(Self::JsonLines),
            _ => {
                let message = format!("`{}` is no name of a file of curves", path.display());
                Err(Error::new(Kind::Usage, message).hint("end it in `.parquet` or `.jsonl`"))
            }
        }
    }
}

/// One step, with the columns that [`bytes`] describes.
#[derive(Serialize)]
struct Line<'a> {
    module: &'a str,
    round: Option<u64>,
    step: u64,
    epoch: u64,
    seconds: f64,
    loss: f64,
    accuracy: Option<f64>,
    held_out_loss: Option<f32>,
    held_out_accuracy: Option<f32>,
    generation: Option<u64>,
}

impl<'a> Line<'a> {
    fn of(curve: &'a Curve, point: &Point, in_rounds: bool) -> Self {
        let it = point.entry;
        Self {
            module: &curve.module,
            round: in_rounds.then_some(point.round as u64 + 1),
            step: it.step,
            epoch: it.epoch,
            seconds: it.seconds,
            loss: it.loss,
            accuracy: it.accuracy,
            held_out_loss: it.held_out,
            held_out_accuracy: it.held_out_accuracy,
            generation: it.generation,
        }
    }
}

/// The bytes of a file with one row per step of each training.
///
/// Columns: `module`; `round`, from 1, null in runs without rounds; `step` and `epoch`, from 0, as in the log;
/// `seconds` of the module's training up to the end of the step; `loss` and `accuracy` of the batch;
/// `held_out_loss` and `held_out_accuracy` (f32), after the last step of an epoch; `generation`, the one it
/// trained on, where that changes.
///
/// # Errors
/// [`Kind::Failed`] when the columns cannot be laid out.
pub fn bytes(curves: &[Curve], in_rounds: bool, format: Format) -> Result<Vec<u8>> {
    let line = |curve, point| Line::of(curve, point, in_rounds);
    let all = curves.iter().flat_map(|curve| curve.points.iter().map(move |it| line(curve, it)));
    let all: Vec<Line> = all.collect();
    if format == Format::JsonLines {
        let mut lines = Vec::new();
        for line in all {
            serde_json::to_writer(&mut lines, &line).map_err(|error| {
                Error::failed(format!("could not describe a step of the curves: {error}"))
            })?;
            lines.push(b'\n');
        }
        return Ok(lines);
    }
    let counts = |of: fn(&Line) -> Option<u64>| -> ArrayRef {
        Arc::new(UInt64Array::from_iter(all.iter().map(of)))
    };
    let numbers = |of: fn(&Line) -> Option<f64>| -> ArrayRef {
        Arc::new(Float64Array::from_iter(all.iter().map(of)))
    };
    let singles = |of: fn(&Line) -> Option<f32>| -> ArrayRef {
        Arc::new(Float32Array::from_iter(all.iter().map(of)))
    };
    let modules = StringArray::from_iter_values(all.iter().map(|it| it.module));
    let columns = vec![
        Column::new("module", Arc::new(modules), false),
        Column::new("round", counts(|it| it.round), true),
        Column::new("step", counts(|it| Some(it.step)), false),
        Column::new("epoch", counts(|it| Some(it.epoch)), false),
        Column::new("seconds", numbers(|it| Some(it.seconds)), false),
        Column::new("loss", numbers(|it| Some(it.loss)), false),
        Column::new("accuracy", numbers(|it| it.accuracy), true),
        Column::new("held_out_loss", singles(|it| it.held_out_loss), true),
        Column::new("held_out_accuracy", singles(|it| it.held_out_accuracy), true),
        Column::new("generation", counts(|it| it.generation), true),
    ];
    parquet_table::file("the curves", columns)
}
