//! Servers of objects that tests start and stop, on loopback: a small one that can be told to behave
//! badly, and real ones, where they are installed.

#![allow(dead_code, unused_imports)]

mod http;
mod installed;
mod objects;
mod small_s3;

pub use installed::{Installed, Kind};
pub use small_s3::{Conditional, Fault, Knobs, Logged, SmallS3, When};
