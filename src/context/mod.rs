//! Networks whose output predicts, in place of each vector itself. They read the surroundings of a vector, and
//! nothing that is to be predicted.

pub mod gru;
pub mod pixelcnn;
