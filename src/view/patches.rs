//! Crops, flips, normalises and cuts images, whenever a sample is used.

use crate::pipeline::{ImageView, Map, SampleSize, Split};
use crate::random::{self, Draws};
use crate::{Error, Kind, Result};

/// How the frames of samples are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The centre crop, not flipped: evaluation.
    Centre,
    /// A random crop and flip: training. `draw` numbers the views that are drawn from a sample.
    Random {
        /// The seed of the run.
        seed: u64,
        /// The number of the draw. Each epoch has its own.
        draw: u64,
    },
}

impl Framing {
    /// The framing for stored activations: each view of a training sample has its own random frame, and a test
    /// sample has the centre.
    pub fn frozen(split: Split, seed: u64, view: u64) -> Self {
        match split {
            // The low half is for the draws of epochs.
            Split::Train => Framing::Random { seed, draw: view << 32 },
            Split::Test => Framing::Centre,
        }
    }

    /// The framing for one epoch of training; each epoch, counted from 0, draws new frames.
    pub fn fresh(seed: u64, epoch: u64) -> Self {
        Framing::Random { seed, draw: epoch + 1 }
    }

    /// The frame of sample `id`, whose image has the size `image` and is one that [`patch_shape`] accepts.
    pub fn frame(self, view: &ImageView, image: SampleSize, id: i64) -> Frame {
        let SampleSize { height, width, .. } = image;
        let room = |side: usize| view.crop.map_or(0, |crop| side.saturating_sub(crop));
        let (down, across) = (room(height), room(width));
        match self.draws(id) {
            None => Frame { top: down / 2, left: across / 2, flipped: false },
            Some(mut draws) => Frame {
                top: draws.below(down as u32 + 1) as usize,
                left: draws.below(across as u32 + 1) as usize,
                flipped: view.flip && draws.chance(0.5),
            },
        }
    }

    /// The random numbers for the frame of sample `id`; `None` for the centre.
    pub fn draws(self, id: i64) -> Option<Draws> {
        match self {
            Framing::Centre => None,
            Framing::Random { seed, draw } => {
                Some(random::generator(seed, "view", &[draw, id as u64]))
            }
        }
    }
}

/// The part of an image that is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The first row of the crop.
    pub top: usize,
    /// The first column of the crop.
    pub left: usize,
    /// Whether the crop is mirrored left-right.
    pub flipped: bool,
}

/// The patches of one image: `[grid * grid, patch, patch, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchShape {
    /// Patches along one side of the crop.
    pub grid: usize,
    /// Height and width of a patch.
    pub patch: usize,
    /// Values per pixel.
    pub channels: usize,
}

impl PatchShape {
    /// The number of patches.
    pub fn patches(self) -> usize {
        self.grid * self.grid
    }

    /// The shape of one patch, as the first module gets it.
    pub fn map(self) -> Map {
        Map { height: self.patch, width: self.patch, channels: self.channels }
    }

    /// Values in all patches of an image.
    pub fn values(self) -> usize {
        self.patches() * self.map().len()
    }
}

/// The shape of the patches that `view` cuts out of an image.
///
/// Rows and columns of the crop that no patch reaches are left out.
///
/// # Errors
/// When the crop is larger than the image, the patch larger than the crop, there is no crop and
/// the image is not square, or the normalisation is not for these channels.
pub fn patch_shape(view: &ImageView, image: SampleSize) -> Result<PatchShape> {
    let SampleSize { height, width, .. } = image;
    let wrong = |message: String| Error::new(Kind::Usage, message);
    let size = format!("{height}x{width}");
    let side = match view.crop {
        Some(crop) if crop > height || crop > width => {
            let what = format!("the crop (`view.crop` = {crop}) is larger than the image ({size})");
            return Err(wrong(what)
                .hint("lower `view.crop`, or set `view.resize` to make the images larger"));
        }
        Some(crop) => crop,
        None if height != width => {
            let what =
                format!("the image ({size}) is not square, and patches lie in a square grid");
            return Err(wrong(what).hint("set `view.crop` or `view.resize`"));
        }
        None => height,
    };
    let (channels, patch) = (view.channels(), view.patch);
    let (means, stds) = (view.mean.len(), view.std.len());
    if means != channels || stds != channels {
        return Err(wrong(format!(
            "`view.mean` has {means} values and `view.std` {stds}, for {channels} channels"
        )));
    }
    if patch == 0 || view.stride == 0 {
        return Err(wrong("`view.patch` and `view.stride` must be at least 1".to_owned()));
    }
    if patch > side {
        let crop = format!("the crop ({side}x{side} of an image of {size})");
        return Err(wrong(format!("the patch (`view.patch` = {patch}) is larger than {crop}"))
            .hint("lower `view.patch`, or set `view.resize` to make the images larger"));
    }
    Ok(PatchShape { grid: view.grid(side), patch, channels })
}

