//! Generated textures, for trying things without data.
//!
//! The class of an image is the structure of its texture: the shape of its waves, their direction
//! and their length. All patches of an image share it. Nothing else is shared: phase is drawn for
//! each image and bends across it, brightness and contrast wander from place to place, and noise,
//! half of it grain as coarse as the waves, lies over everything. No class has its own mean brightness
//! or mean image, so a model has to see the structure.

use std::f32::consts::{FRAC_1_SQRT_2, PI, TAU};

use image::{DynamicImage, GrayImage};
use rayon::prelude::*;
use serde_json::json;

use super::{BadSample, Content, Keep, Media, Remarks, Sample, Source, no_such_row};
use crate::pipeline::settings::{self, Split};
use crate::random::{self, Draws};
use crate::{Error, Kind, Result};

/// Counts the changes in what a seed gives. It is part of the identity.
const VERSION: u32 = 1;

/// Wavelengths in pixels: about one to two waves in a patch of 8 pixels.
const WAVELENGTHS: [f32; 3] = [5.5, 7.5, 4.5];

/// How far the bending of the waves shifts places, and over which distance it changes, in pixels.
const BEND: f32 = 1.6;
const BEND_CELL: f32 = 11.0;

/// Brightness and contrast in units of the full range, and the distance over which they change:
/// shorter than the distance between a patch and the patches it predicts.
const BRIGHTNESS: f32 = 0.14;
const CONTRAST: f32 = 0.14;
const CONTRAST_SPREAD: f32 = 0.6;
const LIGHT_CELL: f32 = 9.0;

/// The distance over which grain changes: its wavelengths are about those of the textures.
const GRAIN_CELL: f32 = 2.5;
/// The standard deviation of a [`Field`], averaged over all places.
const FIELD_DEVIATION: f32 = 0.43;

/// Generated images of one split.
#[derive(Debug)]
pub struct Textures {
    settings: settings::Textures,
    split: Split,
    seed: u64,
    names: Vec<String>,
}

impl Textures {
    /// Images of `split`; each depends only on `seed`, the split and its row.
    ///
    /// # Errors
    /// When the settings ask for no class, no pixel or no image.
    pub fn new(settings: &settings::Textures, split: Split, seed: u64) -> Result<Self> {
        let rows = rows_of(settings, split);
        let keys = [("classes", settings.classes), ("size", settings.size), (split.name(), rows)];
        if let Some((key, _)) = keys.iter().find(|(_, value)| *value == 0) {
            return Err(Error::new(
                Kind::Usage,
                format!("`data.textures.{key}` is 0: the dataset would be empty"),
            ));
        }
        let names = (0..settings.classes).map(|class| Texture::of(class).name()).collect();
        Ok(Self { settings: settings.clone(), split, seed, names })
    }

    /// The class of a row; all classes are equally frequent.
    fn label(&self, row: usize) -> usize {
        row % self.settings.classes
    }

    /// The image of a row: `[size, size]`, gray.
    fn image(&self, row: usize) -> GrayImage {
        let size = self.settings.size;
        let place = [self.split as u64, row as u64];
        let mut draws = random::generator(self.seed, "textures", &place);
        let texture = Texture::of(self.label(row));
        let (sin, cos) = texture.angle.sin_cos();
        let scale = TAU / texture.wavelength;
        let phases = [draws.between(0.0, TAU), draws.between(0.0, TAU)];
        let bends =
            [Field::draw(size, BEND_CELL, &mut draws), Field::draw(size, BEND_CELL, &mut draws)];
        let brightness = Field::draw(size, LIGHT_CELL, &mut draws);
        let contrast = Field::draw(size, LIGHT_CELL, &mut draws);
        let grain = Field::draw(size, GRAIN_CELL, &mut draws);
        // Both kinds of noise have half the variance.
        let white = self.settings.noise * FRAC_1_SQRT_2;
        let coarse = white / FIELD_DEVIATION;
        let mut pixels = Vec::with_capacity(size * size);
        for y in 0..size {
            for x in 0..size {
                let (x, y) = (x as f32, y as f32);
                let u = scale * (cos * x + sin * y + BEND * bends[0].at(x, y)) + phases[0];
                let v = scale * (cos * y - sin * x + BEND * bends[1].at(x, y)) + phases[1];
                let value = 0.5
                    + BRIGHTNESS * brightness.at(x, y)
                    + CONTRAST
                        * (1.0 + CONTRAST_SPREAD * contrast.at(x, y))
                        * texture.shape.at(u, v)
                    + coarse * grain.at(x, y)
                    + white * draws.normal();
                // `as` saturates.
                pixels.push((255.0 * value + 0.5) as u8);
            }
        }
        let side = size as u32;
        // The lengths agree, so this is always `Some`.
        GrayImage::from_raw(side, side, pixels).unwrap_or_default()
    }
}

