//! Why a file of weights cannot be read, and what to do.

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// As it follows the name of the file.
    pub why: String,
    pub hint: &'static str,
}

/// What to do where a checkpoint holds something else than a dict of tensors.
pub const STATE_DICT: &str =
    "write one that `import` reads: `torch.save(module.state_dict(), FILE)`, or a safetensors file";

/// A file that is not what it says it is.
impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { why, hint: "it is damaged or not whole: fetch it again, or save it again" }
    }
}
