//! Networks whose output predicts, in place of each vector itself: they read what surrounds a vector, and
//! nothing of what is to be predicted.

pub mod gru;
pub mod pixelcnn;
