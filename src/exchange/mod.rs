//! Exports and imports weights with the names and layouts of the published PyTorch code.
//!
//! Export writes one safetensors file for a stack. Import reads such files and PyTorch checkpoints: one for all
//! modules, or one per module. Imported files are not trusted: it is an error unless they hold every tensor of
//! the modules, in the right shape, and nothing else.

mod checkpoint;
mod fault;
mod layout;
mod names;
mod old_checkpoint;
mod other_file;
mod pickle;
pub mod published;
mod safetensors_file;
pub mod stack;
mod stored;
mod tensor_file;
