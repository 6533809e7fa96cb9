//! The input of a module: images for the first module, its predecessor's activations for the others.

use candle_core::Tensor;
use gimlet_store::{Generation, Keys, Reader};

use crate::device::{self, Device};
use crate::module::Frozen;
use crate::pipeline::{ImageView, SampleSize, Split};
use crate::view::{self, Frame, Framing, PatchShape};
use crate::{Error, Kind, Result};
use gimlet_kernel::{overwrite, with_values};

/// The column of a dataset that holds ingested images, `[h, w, channels]`.
pub const IMAGE: &str = "image";
/// The column of a dataset that holds activations, `[patches, h, w, channels]`.
pub const ACTIVATION: &str = "activation";
/// The column of a dataset that holds pooled vectors, `[grid, grid, channels]`.
pub const POOLED: &str = "pooled";

/// Which frame (crop or window) of each sample is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The fixed frames of stored activations: each row has the frame of its view.
    Frozen,
    /// Frames drawn for this epoch of training. Activations ignore it: their frames are fixed when they are
    /// stored.
    Fresh {
        /// The epoch that the frames are drawn for.
        epoch: u64,
    },
}

/// How many rows an input has, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The number of samples in the split.
    pub samples: usize,
    /// The number of frozen views per sample.
    pub views: usize,
    /// The shape of one row, `[patches, h, w, channels]`.
    pub shape: [usize; 4],
}

/// Rows to train on or to encode: every sample of a split in each of its frozen views.
///
/// A row's number is `view * samples + sample`: the views of a sample lie far apart.
pub trait Input: Send + Sync {
    /// How many rows there are, and what they are.
    fn layout(&self) -> Layout;

    /// The number of rows: samples times views.
    fn rows(&self) -> usize {
        self.layout().samples * self.layout().views
    }

    /// Ids, labels and attributes ([`crate::pipeline::SampleView::attributes`]) of all rows.
    ///
    /// # Errors
    /// When they cannot be read.
    fn keys(&self) -> Result<Keys>;

    /// Writes `rows` into `out`, `[rows, patches, h, w, channels]`.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn read(&self, rows: &[u64], look: Look, out: &mut [f32]) -> Result<()>;

    /// Tells the system that `rows` will be read soon with this look.
    ///
    /// # Errors
    /// When a row does not exist.
    fn will_need(&self, rows: &[u64], look: Look) -> Result<()>;

    /// The number of values in one row.
    fn row_len(&self) -> usize {
        self.layout().shape.iter().product()
    }

    /// Reads the rows into one tensor, `[rows * patches, h, w, channels]`. `old` is a tensor that is no longer
    /// used: if it has this shape, its memory is used again, since new memory costs more than reading into it.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn tensor(&self, rows: &[u64], look: Look, old: Option<Tensor>) -> Result<Tensor> {
        let [patches, h, w, channels] = self.layout().shape;
        let shape = [rows.len() * patches, h, w, channels];
        if let Some(old) = old.filter(|old| old.dims() == shape) {
            overwrite(&old, |values| self.read(rows, look, values))??;
            return Ok(old);
        }
        let mut values = vec![0.0; rows.len() * self.row_len()];
        self.read(rows, look, &mut values)?;
        Ok(Tensor::from_vec(values, &shape, &candle_core::Device::Cpu)?)
    }
}

/// Ingested images, cut into patches as they are read.
pub struct Images {
    reader: Reader,
    keys: Keys,
    view: ImageView,
    split: Split,
    seed: u64,
    /// The number of frozen views per sample that earlier generations have used.
    views_before: u64,
    image: SampleSize,
    shape: PatchShape,
}

impl Images {
    /// The images of a split as `view` sees them. Frames are drawn from the pipeline's `seed`.
    ///
    /// # Errors
    /// When the dataset cannot be read, or the view does not fit its images.
    pub fn new(generation: &Generation, view: &ImageView, split: Split, seed: u64) -> Result<Self> {
        let reader = generation.reader(&[IMAGE])?;
        let image = match column_shape(generation, IMAGE)?.as_slice() {
            [height, width, _] => SampleSize::of_image(*height, *width),
            other => {
                return Err(Error::failed(format!("images of shape {other:?}, not [h, w, c]")));
            }
        };
        let shape = view::patch_shape(view, image)?;
        let keys = reader.keys()?;
        let view = view.clone();
        Ok(Self { reader, keys, view, split, seed, views_before: 0, image, shape })
    }

    /// Skips the first `views_before` frozen views, which earlier generations have used.
    #[must_use]
    pub fn views_after(self, views_before: u64) -> Self {
        Self { views_before, ..self }
    }

    /// The sample and the frame of a row.
    fn frame(&self, row: u64, look: Look) -> (usize, Frame) {
        let samples = self.keys.ids.len() as u64;
        let sample = (row % samples) as usize;
        let framing = match look {
            Look::Frozen => {
                Framing::frozen(self.split, self.seed, self.views_before + row / samples)
            }
            Look::Fresh { epoch } => Framing::fresh(self.seed, epoch),
        };
        (sample, framing.frame(&self.view, self.image, self.keys.ids[sample]))
    }
}

impl Input for Images {
    fn layout(&self) -> Layout {
        let PatchShape { patch, channels, .. } = self.shape;
        Layout {
            samples: self.keys.ids.len(),
            views: self.split.views(self.view.views),
            shape: [self.shape.patches(), patch, patch, channels],
        }
    }

