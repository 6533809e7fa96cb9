//! What one row of a dataset looks like. For images, the patches are put back into their grid, channel by
//! channel; for sound, the channels are drawn over time.

use gimlet_store::Column;
use serde_json::Value;

use super::raster::{CLEAR, INK, Picture, diverging};

/// A row's channels, each as a picture of the whole sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelMaps {
    /// The number of channels.
    pub channels: usize,
    height: usize,
    width: usize,
    /// The values, `[channels, height, width]`.
    values: Vec<f32>,
}

impl ChannelMaps {
    /// The maps for a row of `column`, whose values are `[patches, height, width, channels]` or `[rows,
    /// columns, channels]`. Where patches overlap, according to the `settings` of their dataset, a pixel gets
    /// the mean of the patches. `None`: the column has another shape.
    pub fn of(column: &Column, settings: &Value, values: &[f32]) -> Option<Self> {
        let (patches, height, width, channels) = match column.shape[..] {
            [patches, height, width, channels] => (patches, height, width, channels),
            [rows, columns, channels] if column.dims.last().is_some_and(|it| it == "channel") => {
                (1, rows, columns, channels)
            }
            _ => return None,
        };
        if values.len() != column.values() {
            return None;
        }
        // Pooled vectors stack the hops of sound vertically, activations horizontally.
        let (height, width) = if width == 1 { (1, height) } else { (height, width) };
        let side = patches.isqrt();
        let (down, across) = if side * side == patches { (side, side) } else { (1, patches) };
        let step = |size: usize| step(settings, size).unwrap_or(size);
        let (step_down, step_across) = (step(height), step(width));
        let all_height = (down - 1) * step_down + height;
        let all_width = (across - 1) * step_across + width;
        let mut sums = vec![0.0f32; channels * all_height * all_width];
        let mut counts = vec![0.0f32; all_height * all_width];
        let mut vectors = values.chunks_exact(channels);
        for patch in 0..patches {
            let (top, left) = (patch / across * step_down, patch % across * step_across);
            for y in top..top + height {
                for (x, vector) in (left..left + width).zip(&mut vectors) {
                    let place = y * all_width + x;
                    counts[place] += 1.0;
                    for (channel, value) in vector.iter().enumerate() {
                        sums[channel * counts.len() + place] += value;
                    }
                }
            }
        }
        for map in sums.chunks_exact_mut(counts.len()) {
            map.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count.max(1.0));
        }
        Some(Self { channels, height: all_height, width: all_width, values: sums })
    }

    /// Height and width of each channel's picture.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Whether the maps show sound: each channel is one line of steps.
    pub fn is_over_time(&self) -> bool {
        self.height == 1 && self.width > 1
    }

    /// The values of a channel, `[height, width]`; empty if the channel does not exist.
    pub fn channel(&self, channel: usize) -> &[f32] {
        let size = self.height * self.width;
        self.values.get(channel * size..(channel + 1) * size).unwrap_or_default()
    }

    /// The 99th percentile of a channel's absolute values, zeros left out: a few large values then do not leave
    /// all others pale.
    pub fn reach(&self, channel: usize) -> f32 {
        let sizes = self.channel(channel).iter().map(|it| it.abs()).filter(|it| *it > 0.0);
        let mut sizes: Vec<f32> = sizes.collect();
        let place = sizes.len().saturating_sub(1 + sizes.len() / 100);
        if sizes.is_empty() {
            return 0.0;
        }
        *sizes.select_nth_unstable_by(place, f32::total_cmp).1
    }

    /// A channel as a picture, on a scale from `-largest` to `largest`.
    pub fn picture(&self, channel: usize, largest: f32) -> Picture {
        let values = self.channel(channel);
        Picture::of(self.width, self.height, |x, y| {
            values.get(y * self.width + x).map_or(CLEAR, |value| diverging(*value, largest))
        })
    }

    /// All channels in one picture, the first at the bottom, time from the left, each on its own scale:
    /// `[channels, steps]`. `largest` has the end of each scale.
    pub fn strip(&self, largest: &[f32]) -> Picture {
        let steps = self.height * self.width;
        Picture::of(steps, self.channels, |x, y| {
            let channel = self.channels - 1 - y;
            let largest = largest.get(channel).copied().unwrap_or(0.0);
            self.channel(channel).get(x).map_or(CLEAR, |value| diverging(*value, largest))
        })
    }
}

/// The distance between patches in a map of `size`, if the settings give the distance in the image and the
/// result is a whole number.
fn step(settings: &Value, size: usize) -> Option<usize> {
    let view = &settings["view"];
    let number = |name: &str| usize::try_from(view[name].as_u64()?).ok();
    let (patch, stride) = (number("patch")?, number("stride")?);
    let far = size.checked_mul(stride)?;
    (patch > 0 && far > 0 && far % patch == 0 && stride <= patch).then(|| far / patch)
}

/// An image from `[height, width, channels]`, with one channel or three. `None`: the column holds something
/// else.
pub fn image(column: &Column, values: &[f32]) -> Option<Picture> {
    let [height, width, channels] = column.shape[..] else { return None };
    if !matches!(channels, 1 | 3) || values.len() != column.values() {
        return None;
    }
    Some(Picture::of(width, height, |x, y| {
        let at = (y * width + x) * channels;
        let value = |channel: usize| values[at + channel.min(channels - 1)] as u8;
        [value(0), value(1), value(2), 255]
    }))
}

