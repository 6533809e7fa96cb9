//! What is seen of images, and how a pipeline is to see them.

use std::fmt::Write as _;
use std::sync::Mutex;

use image::{DynamicImage, GenericImageView};
use serde::Serialize;

use crate::source::{Media, Pixels, Sample, Source};
use crate::{Error, Result};

/// The most images that are looked at, and the most pixels of all of them.
const MOST_IMAGES: usize = 256;
const MOST_PIXELS: u64 = 400_000_000;

/// Images that are read at a time.
const AT_ONCE: usize = 16;

/// The pixels along one side that the statistics of an image are computed from.
const PROBED: u32 = 64;

/// The side of the part of large images that patches are cut from, as in the paper.
const SIDE: usize = 64;

/// What some images have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImagesSeen {
    /// The number of images that were looked at.
    pub looked_at: usize,
    /// The number of those that could not be read.
    pub broken: usize,
    /// Height and width of the smallest and the largest.
    pub smallest: [usize; 2],
    /// Height and width of the largest.
    pub largest: [usize; 2],
    /// The median of their shorter sides.
    pub short_side: usize,
    /// Whether none of them has colours.
    pub gray: bool,
    /// The mean per channel, of values in [0, 1]: one channel if `gray`, else three.
    pub mean: Vec<f32>,
    /// The standard deviation per channel.
    pub std: Vec<f32>,
}

/// How a pipeline sees images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImagesChosen {
    /// The height and width that images are brought to.
    pub resize: usize,
    /// The height and width of the part that is seen; the whole if `None`.
    pub crop: Option<usize>,
    /// The height and width of a patch.
    pub patch: usize,
    /// The distance between patches.
    pub stride: usize,
    /// Patches along one side.
    pub grid: usize,
    /// Whether images are mirrored in training.
    pub flip: bool,
}

/// What one image shows.
struct One {
    id: i64,
    size: [usize; 2],
    gray: bool,
    /// The sum, and the sum of squares, of each channel's probed values.
    sums: [f64; 3],
    squares: [f64; 3],
    count: f64,
}

impl ImagesSeen {
    /// Looks at images of `source`, evenly spaced.
    ///
    /// # Errors
    /// When a file cannot be read, or no image can be decoded.
    pub fn of(source: &dyn Source) -> Result<Self> {
        let found: Mutex<Vec<One>> = Mutex::default();
        let (mut looked_at, mut broken, mut first_broken) = (0, 0, None);
        let rows = super::evenly(source.rows(), MOST_IMAGES);
        for rows in rows.chunks(AT_ONCE) {
            let keep = |sample: Sample| {
                let one = One::of(sample.id, sample.media.image()?);
                found.lock().unwrap_or_else(|it| it.into_inner()).push(one);
                let none = Pixels { height: 0, width: 0, channels: 1, values: Vec::new() };
                Ok(Sample { media: Media::Pixels(none), ..sample })
            };
            for read in source.read_through(rows, &keep)? {
                looked_at += 1;
                if let Err(bad) = read {
                    broken += 1;
                    first_broken = first_broken.or(Some(bad.to_string()));
                }
            }
            let found = found.lock().unwrap_or_else(|it| it.into_inner());
            let pixels: u64 = found.iter().map(|it| (it.size[0] * it.size[1]) as u64).sum();
            if pixels > MOST_PIXELS {
                break;
            }
        }
        let mut found = found.into_inner().unwrap_or_else(|it| it.into_inner());
        found.sort_by_key(|it| it.id);
        let area = |it: &&One| it.size[0] * it.size[1];
        let (Some(smallest), Some(largest)) =
            (found.iter().min_by_key(area), found.iter().max_by_key(area))
        else {
            let why = first_broken.unwrap_or_default();
            return Err(Error::failed(format!("none of {looked_at} images can be read: {why}"))
                .hint("`docs/guide/data.md` lists the kinds of images that are read"));
        };
        let (smallest, largest) = (smallest.size, largest.size);
        let mut short: Vec<usize> = found.iter().map(|it| it.size[0].min(it.size[1])).collect();
        short.sort_unstable();
        let gray = found.iter().all(|it| it.gray);
        let channels = if gray { 1 } else { 3 };
        let count: f64 = found.iter().map(|it| it.count).sum();
        let mean = |of: fn(&One) -> [f64; 3], channel: usize| {
            found.iter().map(|it| of(it)[channel]).sum::<f64>() / count
        };
        let means: Vec<f64> = (0..channels).map(|it| mean(|one| one.sums, it)).collect();
        let std = (0..channels).map(|it| {
            let square = mean(|one| one.squares, it) - means[it] * means[it];
            // Images of one colour have no deviation, and a deviation of 0 cannot be divided by.
            square.max(0.0).sqrt().max(0.01) as f32
        });
        Ok(Self {
            looked_at,
            broken,
            smallest,
            largest,
            short_side: short[short.len() / 2],
            gray,
            std: std.collect(),
            mean: means.into_iter().map(|it| it as f32).collect(),
        })
    }