impl Source for Textures {
    fn rows(&self) -> usize {
        rows_of(&self.settings, self.split)
    }

    fn label_names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn content(&self) -> Content {
        // Everything else that they depend on is a setting.
        Content::generated(json!({ "kind": "textures", "version": VERSION }))
    }

    fn first_size(&self) -> Result<Option<(usize, usize)>> {
        Ok(Some((self.settings.size, self.settings.size)))
    }

    fn read_through(&self, rows: &[usize], keep: &Keep) -> Result<Vec<Result<Sample, BadSample>>> {
        if let Some(&row) = rows.iter().find(|&&row| row >= self.rows()) {
            return Err(no_such_row(row, self.rows()));
        }
        let sample = |&row: &usize| Sample {
            id: row as i64,
            source: format!("{} {row}", self.split.name()),
            label: Some(self.label(row) as i64),
            further: Vec::new(),
            frames: None,
            text: None,
            media: Media::Image(DynamicImage::ImageLuma8(self.image(row))),
            remarks: Remarks::default(),
        };
        rows.par_iter().map(|row| keep(sample(row)).map(Ok)).collect()
    }
}

fn rows_of(settings: &settings::Textures, split: Split) -> usize {
    match split {
        Split::Train => settings.train,
        Split::Test => settings.test,
    }
}

/// What the images of a class have in common.
struct Texture {
    shape: Shape,
    /// Direction of the waves, in radians.
    angle: f32,
    /// Length of the waves, in pixels.
    wavelength: f32,
}

impl Texture {
    /// The texture of a class, whatever the number of classes: all shapes in one geometry, then
    /// all in the next.
    fn of(class: usize) -> Self {
        let geometry = class / Shape::ALL.len();
        // Multiples of the golden section spread evenly, however many there are.
        let turn = (0.11 + geometry as f32 * 0.618_034).fract();
        Self {
            shape: Shape::ALL[class % Shape::ALL.len()],
            angle: PI * turn,
            wavelength: WAVELENGTHS[geometry % WAVELENGTHS.len()],
        }
    }

    fn name(&self) -> String {
        let degrees = self.angle.to_degrees();
        format!("{} {:.1} px {degrees:.0} deg", self.shape.name(), self.wavelength)
    }
}

/// The shape of waves. Some shapes have the same power at every frequency and differ only in phase (bright
/// and dark lines), so that filters without a nonlinearity cannot tell them apart.
#[derive(Clone, Copy)]
enum Shape {
    BrightLines,
    DarkDots,
    Plaid,
    DarkLines,
    BrightDots,
}

impl Shape {
    const ALL: [Shape; 5] =
        [Shape::BrightLines, Shape::DarkDots, Shape::Plaid, Shape::DarkLines, Shape::BrightDots];

    fn name(self) -> &'static str {
        match self {
            Shape::BrightLines => "bright lines",
            Shape::DarkDots => "dark dots",
            Shape::Plaid => "plaid",
            Shape::DarkLines => "dark lines",
            Shape::BrightDots => "bright dots",
        }
    }

    /// The value at two phases in radians; mean 0 and variance 1 over all phases.
    fn at(self, u: f32, v: f32) -> f32 {
        match self {
            Shape::BrightLines => lines(u),
            Shape::DarkLines => -lines(u),
            Shape::BrightDots => dots(u, v),
            Shape::DarkDots => -dots(u, v),
            Shape::Plaid => u.sin() + v.sin(),
        }
    }
}

/// exp(1.5 cos u), which has the mean I0(1.5) and the mean square I0(3), standardised.
fn lines(u: f32) -> f32 {
    ((1.5 * u.cos()).exp() - 1.646_723) / 1.472_772
}

/// exp(cos u + cos v), which has the mean I0(1)^2 and the mean square I0(2)^2, standardised.
fn dots(u: f32, v: f32) -> f32 {
    ((u.cos() + v.cos()).exp() - 1.602_922) / 1.620_832
}

/// A smooth random function of the place, in `[-1, 1]`: values on a lattice, blended between.
struct Field {
    values: Vec<f32>,
    columns: usize,
    cell: f32,
    /// Where the lattice begins, drawn so that no pixel lies on it in every image.
    shift: [f32; 2],
}

