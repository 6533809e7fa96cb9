//! Draws pictures and histograms in a terminal.

use std::fmt::Write as _;

use anstream::{AutoStream, ColorChoice};

use crate::report::column_stats::Histogram;
use crate::report::raster::Picture;

/// Letters for shades, from empty to full, for terminals without colours.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// Letters for heights, from low to high.
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The usual background of terminals.
const GROUND: [u8; 3] = [0; 3];

/// Whether stdout shows colours: it is a terminal with colours, or `CLICOLOR_FORCE` asks for them; and
/// `NO_COLOR` does not forbid them.
pub fn has_colours() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

/// A picture with two pixels per letter, one above the other, in 24-bit colours or as shades. The shade is the
/// brightness, or for a picture with clear parts how much is covered.
pub fn picture(picture: &Picture, colours: bool) -> String {
    let painted = picture.over(GROUND);
    let all = || (0..picture.height()).flat_map(|y| (0..picture.width()).map(move |x| (x, y)));
    let covers = all().all(|(x, y)| picture.at(x, y)[3] == 255);
    let dark = |x: usize, y: usize| match covers {
        true => luma(painted.at(x, y)),
        false => f64::from(picture.at(x, y)[3]) / 255.0,
    };
    let mut text = String::new();
    for y in (0..picture.height()).step_by(2) {
        let mut line = String::new();
        for x in 0..picture.width() {
            let ([r, g, b, _], [r2, g2, b2, _]) = (painted.at(x, y), painted.at(x, y + 1));
            match colours {
                true => {
                    let _ = write!(line, "\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m▀");
                }
                false => line.push(shade((dark(x, y) + dark(x, y + 1)) / 2.0)),
            }
        }
        text += if colours { &line } else { line.trim_end() };
        text.push_str(if colours { "\x1b[0m\n" } else { "\n" });
    }
    text
}

/// The brightness of a pixel after ITU-R 601, 0 to 1.
fn luma([red, green, blue, _]: [u8; 4]) -> f64 {
    (0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue)) / 255.0
}

fn shade(share: f64) -> char {
    let place = (share * SHADES.len() as f64) as usize;
    SHADES[place.min(SHADES.len() - 1)]
}

/// A histogram in one line. Heights are logarithmic, so that rare values can be seen beside frequent ones.
pub fn histogram(histogram: &Histogram) -> String {
    let most = histogram.counts.iter().copied().max().unwrap_or(0);
    let height = |count: u64| {
        let share = (count as f64).ln_1p() / (most as f64).ln_1p().max(f64::MIN_POSITIVE);
        // Rounded up: a count above 0 always shows.
        HEIGHTS[((share * 8.0).ceil() as usize).min(HEIGHTS.len() - 1)]
    };
    histogram.counts.iter().map(|count| height(*count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pixels_make_a_letter() {
        let black_and_white = Picture::of(2, 3, |x, _| [255 * x as u8, 255 * x as u8, 255, 255]);
        let shaded = picture(&black_and_white, false);
        // Blue is dark; the third row has nothing below it.
        assert_eq!(shaded, " █\n ▒\n");
        let coloured = picture(&black_and_white, true);
        assert_eq!(coloured.matches('▀').count(), 4);
        assert!(coloured.starts_with("\x1b[38;2;0;0;255;48;2;0;0;255m▀"), "{coloured:?}");
        assert!(coloured.ends_with("48;2;0;0;0m▀\x1b[0m\n"), "{coloured:?}");
    }

    #[test]
    fn what_is_clear_is_shaded_by_how_much_there_is() {
        let blue = Picture::of(3, 2, |x, _| [0, 0, 90, 127 * x as u8]);
        assert_eq!(picture(&blue, false), " ▒█\n");
    }

    #[test]
    fn heights_are_logarithms() {
        let of =
            |counts: &[u64]| histogram(&Histogram { from: 0.0, to: 1.0, counts: counts.to_vec() });
        assert_eq!(of(&[0, 1, 999, 1_000_000]), " ▁▄█");
        assert_eq!(of(&[0, 0]), "  ");
        assert_eq!(of(&[]), "");
    }
}
