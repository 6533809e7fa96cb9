//! The names and layouts of the published code, for the parameters of one module.
//!
//! | ours | published | |
//! |---|---|---|
//! | `encoder.0` | `model.Conv1` | a convolution in front |
//! | `encoder.{i}.conv2` | `model.layer {s}.{b}.conv2` | block b of stage s |
//! | `encoder.{i}.shortcut` | `model.layer {s}.{b}.shortcut.0` | |
//! | `loss.predictor.{k}` | `loss.W_k.{k}.weight` | of every loss that predicts |
//! | `encoder.{i}` | `model.conv {i}` | any other convolution: the published code has none |
//! | `loss.classifier` | `loss.linear` | likewise |
//! | `loss.context.{i}.vertical` | `autoregressor.stack.layers.{i}.vertical_conv` | its last row, which is masked there, is none of ours |
//! | `loss.context.output` | `autoregressor.stack_out` | |
//!
//! A stage begins at a block that strides, or is of another kind or width than the block before it;
//! stages are counted within the module, blocks within the stage.

use candle_core::Tensor;

use crate::Result;
use crate::loss::Sizes;
use crate::parameters::ParameterShape;
use crate::pipeline::{Layer, Loss};
use crate::train::trainer;

/// A parameter, and what the published code makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its name and shape here: a convolution `[h, w, in, out]`, a projection `[in, out]`.
    pub ours: ParameterShape,
    /// Its name there, within its module.
    pub name: String,
    /// Its shape there: a convolution `[out, in, h, w]` or `[out, in, w]`, a predictor
    /// `[out, in, 1, 1]`, a linear layer `[out, in]`.
    pub dims: Vec<usize>,
    /// Rows of a kernel's end that are masked there, and missing here.
    masked: usize,
}

/// The parameters of a module whose input has so many channels, encoder first.
pub fn parameters(layers: &[Layer], input: usize, loss: &Loss, sizes: Sizes) -> Vec<Published> {
    let places = places(layers);
    let publish = |ours: ParameterShape| {
        let (name, dims) = match ours.name.strip_prefix("encoder.").and_then(split_index) {
            Some((index, rest)) => {
                let rest = rest.replacen("shortcut.", "shortcut.0.", 1);
                let flat = matches!(layers.get(index), Some(Layer::Conv1d { .. }));
                let place = places.get(index).map_or("", String::as_str);
                (format!("model.{place}.{rest}"), convolution_dims(&ours.dims, flat))
            }
            None => loss_parameter(&ours),
        };
        let masked = match (dims.as_slice(), ours.dims.as_slice()) {
            ([_, _, theirs, _], [rows, ..]) => theirs.saturating_sub(*rows),
            _ => 0,
        };
        Published { ours, name, dims, masked }
    };
    trainer::shapes(layers, loss, input, sizes).into_iter().map(publish).collect()
}

impl Published {
    /// A tensor of ours as the published code has it.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn publish(&self, ours: &Tensor) -> Result<Tensor> {
        let turned = match ours.rank() {
            4 => ours.permute((3, 2, 0, 1))?.pad_with_zeros(2, 0, self.masked)?,
            2 => ours.t()?,
            _ => ours.clone(),
        };
        Ok(turned.contiguous()?.reshape(self.dims.as_slice())?)
    }

    /// A tensor of the published code as ours.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn take(&self, theirs: &Tensor) -> Result<Tensor> {
        let turned = match *self.ours.dims {
            [down, across, from, to] => {
                let whole = theirs.reshape((to, from, down + self.masked, across))?;
                whole.narrow(2, 0, down)?.permute((2, 3, 1, 0))?
            }
            [from, to] => theirs.reshape((to, from))?.t()?,
            _ => theirs.clone(),
        };
        Ok(turned.contiguous()?.reshape(self.ours.dims.as_slice())?)
    }
}

/// Where each layer is in the published code's module; nowhere for a ReLU, which has no parameters.
fn places(layers: &[Layer]) -> Vec<String> {
    let mut before = None;
    let (mut stage, mut block) = (0, 0);
    let mut places = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        places.push(match *layer {
            Layer::Relu | Layer::Gru { .. } => String::new(),
            Layer::Conv { .. } if index == 0 => "Conv1".to_string(),
            Layer::Conv { .. } | Layer::Conv1d { .. } => format!("conv {index}"),
            Layer::Basic { channels: width, stride }
            | Layer::Bottleneck { planes: width, stride } => {
                let like = (matches!(layer, Layer::Basic { .. }), width);
                match before {
                    None => {}
                    Some(before) if before == like && stride == 1 => block += 1,
                    Some(_) => (stage, block) = (stage + 1, 0),
                }
                before = Some(like);
                format!("layer {stage}.{block}")
            }
        });
    }
    places
}