/// Crops, flips, scales to [0, 1], normalises, and cuts an image into overlapping patches.
///
/// `pixels` is `[height, width, channels]` of an `image` that [`patch_shape`] accepts, and `frame` comes from
/// [`Framing::frame`] for it. `out` becomes `[grid * grid, patch, patch, channels]`, the patches in the order (row, column).
///
/// # Panics
/// When `pixels` or `out` is too short for these shapes.
pub fn patches(view: &ImageView, pixels: &[u8], image: SampleSize, frame: Frame, out: &mut [f32]) {
    let SampleSize { height, width, .. } = image;
    match view.channels() {
        1 => cut::<1>(view, pixels, width, view.crop.unwrap_or(height), frame, out),
        _ => cut::<3>(view, pixels, width, view.crop.unwrap_or(height), frame, out),
    }
}

/// Cuts [`patches`] with `C` channels out of a crop of `side` pixels.
fn cut<const C: usize>(
    view: &ImageView,
    pixels: &[u8],
    width: usize,
    side: usize,
    frame: Frame,
    out: &mut [f32],
) {
    let table = normalised::<C>(view);
    // Patches overlap: every pixel is normalised once and copied into several.
    let mut crop = vec![[0f32; C]; side * side];
    for (y, line) in crop.chunks_exact_mut(side).enumerate() {
        let start = ((frame.top + y) * width + frame.left) * C;
        let source = pixels[start..start + side * C].as_chunks::<C>().0;
        let look_up = |pixel: &[u8; C]| std::array::from_fn(|c| table[c][usize::from(pixel[c])]);
        if frame.flipped {
            line.iter_mut().zip(source.iter().rev()).for_each(|(to, from)| *to = look_up(from));
        } else {
            line.iter_mut().zip(source).for_each(|(to, from)| *to = look_up(from));
        }
    }
    let (grid, patch) = (view.grid(side), view.patch);
    let mut lines = out.chunks_exact_mut(patch * C);
    for row in 0..grid {
        for column in 0..grid {
            for (y, line) in (row * view.stride..).zip(lines.by_ref().take(patch)) {
                let start = y * side + column * view.stride;
                line.copy_from_slice(crop[start..start + patch].as_flattened());
            }
        }
    }
}

