//! Modules that are written in PyTorch, run by the binary: with a real torch where there is one, and always with a
//! server that answers as `python -m gimlet.stage` does (`pretended.py`).

#[path = "../tiny/mod.rs"]
mod tiny;

mod pythons;

mod errors;
mod keys;
mod learning;
mod same_as_ours;
mod torch_alone;
mod version;