    fn keys(&self) -> Result<Keys> {
        let Layout { samples, views, .. } = self.layout();
        let mut attributes = [(); 4].map(|()| Vec::with_capacity(self.rows()));
        for row in 0..self.rows() as u64 {
            let (_, frame) = self.frame(row, Look::Frozen);
            let view = self.views_before + row / samples as u64;
            let values =
                [view as i64, frame.top as i64, frame.left as i64, i64::from(frame.flipped)];
            attributes.iter_mut().zip(values).for_each(|(all, value)| all.push(value));
        }
        Ok(Keys {
            ids: self.keys.ids.repeat(views),
            labels: self.keys.labels.repeat(views),
            sources: None,
            attributes: attributes.into(),
        })
    }

    fn will_need(&self, rows: &[u64], _look: Look) -> Result<()> {
        let samples = self.keys.ids.len() as u64;
        let samples: Vec<u64> = rows.iter().map(|row| row % samples).collect();
        Ok(self.reader.will_need(IMAGE, &samples)?)
    }

    fn read(&self, rows: &[u64], look: Look, out: &mut [f32]) -> Result<()> {
        let len = self.image.height * self.image.width * self.view.channels();
        let mut pixels = vec![0; rows.len() * len];
        let framed: Vec<(usize, Frame)> = rows.iter().map(|row| self.frame(*row, look)).collect();
        let samples: Vec<u64> = framed.iter().map(|(sample, _)| *sample as u64).collect();
        self.reader.read_u8(IMAGE, &samples, &mut pixels)?;
        let rows = pixels.chunks_exact(len).zip(out.chunks_exact_mut(self.row_len()));
        for ((pixels, out), (_, frame)) in rows.zip(framed) {
            view::patches(&self.view, pixels, self.image, frame, out);
        }
        Ok(())
    }
}

/// Activations that the predecessor wrote.
pub struct Activations {
    reader: Reader,
    views: usize,
    shape: [usize; 4],
}

impl Activations {
    /// The activations of a dataset that holds `views` views of every sample.
    ///
    /// # Errors
    /// When the dataset cannot be read, or its number of rows is not a multiple of `views`.
    pub fn new(generation: &Generation, views: usize) -> Result<Self> {
        let shape = column_shape(generation, ACTIVATION)?;
        let shape = <[usize; 4]>::try_from(shape).map_err(|other| {
            Error::failed(format!("activations of shape {other:?}, not [patches, h, w, channels]"))
        })?;
        let rows = generation.rows();
        if !rows.is_multiple_of(views as u64) {
            let at = generation.dir().to_string();
            let message = format!("`{at}` has {rows} rows, which are not {views} views of samples");
            return Err(Error::new(Kind::Damaged, message));
        }
        Ok(Self { reader: generation.reader(&[ACTIVATION])?, views, shape })
    }
}

impl Input for Activations {
    fn layout(&self) -> Layout {
        let Self { views, shape, .. } = *self;
        Layout { samples: self.reader.rows() as usize / views, views, shape }
    }

    fn keys(&self) -> Result<Keys> {
        Ok(self.reader.keys()?)
    }

    fn will_need(&self, rows: &[u64], _look: Look) -> Result<()> {
        Ok(self.reader.will_need(ACTIVATION, rows)?)
    }

    fn read(&self, rows: &[u64], _look: Look, out: &mut [f32]) -> Result<()> {
        Ok(self.reader.read_f32(ACTIVATION, rows, out)?)
    }
}

/// The output of frozen predecessors, computed on demand from another input: bit for bit the values of
/// [`Activations`] stored in f32 (where relu(z) is stored, after that ReLU).
pub struct Recomputed {
    input: Box<dyn Input>,
    predecessors: Vec<Box<dyn Frozen>>,
    device: Device,
    shape: [usize; 4],
}

impl Recomputed {
    /// Passes `input`, in its frozen frames, through `predecessors` in order, on `device`.
    ///
    /// # Errors
    /// When a predecessor does not fit its input.
    pub fn new(
        input: Box<dyn Input>,
        predecessors: Vec<Box<dyn Frozen>>,
        device: &Device,
    ) -> Result<Self> {
        let (device, shape) = (device.clone(), input.layout().shape);
        let mut recomputed = Self { shape, input, predecessors, device };
        let [patches, h, w, channels] = recomputed.shape;
        let home = &candle_core::Device::Cpu;
        let probe = Tensor::zeros((patches, h, w, channels), candle_core::DType::F32, home)?;
        let (_, h, w, channels) = recomputed.through(probe)?.dims4()?;
        recomputed.shape = [patches, h, w, channels];
        Ok(recomputed)
    }

    fn through(&self, x: Tensor) -> Result<Tensor> {
        let mut x = x;
        for module in &self.predecessors {
            x = module.forward(&self.device.take(&x)?)?;
        }
        device::home(&x)
    }
}

impl Input for Recomputed {
    fn layout(&self) -> Layout {
        Layout { shape: self.shape, ..self.input.layout() }
    }

    fn keys(&self) -> Result<Keys> {
        self.input.keys()
    }

    fn will_need(&self, rows: &[u64], _look: Look) -> Result<()> {
        self.input.will_need(rows, Look::Frozen)
    }

    fn read(&self, rows: &[u64], _look: Look, out: &mut [f32]) -> Result<()> {
        let maps = self.tensor(rows, Look::Frozen, None)?;
        Ok(with_values(&maps, "recompute", |values| {
            out.copy_from_slice(values);
            Ok(())
        })?)
    }

    fn tensor(&self, rows: &[u64], _look: Look, _old: Option<Tensor>) -> Result<Tensor> {
        self.through(self.input.tensor(rows, Look::Frozen, None)?)
    }
}

/// The shape of a dataset's column.
fn column_shape(generation: &Generation, name: &str) -> Result<Vec<usize>> {
    match generation.manifest().schema.column(name) {
        Some(column) => Ok(column.shape.clone()),
        None => {
            let at = generation.dir().to_string();
            Err(Error::new(Kind::Damaged, format!("`{at}` has no column `{name}`")))
        }
    }
}