impl Field {
    fn draw(size: usize, cell: f32, draws: &mut Draws) -> Self {
        let columns = (size as f32 / cell) as usize + 3;
        let shift = [draws.unit(), draws.unit()];
        let values = (0..columns * columns).map(|_| draws.between(-1.0, 1.0)).collect();
        Self { values, columns, cell, shift }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let split = |place: f32, shift: f32| {
            let place = place / self.cell + shift;
            let t = place.fract();
            (place as usize, t * t * (3.0 - 2.0 * t))
        };
        let ((column, s), (row, t)) = (split(x, self.shift[0]), split(y, self.shift[1]));
        let at = row * self.columns + column;
        let blend = |at: usize| self.values[at] + s * (self.values[at + 1] - self.values[at]);
        let (above, below) = (blend(at), blend(at + self.columns));
        above + t * (below - above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn textures(split: Split, seed: u64) -> Textures {
        let settings =
            settings::Textures { classes: 10, size: 32, train: 2000, test: 500, noise: 0.1 };
        Textures::new(&settings, split, seed).unwrap()
    }

    #[test]
    fn an_image_is_a_function_of_seed_split_and_row() {
        let source = textures(Split::Train, 7);
        let together = source.read(&[3, 4, 1999]).unwrap();
        let alone = source.read(&[1999]).unwrap();
        let (together, alone) = (together[2].as_ref().unwrap(), alone[0].as_ref().unwrap());
        assert_eq!(together.id, 1999);
        assert_eq!(together.label, Some(9));
        assert_eq!(together.media, alone.media);
        assert_ne!(source.image(3), source.image(13));
        assert_ne!(source.image(3), textures(Split::Test, 7).image(3));
        assert_ne!(source.image(3), textures(Split::Train, 8).image(3));
        assert!(source.read(&[2000]).unwrap_err().to_string().contains("2000"));
    }

    #[test]
    fn every_shape_has_mean_0_and_variance_1() {
        for shape in Shape::ALL {
            let phases = 64;
            let at = |i: usize| i as f32 * TAU / phases as f32;
            let values: Vec<f32> =
                (0..phases * phases).map(|i| shape.at(at(i / phases), at(i % phases))).collect();
            let count = values.len() as f32;
            let mean = values.iter().sum::<f32>() / count;
            let variance = values.iter().map(|v| v * v).sum::<f32>() / count;
            assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-3, "{}", shape.name());
        }
    }

    /// The part of the variance of values that their class explains (eta squared).
    fn explained(values: &[(usize, f32)], classes: usize) -> f32 {
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let all: Vec<f32> = values.iter().map(|(_, value)| *value).collect();
        let total: f32 = all.iter().map(|value| (value - mean(&all)).powi(2)).sum();
        let between = (0..classes).map(|class| {
            let own: Vec<f32> =
                values.iter().filter(|(label, _)| *label == class).map(|v| v.1).collect();
            own.len() as f32 * (mean(&own) - mean(&all)).powi(2)
        });
        between.sum::<f32>() / total
    }

    #[test]
    fn means_say_next_to_nothing_about_the_class() {
        let source = textures(Split::Train, 1);
        let images: Vec<_> =
            (0..source.rows()).map(|row| (source.label(row), source.image(row))).collect();
        let of = |feature: &dyn Fn(&GrayImage) -> f32| {
            let values: Vec<_> =
                images.iter().map(|(label, image)| (*label, feature(image))).collect();
            explained(&values, 10)
        };
        // Chance alone explains 9/1999 = 0.0045 with 10 classes and 2000 images.
        let pixels =
            (0..64u32).map(|i| of(&|image| f32::from(image.get_pixel(i % 8 * 4, i / 8 * 4).0[0])));
        let pixels = pixels.sum::<f32>() / 64.0;
        assert!(pixels < 0.007, "the class explains {pixels} of the variance of a pixel");
        let sum = |image: &GrayImage| image.iter().map(|&v| f32::from(v)).sum::<f32>();
        let brightness = of(&sum);
        assert!(brightness < 0.05, "the class explains {brightness} of the mean brightness");
    }

    #[test]
    fn no_image_is_refused() {
        let settings = settings::Textures { classes: 0, size: 8, train: 1, test: 0, noise: 0.0 };
        let refused = |split| Textures::new(&settings, split, 0).unwrap_err().to_string();
        assert!(refused(Split::Train).contains("data.textures.classes"));
    }
}
