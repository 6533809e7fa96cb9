//! Judges frozen modules by what can be read from their pooled vectors.

pub mod alignment;
pub mod cka;
pub mod confusion;
pub mod feature_std;
pub mod knn;
pub mod linear;
pub mod pooled;
pub mod rank_me;
pub mod uniformity;
