//! The names and layouts of the published code, for the parameters of one module.
//!
//! | ours | published | |
//! |---|---|---|
//! | `encoder.0` | `model.Conv1` | a convolution in front |
//! | `encoder.{i}.conv2` | `model.layer {s}.{b}.conv2` | block b of stage s |
//! | `encoder.{i}.shortcut` | `model.layer {s}.{b}.shortcut.0` | |
//! | `loss.predictor.{k}` | `loss.W_k.{k}.weight` | for every loss that predicts on a grid |
//! | `loss.predictor.{k}` | `loss.predictor.weight` | for `infonce1d`: part k of the rows |
//! | `encoder.{i}` | `model.conv {i}` | any other convolution of patches: the published code has none |
//! | `loss.classifier` | `loss.linear` | the published code has none |
//! | `loss.context.{i}.vertical` | `autoregressor.stack.layers.{i}.vertical_conv` | its last row is masked there, and missing here |
//! | `loss.context.output` | `autoregressor.stack_out` | |
//! | `encoder.{i}` | `encoder.model.layer {n}.0` | convolution n along time |
//! | `encoder.{i}.input.weight`, `loss.context.input.weight` | `autoregressor.gru.weight_ih_l0` | for a GRU, a layer or the loss's own; `hidden` is `hh`; without BPTT there is no `_l0` |
//!
//! A stage begins at a block that strides, or is of another kind or width than the block before it;
//! stages are counted within the module, blocks within the stage.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use crate::Result;
use crate::context::gru;
use crate::layer::{Layer, Places, turned};
use crate::loss::{Recipe, Sizes, infonce1d};
use crate::parameters::{Init, ParameterShape};
use crate::train::trainer;

/// The published code's name for the modules of a stack for images.
pub const OF_IMAGES: &str = "encoder";

/// The published code's name for the modules of a stack for sound.
pub const OF_SOUND: &str = "fullmodel";

/// A parameter, here and in the published code.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its name and shape here: a convolution `[h, w, in, out]`, a projection `[in, out]`.
    pub ours: ParameterShape,
    /// The published name within the module.
    pub name: String,
    /// The published shape: a convolution `[out, in, h, w]` or `[out, in, w]`, a predictor `[out, in, 1, 1]`, a
    /// linear layer `[out, in]`.
    pub dims: Vec<usize>,
    /// The rows of the published tensor that are this parameter, if several of our parameters are one published
    /// tensor. These follow each other, and share a name.
    rows: Option<Range<usize>>,
    /// Rows at the end of a kernel that are masked there, and missing here.
    masked: usize,
    /// Whether both forms are the same: so for modules in PyTorch.
    same: bool,
}

const PREDICTOR: &str = "loss.predictor.";

/// The parameters of a module whose input has `channels` channels, encoder first.
pub fn parameters(
    layers: &[Arc<dyn Layer>],
    input: usize,
    loss: &dyn Recipe,
    sizes: Sizes,
) -> Vec<Published> {
    let places = places(layers);
    let ours = trainer::shapes(layers, loss, input, sizes);
    let predictors = ours.iter().filter(|it| it.name.starts_with(PREDICTOR)).count();
    let publish = |ours: ParameterShape| {
        let (name, dims) = match ours.name.strip_prefix("encoder.").and_then(split_index) {
            Some((index, rest)) => {
                let within = ParameterShape { name: rest.to_string(), ..ours.clone() };
                layers[index].published(&places[index], &within)
            }
            None => loss_parameter(&ours, loss),
        };
        let predictor = ours.name.strip_prefix(PREDICTOR).and_then(|k| k.parse().ok());
        if let (Some(_), Some(k)) = (along_time(loss), predictor) {
            return one_of_several(ours, k, predictors);
        }
        let masked = match (dims.as_slice(), ours.dims.as_slice()) {
            ([_, _, theirs, _], [rows, ..]) => theirs.saturating_sub(*rows),
            _ => 0,
        };
        Published { ours, name, dims, masked, rows: None, same: false }
    };
    ours.into_iter().map(publish).collect()
}

impl Published {
    /// A parameter that is published as it is; here it lies under `prefix`.
    pub fn unchanged(prefix: &str, name: &str, dims: &[usize]) -> Self {
        let init = Init::Constant(0.0);
        let ours = ParameterShape { name: format!("{prefix}.{name}"), dims: dims.to_vec(), init };
        Self { ours, name: name.to_owned(), dims: dims.to_vec(), rows: None, masked: 0, same: true }
    }

    /// Converts our tensor to the published form; if several of ours are one there, only this one's rows.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn publish(&self, ours: &Tensor) -> Result<Tensor> {
        if self.same {
            return Ok(ours.clone());
        }
        let turned = match ours.rank() {
            4 => ours.permute((3, 2, 0, 1))?.pad_with_zeros(2, 0, self.masked)?,
            2 => ours.t()?,
            _ => ours.clone(),
        };
        let mut dims = self.dims.clone();
        if let (Some(rows), Some(first)) = (&self.rows, dims.first_mut()) {
            *first = rows.len();
        }
        Ok(turned.contiguous()?.reshape(dims)?)
    }

    /// Converts a published tensor to our form.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn take(&self, theirs: &Tensor) -> Result<Tensor> {
        if self.same {
            return Ok(theirs.clone());
        }
        let theirs = match &self.rows {
            Some(rows) => &theirs.narrow(0, rows.start, rows.len())?,
            None => theirs,
        };
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

/// The settings of `infonce1d`, the one loss whose parameters the published code lays out in its own way.
fn along_time(loss: &dyn Recipe) -> Option<&infonce1d::Settings> {
    let loss: &dyn Any = loss;
    loss.downcast_ref()
}

