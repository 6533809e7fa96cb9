//! What a module reads: images for the first, its predecessor's activations for the others.

use candle_core::{Device, Tensor};
use gimlet_store::Reader;

use crate::kernel::with_values;
use crate::module::Module;
use crate::pipeline::View;
use crate::view::{self, Framing, PatchShape};
use crate::{Error, Kind, Result};

/// The column of a dataset that holds ingested images, `[h, w, channels]`.
pub const IMAGE: &str = "image";
/// The column of a dataset that holds activations, `[patches, h, w, channels]`.
pub const ACTIVATION: &str = "activation";
/// The column of a dataset that holds pooled vectors, `[grid, grid, channels]`.
pub const POOLED: &str = "pooled";

/// Rows to train on or to encode.
pub trait Input: Send + Sync {
    /// Rows in the split.
    fn rows(&self) -> usize;

    /// The shape of one row, `[patches, h, w, channels]`.
    fn shape(&self) -> [usize; 4];

    /// Writes the rows at `positions` into `out`, `[positions, patches, h, w, channels]`. Input that
    /// is stored as activations has its framing behind it and ignores `framing`.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn read(&self, positions: &[u64], framing: Framing, out: &mut [f32]) -> Result<()>;

    /// Values in one row.
    fn row_len(&self) -> usize {
        self.shape().iter().product()
    }

    /// The rows at `positions` as one tensor, `[positions * patches, h, w, channels]`.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn tensor(&self, positions: &[u64], framing: Framing) -> Result<Tensor> {
        let [patches, h, w, channels] = self.shape();
        let mut values = vec![0.0; positions.len() * self.row_len()];
        self.read(positions, framing, &mut values)?;
        let shape = (positions.len() * patches, h, w, channels);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

/// Ingested images, cut into patches on the way.
pub struct Images {
    reader: Reader,
    ids: Vec<i64>,
    view: View,
    image: (usize, usize),
    shape: PatchShape,
}

impl Images {
    /// The images of a dataset as `view` sees them.
    ///
    /// # Errors
    /// When the dataset cannot be read, or the view does not fit its images.
    pub fn new(generation: &gimlet_store::Generation, view: &View) -> Result<Self> {
        let reader = generation.reader(&[IMAGE])?;
        let image = match column_shape(generation, IMAGE)?.as_slice() {
            [height, width, _] => (*height, *width),
            other => {
                return Err(Error::failed(format!("images of shape {other:?}, not [h, w, c]")));
            }
        };
        let shape = view::patch_shape(view, image)?;
        let ids = reader.keys()?.ids;
        Ok(Self { reader, ids, view: view.clone(), image, shape })
    }
}

impl Input for Images {
    fn rows(&self) -> usize {
        self.ids.len()
    }

    fn shape(&self) -> [usize; 4] {
        let PatchShape { patch, channels, .. } = self.shape;
        [self.shape.patches(), patch, patch, channels]
    }

    fn read(&self, positions: &[u64], framing: Framing, out: &mut [f32]) -> Result<()> {
        let len = self.image.0 * self.image.1 * self.view.channels();
        let mut pixels = vec![0; positions.len() * len];
        self.reader.read_u8(IMAGE, positions, &mut pixels)?;
        let rows = pixels.chunks_exact(len).zip(out.chunks_exact_mut(self.row_len()));
        for ((pixels, out), position) in rows.zip(positions) {
            let frame = framing.frame(&self.view, self.image, self.ids[*position as usize]);
            view::patches(&self.view, pixels, self.image, frame, out);
        }
        Ok(())
    }
}

/// Activations that the predecessor wrote.
pub struct Activations {
    reader: Reader,
    shape: [usize; 4],
}

impl Activations {
    /// The activations of a dataset.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub fn new(generation: &gimlet_store::Generation) -> Result<Self> {
        let shape = column_shape(generation, ACTIVATION)?;
        let shape = <[usize; 4]>::try_from(shape).map_err(|other| {
            Error::failed(format!("activations of shape {other:?}, not [patches, h, w, channels]"))
        })?;
        Ok(Self { reader: generation.reader(&[ACTIVATION])?, shape })
    }
}

impl Input for Activations {
    fn rows(&self) -> usize {
        self.reader.rows() as usize
    }

    fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn read(&self, positions: &[u64], _framing: Framing, out: &mut [f32]) -> Result<()> {
        Ok(self.reader.read_f32(ACTIVATION, positions, out)?)
    }
}

/// What frozen predecessors make of another input, computed when it is asked for: the same values,
/// bit for bit, as [`Activations`] stored in f32.
pub struct Recomputed<I> {
    input: I,
    predecessors: Vec<Module>,
    framing: Framing,
    shape: [usize; 4],
}

impl<I: Input> Recomputed<I> {
    /// `input`, always seen with `framing`, through `predecessors` in order.
    ///
    /// # Errors
    /// When a predecessor does not fit its input.
    pub fn new(input: I, predecessors: Vec<Module>, framing: Framing) -> Result<Self> {
        let mut recomputed = Self { shape: input.shape(), input, predecessors, framing };
        let [patches, h, w, channels] = recomputed.shape;
        let probe =
            Tensor::zeros((patches, h, w, channels), candle_core::DType::F32, &Device::Cpu)?;
        let (_, h, w, channels) = recomputed.through(probe)?.dims4()?;
        recomputed.shape = [patches, h, w, channels];
        Ok(recomputed)
    }

    fn through(&self, mut x: Tensor) -> Result<Tensor> {
        for module in &self.predecessors {
            x = module.forward(&x)?;
        }
        Ok(x)
    }
}

impl<I: Input> Input for Recomputed<I> {
    fn rows(&self) -> usize {
        self.input.rows()
    }

    fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn read(&self, positions: &[u64], _framing: Framing, out: &mut [f32]) -> Result<()> {
        let maps = self.through(self.input.tensor(positions, self.framing)?)?;
        Ok(with_values(&maps, "recompute", |values| {
            out.copy_from_slice(values);
            Ok(())
        })?)
    }
}

/// The shape of a dataset's column.
fn column_shape(generation: &gimlet_store::Generation, name: &str) -> Result<Vec<usize>> {
    match generation.manifest().schema.column(name) {
        Some(column) => Ok(column.shape.clone()),
        None => {
            let at = generation.dir().display().to_string();
            Err(Error::new(Kind::Damaged, format!("`{at}` has no column `{name}`")))
        }
    }
}
