//! The commands: what each says, writes and refuses. In one binary: each of its own takes as long to link as most take to run.

mod cli;
mod compare;
mod cost;
mod curves;
mod docs;
mod events;
mod exchange;
mod exchange_sound;
mod first_hour;
mod gc;
mod import;
mod init;
mod inspect;
mod map;
mod nearest;
mod neurons;
mod plan;
mod reference;
mod terminal;
mod verify;

#[path = "../notes/mod.rs"]
mod notes;
#[path = "../parquet_file/mod.rs"]
mod parquet_file;
#[path = "../sound_files/mod.rs"]
mod sound_files;
#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../torch_file/mod.rs"]
mod torch_file;