/// The name of each layer in the published module.
fn places(layers: &[Arc<dyn Layer>]) -> Vec<String> {
    let mut places = Places::default();
    let place = |layer: &Arc<dyn Layer>| {
        let place = layer.place(&mut places);
        places.advance();
        place
    };
    layers.iter().map(place).collect()
}

/// Splits off an index: `3.conv1.weight` -> 3 and `conv1.weight`.
fn split_index(name: &str) -> Option<(usize, &str)> {
    let (index, rest) = name.split_once('.')?;
    Some((index.parse().ok()?, rest))
}

/// Predictor `k` of `several` predictors that are one published linear layer.
fn one_of_several(ours: ParameterShape, k: usize, several: usize) -> Published {
    let (from, to) = (ours.dims[0], ours.dims[1]);
    Published {
        ours,
        name: "loss.predictor.weight".to_string(),
        dims: vec![several * to, from],
        same: false,
        masked: 0,
        rows: Some(k * to..(k + 1) * to),
    }
}

/// The published name and shape of a parameter of the loss.
fn loss_parameter(ours: &ParameterShape, loss: &dyn Recipe) -> (String, Vec<usize>) {
    if let Some(context) = ours.name.strip_prefix("loss.context.") {
        return match along_time(loss).and_then(|it| it.context) {
            Some(infonce1d::Context::Gru(settings)) => {
                (gru::published(context, settings.bptt), turned(&ours.dims))
            }
            None => (pixelcnn_name(context), pixelcnn_dims(&ours.dims, context)),
        };
    }
    let predictor = ours.name.strip_prefix(PREDICTOR);
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
fn pixelcnn_name(ours: &str) -> String {
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

/// The published shape of a PixelCNN's parameter.
fn pixelcnn_dims(ours: &[usize], name: &str) -> Vec<usize> {
    let mut dims = turned(ours);
    if name.ends_with(".vertical.weight") {
        dims[2] += 1;
    }
    dims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Basic, Bottleneck, Conv, Conv1d, Relu};
    use crate::loss::{Context, infonce, infonce1d, supervised};

    #[test]
    fn a_stage_begins_where_kind_or_width_changes_or_a_block_strides() {
        let basic = |channels, stride| Basic { channels, stride }.shared();
        let conv = Conv { channels: 4, kernel: 3, stride: 1, padding: 1 }.shared();
        let layers = [
            conv.clone(),
            basic(4, 1),
            basic(4, 1),
            basic(8, 2),
            basic(8, 1),
            basic(8, 2),
            Relu.shared(),
            conv,
            Bottleneck { planes: 8, stride: 1 }.shared(),
            Bottleneck { planes: 8, stride: 1 }.shared(),
        ];
        let expected = [
            "model.Conv1",
            "model.layer 0.0",
            "model.layer 0.1",
            "model.layer 1.0",
            "model.layer 1.1",
            "model.layer 2.0",
            "model.relu 6",
            "model.conv 7",
            "model.layer 3.0",
            "model.layer 3.1",
        ];
        assert_eq!(places(&layers), expected);
    }

    #[test]
    fn predictors_along_time_are_one_linear_layer_and_a_gru_has_its_published_names() {
        let gru = infonce1d::GruSettings { channels: 5, bptt: true };
        let context = Some(infonce1d::Context::Gru(gru));
        let loss = infonce1d::Settings { prediction_steps: 3, context, ..Default::default() };
        let found = parameters(&[], 8, &loss, Sizes::grid(8, [9, 1]));
        let found: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.dims.as_slice())).collect();
        let expected: [(&str, &[usize]); 7] = [
            ("loss.predictor.weight", &[24, 5]),
            ("loss.predictor.weight", &[24, 5]),
            ("loss.predictor.weight", &[24, 5]),
            ("autoregressor.gru.weight_ih_l0", &[15, 8]),
            ("autoregressor.gru.bias_ih_l0", &[15]),
            ("autoregressor.gru.weight_hh_l0", &[15, 5]),
            ("autoregressor.gru.bias_hh_l0", &[15]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_layout_comes_back_as_it_went() {
        let layers = [
            Conv { channels: 4, kernel: 3, stride: 1, padding: 1 }.shared(),
            Conv1d { channels: 5, kernel: 3, stride: 1, padding: 1 }.shared(),
            Bottleneck { planes: 2, stride: 2 }.shared(),
        ];
        let sizes = Sizes { classes: 7, ..Sizes::grid(8, [3, 3]) };
        let context = Some(Context::PixelCnn);
        let cpc = infonce::Settings { context, ..Default::default() };
        let gru = infonce1d::GruSettings { channels: 5, bptt: true };
        let context = Some(infonce1d::Context::Gru(gru));
        let along = infonce1d::Settings { context, ..Default::default() };
        let losses: [&dyn Recipe; 4] =
            [&infonce::Settings::default(), &supervised::Settings {}, &cpc, &along];
        for loss in losses {
            for published in parameters(&layers, 3, loss, sizes) {
                let dims = published.ours.dims.as_slice();
                let len = dims.iter().product::<usize>() as f32;
                let home = &candle_core::Device::Cpu;
                let ours = Tensor::arange(0.0, len, home).unwrap().reshape(dims).unwrap();
                let theirs = published.publish(&ours).unwrap();
                let theirs = match &published.rows {
                    None => theirs,
                    Some(rows) => {
                        let (before, after) = (rows.start, published.dims[0] - rows.end);
                        theirs.pad_with_zeros(0, before, after).unwrap()
                    }
                };
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