/// A recording over time from the left: each column reaches from its lowest to its highest value. The scale is
/// the recording's own.
pub fn waveform(samples: &[f32], width: usize, height: usize) -> Picture {
    let width = width.clamp(1, samples.len().max(1));
    let largest = samples.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let row = |value: f32| {
        let share = if largest > 0.0 { 0.5 - 0.5 * value / largest } else { 0.5 };
        (share * height.saturating_sub(1) as f32).round() as usize
    };
    let spans: Vec<(usize, usize)> = (0..width)
        .map(|x| {
            let from = x * samples.len() / width;
            let to = ((x + 1) * samples.len() / width).max(from + 1).min(samples.len());
            let values = samples.get(from..to).unwrap_or_default().iter();
            let ends =
                values.fold((0.0f32, 0.0f32), |it, value| (it.0.min(*value), it.1.max(*value)));
            (row(ends.1), row(ends.0))
        })
        .collect();
    Picture::of(width, height, |x, y| match spans.get(x) {
        Some((top, bottom)) if (*top..=*bottom).contains(&y) => INK,
        _ => CLEAR,
    })
}

#[cfg(test)]
mod tests {
    use gimlet_store::{Compression, DType};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn column(shape: &[usize]) -> Column {
        let dims = ["patch", "row", "column", "channel"];
        let dims = &dims[4 - shape.len()..];
        Column {
            name: "activation".into(),
            dtype: DType::F32,
            shape: shape.to_vec(),
            dims: dims.iter().map(|it| it.to_string()).collect(),
            compression: Compression::None,
        }
    }

    proptest! {
        /// Cutting into patches as the view does, and putting them back, gives the same picture.
        #[test]
        fn patches_go_back_to_where_they_were(
            side in 1usize..5, patch in 1usize..6, stride in 1usize..6, channels in 1usize..4,
        ) {
            let stride = stride.min(patch);
            let size = (side - 1) * stride + patch;
            let value = |y: usize, x: usize, c: usize| ((y * size + x) * channels + c) as f32;
            let mut values = Vec::new();
            for place in 0..side * side {
                for y in 0..patch {
                    for x in 0..patch {
                        for c in 0..channels {
                            values.push(value(place / side * stride + y, place % side * stride + x, c));
                        }
                    }
                }
            }
            let column = column(&[side * side, patch, patch, channels]);
            let settings = json!({ "view": { "patch": patch, "stride": stride } });
            let maps = ChannelMaps::of(&column, &settings, &values).unwrap();
            prop_assert_eq!(maps.size(), (size, size));
            for c in 0..channels {
                for (at, found) in maps.channel(c).iter().enumerate() {
                    prop_assert_eq!(*found, value(at / size, at % size, c));
                }
            }
        }
    }

    #[test]
    fn patches_that_do_not_meet_at_whole_places_lie_side_by_side() {
        let settings = json!({ "view": { "patch": 8, "stride": 4 } });
        let values = [1.0, 2.0, 3.0, 4.0];
        let maps = ChannelMaps::of(&column(&[4, 1, 1, 1]), &settings, &values).unwrap();
        assert_eq!((maps.size(), maps.channel(0)), ((2, 2), &values[..]));
        assert_eq!(ChannelMaps::of(&column(&[4, 1, 1, 1]), &settings, &values[..3]), None);
        assert!(maps.channel(1).is_empty());
        assert_eq!((maps.reach(0), maps.reach(1)), (4.0, 0.0));
    }

    #[test]
    fn a_channel_reaches_as_far_as_all_but_a_hundredth_of_what_is_not_zero() {
        let mut values = vec![0.0; 1000];
        values.extend((1..=200).map(|it| -(it as f32)));
        let maps = ChannelMaps::of(&column(&[1, 1, 1200, 1]), &json!({}), &values).unwrap();
        assert_eq!(maps.reach(0), 198.0);
    }

    #[test]
    fn hops_of_pooled_vectors_lie_over_time() {
        let pooled = [1.0, -1.0, 2.0, -2.0, 3.0, -3.0];
        let of = |shape: &[usize]| ChannelMaps::of(&column(shape), &json!({}), &pooled).unwrap();
        for shape in [&[3, 1, 2][..], &[1, 1, 3, 2]] {
            let maps = of(shape);
            assert!(maps.is_over_time());
            assert_eq!(maps.channel(1), [-1.0, -2.0, -3.0]);
            let strip = maps.strip(&[3.0, 3.0]);
            assert_eq!((strip.width(), strip.height()), (3, 2));
            assert_eq!(strip.at(2, 0), [37, 99, 201, 255], "the last channel is on top");
        }
    }

    #[test]
    fn a_waveform_reaches_from_its_lowest_to_its_highest() {
        let picture = waveform(&[0.0, 1.0, 0.0, -1.0], 2, 5);
        let column = |x: usize| (0..5).map(|y| picture.at(x, y) == INK).collect::<Vec<_>>();
        assert_eq!(column(0), [true, true, true, false, false]);
        assert_eq!(column(1), [false, false, true, true, true]);
        assert_eq!(waveform(&[], 4, 4).width(), 1);
        assert_eq!(waveform(&[0.0; 3], 4, 0).height(), 0);
    }
}
