//! Presets: the modules of the paper, by name.

use std::sync::Arc;

use super::bounds::SIZE;
use crate::layer::{Basic, Bottleneck, Conv, EXPANSION, Layer};

/// Names of the presets: the three modules of the ResNet-50 form (bottleneck blocks) and of the
/// ResNet-34 form (basic blocks) of Greedy InfoMax (Löwe et al. 2019).
pub const NAMES: [&str; 6] =
    ["resnet50-0", "resnet50-1", "resnet50-2", "resnet34-0", "resnet34-1", "resnet34-2"];

/// The width of the published networks.
pub const WIDTH: usize = 64;

/// The largest width with which the last module stays within [`SIZE`].
pub const MAX_WIDTH: usize = *SIZE.end() / (EXPANSION << 2);

/// The number of blocks of each module.
const BLOCKS: [usize; 3] = [3, 4, 6];

/// A module of the paper at some width.
pub struct Preset {
    /// The channels it is made for; `None` for the first module, which sees the image.
    pub in_channels: Option<usize>,
    pub layers: Vec<Arc<dyn Layer>>,
}

impl Preset {
    /// The preset called `name`, with `width` in place of the 64 channels that its network starts with.
    pub fn find(name: &str, width: usize) -> Option<Self> {
        let at = NAMES.iter().position(|known| *known == name)?;
        let (bottleneck, index) = (at < BLOCKS.len(), at % BLOCKS.len());
        let block = |stride| {
            let channels = width << index;
            if bottleneck {
                Bottleneck { planes: channels, stride }.shared()
            } else {
                Basic { channels, stride }.shared()
            }
        };
        let mut layers = Vec::new();
        if index == 0 {
            layers.push(Conv { channels: width, kernel: 5, stride: 1, padding: 2 }.shared());
        }
        layers.push(block(if index == 0 { 1 } else { 2 }));
        layers.extend((1..BLOCKS[index]).map(|_| block(1)));
        let expansion = if bottleneck { EXPANSION } else { 1 };
        let in_channels = index.checked_sub(1).map(|before| (width << before) * expansion);
        Some(Self { in_channels, layers })
    }
}
