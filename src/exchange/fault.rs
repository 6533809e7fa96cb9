//! Why a file of weights cannot be read, and what to do.

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The reason, as text that follows the name of the file.
    pub why: String,
    pub hint: &'static str,
}

/// The hint for a checkpoint that holds something other than a dict of tensors.
pub const STATE_DICT: &str =
    "write one that `import` reads: `torch.save(module.state_dict(), FILE)`, or a safetensors file";

/// The fault of a file with contradictory contents.
impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { why, hint: "it is damaged or not whole: fetch it again, or save it again" }
    }
}