/// `(value / 255 - mean) / std` for every channel and 8-bit value.
fn normalised<const C: usize>(view: &ImageView) -> [[f32; 256]; C] {
    std::array::from_fn(|c| {
        std::array::from_fn(|value| (value as f32 / 255.0 - view.mean[c]) / view.std[c])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn view(channels: usize, crop: Option<usize>, patch: usize, stride: usize) -> ImageView {
        ImageView {
            grayscale: channels == 1,
            crop,
            flip: true,
            mean: (0..channels).map(|c| 0.4 + 0.03 * c as f32).collect(),
            std: (0..channels).map(|c| 0.25 + 0.02 * c as f32).collect(),
            ..ImageView::new(patch, stride)
        }
    }

    const OBLONG: SampleSize = SampleSize { height: 6, width: 8, cell: None };

    prop_compose! {
        /// A view and the size of an image that fits it.
        fn fitting()(
            channels in prop_oneof![Just(1usize), Just(3)],
            patch in 1usize..9,
            stride in 1usize..6,
            room in 0usize..12,
            margin in proptest::option::of((0usize..5, 0usize..5)),
        ) -> (ImageView, SampleSize) {
            let side = patch + room;
            let (down, right) = margin.unwrap_or((0, 0));
            let image = SampleSize::of_image(side + down, side + right);
            (view(channels, margin.map(|_| side), patch, stride), image)
        }
    }

    proptest! {
        #[test]
        fn patches_are_those_of_a_naive_loop(
            (view, image) in fitting(),
            seed in any::<u64>(),
            id in 0i64..1000,
        ) {
            let shape = patch_shape(&view, image).unwrap();
            let (channels, patch, grid) = (shape.channels, shape.patch, shape.grid);
            let pixels: Vec<u8> =
                (0..image.height * image.width * channels).map(|i| (i * 37 + i / 11) as u8).collect();
            for framing in [Framing::Centre, Framing::Random { seed, draw: 3 }] {
                let frame = framing.frame(&view, image, id);
                let side = view.crop.unwrap_or(image.height);
                prop_assert!(frame.top + side <= image.height && frame.left + side <= image.width);
                let mut out = vec![f32::NAN; shape.values()];
                patches(&view, &pixels, image, frame, &mut out);
                let mut out = out.into_iter();
                for (row, column) in (0..grid * grid).map(|i| (i / grid, i % grid)) {
                    for (y, x) in (0..patch * patch).map(|i| (i / patch, i % patch)) {
                        for c in 0..channels {
                            let y = row * view.stride + y;
                            let x = column * view.stride + x;
                            let x = if frame.flipped { side - 1 - x } else { x };
                            let at = ((frame.top + y) * image.width + frame.left + x) * channels + c;
                            let value =
                                (f32::from(pixels[at]) / 255.0 - view.mean[c]) / view.std[c];
                            prop_assert_eq!(out.next(), Some(value));
                        }
                    }
                }
                prop_assert_eq!(out.next(), None);
            }
        }
    }

    #[test]
    fn the_grid_is_that_of_the_paper() {
        let stl = patch_shape(&view(1, Some(64), 16, 8), SampleSize::square(96)).unwrap();
        assert_eq!(stl, PatchShape { grid: 7, patch: 16, channels: 1 });
        let cifar = patch_shape(&view(3, None, 8, 4), SampleSize::square(32)).unwrap();
        assert_eq!((cifar.patches(), cifar.values()), (49, 49 * 8 * 8 * 3));
    }

    #[test]
    fn the_centre_is_the_middle_and_random_frames_reach_everywhere() {
        let view = view(1, Some(4), 2, 1);
        let centre = Framing::Centre.frame(&view, OBLONG, 0);
        assert_eq!(centre, Frame { top: 1, left: 2, flipped: false });
        let frame = |draw, id| Framing::Random { seed: 1, draw }.frame(&view, OBLONG, id);
        let frames: Vec<Frame> = (0..500).map(|id| frame(0, id)).collect();
        for (top, left) in (0..15).map(|it| (it / 5, it % 5)) {
            for flipped in [false, true] {
                let due = Frame { top, left, flipped };
                assert!(frames.contains(&due), "{due:?}");
            }
        }
        assert_eq!(frame(0, 123), frames[123]);
        assert!((0..500).any(|id| frame(1, id) != frames[id as usize]));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_sizes() {
        let refused = |view: ImageView, image| {
            let error = patch_shape(&view, image).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            error.to_string()
        };
        let crop = refused(view(1, Some(64), 16, 8), SampleSize::of_image(32, 96));
        assert!(crop.contains("64") && crop.contains("32x96"), "{crop}");
        let patch = refused(view(3, None, 40, 8), SampleSize::square(32));
        assert!(patch.contains("40") && patch.contains("32x32"), "{patch}");
        let oblong = refused(view(3, None, 8, 4), SampleSize::of_image(32, 48));
        assert!(oblong.contains("32x48"), "{oblong}");
        assert!(refused(view(3, None, 8, 0), SampleSize::square(32)).contains("stride"));
        let mut one_mean = view(3, None, 8, 4);
        one_mean.mean.truncate(1);
        assert!(refused(one_mean, SampleSize::square(32)).contains("`view.mean` has 1"));
    }
}
