//! Weights that come from elsewhere or go there, under the names and in the layouts of the published
//! PyTorch code.
//!
//! Out goes one safetensors file for a stack. In come such files, and checkpoints of PyTorch: of all
//! modules, or one a module. What comes in is a file of others: it is an error unless every tensor of
//! the modules is in it, of the right shape, and nothing else is.

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
