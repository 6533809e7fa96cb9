//! Modules that are written in PyTorch. Each lies in a process of its own, which answers requests
//! (`docs/how/stage-protocol.md`); everything else about a run is done here, as for modules with layers.

mod described;
mod facts;
mod memory;
mod message;
mod process;
mod pupil;

pub use described::{Described, Weight, described};
pub use facts::key_of;
pub use process::{Opening, StageProcess};
pub use pupil::Pupil;

use crate::pipeline::PythonStage;

/// The version of the protocol. Both ends must have the same.
const PROTOCOL: u64 = 1;

/// The version of this program, which the Python package must have, too.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A stage as messages name it.
fn named(stage: &PythonStage) -> String {
    format!("{}:{}", stage.place, stage.class)
}