/// `3.conv1.weight` -> 3 and `conv1.weight`.
fn split_index(name: &str) -> Option<(usize, &str)> {
    let (index, rest) = name.split_once('.')?;
    Some((index.parse().ok()?, rest))
}

/// The shape of a convolution's weight or bias; `flat` is one along the width alone.
fn convolution_dims(ours: &[usize], flat: bool) -> Vec<usize> {
    match *ours {
        [_, across, from, to] if flat => vec![to, from, across],
        [down, across, from, to] => vec![to, from, down, across],
        _ => ours.to_vec(),
    }
}

/// Name and shape of a parameter of the loss.
fn loss_parameter(ours: &ParameterShape) -> (String, Vec<usize>) {
    if let Some(context) = ours.name.strip_prefix("loss.context.") {
        return (context_name(context), context_dims(&ours.dims, context));
    }
    let predictor = ours.name.strip_prefix("loss.predictor.");
    let dims = match *ours.dims {
        [from, to] if predictor.is_some() => vec![to, from, 1, 1],
        [from, to] => vec![to, from],
        _ => ours.dims.clone(),
    };
    match predictor {
        Some(step) => (format!("loss.W_k.{step}.weight"), dims),
        None => (ours.name.replacen("loss.classifier.", "loss.linear.", 1), dims),
    }
}

/// The published name of a PixelCNN's parameter: `0.across.bias` or `output.weight`.
fn context_name(ours: &str) -> String {
    let Some((layer, part)) = split_index(ours) else {
        return format!("autoregressor.{}", ours.replacen("output.", "stack_out.", 1));
    };
    let (part, kind) = part.split_once('.').unwrap_or((part, ""));
    let theirs = match part {
        "vertical" => "vertical_conv",
        "horizontal" => "horizontal_conv",
        "across" => "v_to_h_conv",
        "residual" => "residual_vertical",
        "output" => "horizontal_output",
        other => other,
    };
    format!("autoregressor.stack.layers.{layer}.{theirs}.{kind}")
}

/// Its shape there.
fn context_dims(ours: &[usize], name: &str) -> Vec<usize> {
    let mut dims = convolution_dims(ours, false);
    if name.ends_with(".vertical.weight") {
        dims[2] += 1;
    }
    dims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::{Context, infonce};

    #[test]
    fn a_stage_begins_where_kind_or_width_changes_or_a_block_strides() {
        let basic = |channels, stride| Layer::Basic { channels, stride };
        let conv = Layer::Conv { channels: 4, kernel: 3, stride: 1, padding: 1 };
        let layers = [
            conv,
            basic(4, 1),
            basic(4, 1),
            basic(8, 2),
            basic(8, 1),
            basic(8, 2),
            Layer::Relu,
            conv,
            Layer::Bottleneck { planes: 8, stride: 1 },
            Layer::Bottleneck { planes: 8, stride: 1 },
        ];
        let expected = [
            "Conv1",
            "layer 0.0",
            "layer 0.1",
            "layer 1.0",
            "layer 1.1",
            "layer 2.0",
            "",
            "conv 7",
            "layer 3.0",
            "layer 3.1",
        ];
        assert_eq!(places(&layers), expected);
    }

    #[test]
    fn every_layout_comes_back_as_it_went() {
        let layers = [
            Layer::Conv { channels: 4, kernel: 3, stride: 1, padding: 1 },
            Layer::Conv1d { channels: 5, kernel: 3, stride: 1, padding: 1 },
            Layer::Bottleneck { planes: 2, stride: 2 },
        ];
        let sizes = Sizes { classes: 7, ..Sizes::grid(8, [3, 3]) };
        let context = Some(Context::PixelCnn);
        let cpc = Loss::InfoNce(infonce::Settings { context, ..Default::default() });
        for loss in [Loss::default(), Loss::Supervised(Default::default()), cpc] {
            for published in parameters(&layers, 3, &loss, sizes) {
                let dims = published.ours.dims.as_slice();
                let len = dims.iter().product::<usize>() as f32;
                let home = &candle_core::Device::Cpu;
                let ours = Tensor::arange(0.0, len, home).unwrap().reshape(dims).unwrap();
                let theirs = published.publish(&ours).unwrap();
                assert_eq!(theirs.dims(), published.dims, "{}", published.name);
                let again = published.take(&theirs).unwrap();
                let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert_eq!(values(&again), values(&ours), "{}", published.name);
                if dims.len() > 1 && dims.iter().filter(|dim| **dim > 1).count() > 1 {
                    assert_ne!(values(&theirs), values(&ours), "{} is turned", published.name);
                }
            }
        }
    }
}