    /// Whether all images that were looked at are squares of one size.
    pub fn one_square(&self) -> Option<usize> {
        let [height, width] = self.smallest;
        (self.smallest == self.largest && height == width).then_some(height)
    }

    /// Chooses how to see images such as these.
    pub fn choose(&self) -> ImagesChosen {
        let (resize, crop) = match (self.one_square(), self.short_side) {
            (Some(side), _) if (16..=SIDE).contains(&side) => (side, None),
            (Some(side), _) if (SIDE + 1..=SIDE * 3 / 2).contains(&side) => (side, Some(SIDE)),
            (_, short) if short >= SIDE => (SIDE + 8, Some(SIDE)),
            // A whole number of strides.
            (_, short) => ((short / 4 * 4).clamp(16, SIDE), None),
        };
        let side = crop.unwrap_or(resize);
        let (patch, stride) = if side < 48 { (8, 4) } else { (16, 8) };
        let grid = (side - patch) / stride + 1;
        ImagesChosen { resize, crop, patch, stride, grid, flip: !self.gray }
    }
}

impl One {
    fn of(id: i64, image: &DynamicImage) -> Self {
        let (width, height) = (image.width(), image.height());
        let mut one = Self {
            id,
            size: [height as usize, width as usize],
            gray: true,
            sums: [0.0; 3],
            squares: [0.0; 3],
            count: 0.0,
        };
        let along = |length: u32| {
            let steps = length.min(PROBED);
            (0..steps).map(move |it| (u64::from(it) * u64::from(length) / u64::from(steps)) as u32)
        };
        for y in along(height) {
            for x in along(width) {
                let [red, green, blue, _] = image.get_pixel(x, y).0;
                one.gray &= red == green && green == blue;
                for (channel, value) in [red, green, blue].into_iter().enumerate() {
                    let value = f64::from(value) / 255.0;
                    one.sums[channel] += value;
                    one.squares[channel] += value * value;
                }
                one.count += 1.0;
            }
        }
        one
    }
}

impl ImagesChosen {
    /// Rows of patches that each patch predicts. The next row is left out, since it overlaps.
    pub fn prediction_steps(&self) -> usize {
        (self.grid - 2).clamp(1, 5)
    }

    /// The tables `[view]`, `[[modules]]` and `[loss]` of a pipeline file.
    pub fn tables(&self, seen: &ImagesSeen, width: usize) -> String {
        let Self { resize, crop, patch, stride, grid, flip } = self;
        let numbers =
            |all: &[f32]| all.iter().map(|it| format!("{it:.4}")).collect::<Vec<_>>().join(", ");
        let (mean, std) = (numbers(&seen.mean), numbers(&seen.std));
        let mut text = String::new();
        let seen_size = match (seen.one_square(), crop) {
            (Some(side), _) if side == *resize => "Their own size".to_owned(),
            _ => format!("The centred square of each, brought to {resize}x{resize}"),
        };
        let part = match crop {
            Some(crop) => format!("; of it a random part of {crop}x{crop} in training"),
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "# {seen_size}{part}. Patches of {patch}x{patch} at a stride of {stride}: a grid of {grid}x{grid}.\n\
             # Mean and deviation are those of the images that were looked at. {}",
            match flip {
                true =>
                    "Mirroring makes more of few images: `flip = false`\n# where left and right differ.",
                false =>
                    "Gray images are often letters or digits: `flip = true`\n# where left and right are alike.",
            }
        );
        let _ = writeln!(text, "[view]\nresize = {resize}");
        if let Some(crop) = crop {
            let _ = writeln!(text, "crop = {crop}");
        }
        let _ = writeln!(
            text,
            "grayscale = {}\nflip = {flip}\npatch = {patch}\nstride = {stride}\n\
             normalise = {{ mean = [{mean}], std = [{std}] }}\n",
            seen.gray
        );
        let conv = match patch {
            16 => format!("conv = {{ channels = {width}, kernel = 5, stride = 2 }}"),
            _ => format!("conv = {{ channels = {width}, kernel = 3 }}"),
        };
        let (second, third) = (2 * width, 4 * width);
        let _ = writeln!(
            text,
            "# Each module trains alone, on what the one before has written: a patch goes to 8x8 vectors of {width} \
             channels,\n# 4x4 of {second} and 2x2 of {third}.\n\
             [[modules]]\nname = \"a\"\nlayers = [{{ {conv} }}, {{ basic = {{ channels = {width} }} }}]\n\n\
             [[modules]]\nname = \"b\"\nlayers = [{{ basic = {{ channels = {second}, stride = 2 }} }}]\n\n\
             [[modules]]\nname = \"c\"\nlayers = [{{ basic = {{ channels = {third}, stride = 2 }} }}]\n"
        );
        let steps = self.prediction_steps();
        let rows = if steps == 1 { "row".to_owned() } else { format!("{steps} rows") };
        let _ = writeln!(
            text,
            "# Each patch predicts the {rows} of patches after the next, which overlaps it, against 16 patches drawn \
             from the\n# batch: a guess has a loss of ln 17 = 2.833.\n\
             [loss.infonce]\nprediction_steps = {steps}\nnegatives = 16\nskip = 1\n"
        );
        text
    }
}
