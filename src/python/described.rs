//! What a stage makes of its input, found by a dry run and remembered.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::learnt;
use super::memory::Memory;
use super::message::Message;
use super::named;
use super::process::StageProcess;
use crate::module::Cost;
use crate::pipeline::{Map, PythonStage};
use crate::{Error, Result};

/// What a stage makes of an input of one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// What it writes of a sample, `[patches, height, width, channels]`.
    pub output: [usize; 4],
    /// Its weights and buffers.
    pub weights: Vec<Weight>,
    /// The number of values that it trains.
    pub parameters: u64,
    /// Additions and multiplications of a forward pass of a sample, in the products that torch counts.
    pub operations: u64,
    /// Whether its loss reads the negatives that the pipeline's loss draws.
    pub draws_negatives: bool,
}

/// The name and the shape of a weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// Its name in the stage.
    pub name: String,
    /// The length of each axis.
    pub shape: Vec<usize>,
}

impl Described {
    /// What it writes of a patch.
    pub fn map(&self) -> Map {
        let [_, height, width, channels] = self.output;
        Map { height, width, channels }
    }

    /// What is known of its cost. The memory of its process is its own business.
    pub fn cost(&self) -> Cost {
        let [patches, height, width, channels] = self.output;
        let values = self.weights.iter().map(|it| it.shape.iter().product::<usize>() as u64);
        Cost {
            parameters: values.sum(),
            operations: self.operations / patches.max(1) as u64,
            kept: 0,
            tile: 1,
            largest: (height * width * channels) as u64,
        }
    }
}

/// What `stage` makes of `input` for each patch of a `grid`. Starts a process only where that is not remembered.
///
/// # Errors
/// When the stage cannot be loaded, or refuses its arguments or its input.
pub fn described(stage: &PythonStage, input: Map, grid: [usize; 2]) -> Result<Described> {
    let shape = [grid[0] * grid[1], input.height, input.width, input.channels];
    let asked = json!([stage.arguments, shape, grid]).to_string();
    let remembered = Memory::of(stage);
    if let Some(found) = remembered.as_ref().and_then(|it| it.described.get(&asked)) {
        return Ok(found.clone());
    }
    let (process, hello, files) = StageProcess::start(stage, None)?;
    let learnt = learnt(stage, &hello, &files)?;
    let request = Message::to("describe")
        .saying("arguments", Value::Object(stage.arguments.clone()))
        .saying("shape", json!(shape))
        .saying("grid", json!(grid));
    let answer = process.ask(&request)?;
    let found: Described = serde_json::from_value(Value::Object(answer.said)).map_err(|error| {
        Error::failed(format!("`{}` was described wrongly: {error}", named(stage)))
    })?;
    let same = |it: &Memory| it.watched == learnt.watched;
    let mut memory = remembered.filter(same).unwrap_or(learnt);
    memory.described.insert(asked, found.clone());
    memory.keep(stage);
    Ok(found)
}
