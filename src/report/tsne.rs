//! Places vectors in two dimensions: principal components, then t-SNE from there.

use bhtsne::{Neighbor, tSNE};
use rayon::prelude::*;

use crate::{Error, Result};

/// The effective number of neighbours that place a point (van der Maaten & Hinton 2008).
const PERPLEXITY: usize = 30;

/// With a smaller perplexity, principal components are used: they say more.
const LEAST_PERPLEXITY: usize = 2;

/// Number of points from which on the interpolated gradient is faster. Its grid covers all points; with few
/// points they move so far apart that it becomes huge.
const MANY: usize = 500;

/// How coarsely distant points are grouped when there are fewer than [`MANY`] (Barnes & Hut 1986).
const THETA: f32 = 0.5;

/// Steps; the first 250 exaggerate (like openTSNE).
pub const EPOCHS: usize = 750;

/// A check that fails when a stop was asked for.
type Stop<'a> = &'a (dyn Fn() -> Result<()> + Sync);

/// Hears of each of [`EPOCHS`] steps that was taken.
type Stepped<'a> = &'a (dyn Fn() + Sync);

/// How points were placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// t-SNE with this perplexity.
    Tsne {
        /// About how many neighbours each point has.
        perplexity: usize,
    },
    /// The first two principal components: there are too few points for neighbourhoods.
    Components,
}

/// Points in two dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// How they were placed.
    pub method: Method,
    /// The place of each point: across, and upwards.
    pub points: Vec<[f32; 2]>,
}

/// Places vectors with `channels` channels in two dimensions, by t-SNE on Euclidean distances, starting from
/// the first two principal components. It uses the tree of van der Maaten (2014), from 500 vectors on the
/// interpolated gradient of Linderman et al. (2019).
///
/// The perplexity is 30, less for fewer than 91 vectors; for fewer than 7, the result is the components. The
/// same vectors give the same points, for any number of threads.
///
/// # Errors
/// The error of `stop`, which is called now and then; when no thread can be started. `stepped` hears of every step.
pub fn place(
    vectors: &[f32],
    channels: usize,
    stop: Stop<'_>,
    stepped: Stepped<'_>,
) -> Result<Placed> {
    let count = vectors.len() / channels.max(1);
    let scaled = scaled(vectors, channels);
    let components = principal_components(&scaled, channels);
    let perplexity = PERPLEXITY.min(count.saturating_sub(1) / 3);
    let spread = deviation(components.iter().map(|it| it[0]));
    if perplexity < LEAST_PERPLEXITY || !(spread > 0.0 && spread.is_finite()) {
        return Ok(Placed { method: Method::Components, points: components });
    }
    // Scaled down to the usual size of a random start (Kobak & Berens 2019).
    let start: Vec<f32> = components.iter().flatten().map(|it| it * 1e-4 / spread).collect();
    let neighbours = neighbours(&scaled, channels, 3 * perplexity, stop)?;
    // One thread: sums over several would depend on which finishes first.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let alone = alone.map_err(|error| Error::failed(format!("could not start: {error}")))?;
    let points = alone.install(|| {
        let rows: Vec<usize> = (0..count).collect();
        let mut tsne: tSNE<'_, f32, usize, 2> = tSNE::new(&rows);
        tsne.perplexity(perplexity as f32).epochs(EPOCHS).initial_embedding(start);
        tsne.epoch_callback(|_, _| stepped());
        match count < MANY {
            true => tsne.barnes_hut_with_neighbors(THETA, &neighbours),
            false => tsne.fit_sne_with_neighbors(&neighbours),
        };
        tsne.embedding()
    });
    let (points, _) = points.as_chunks::<2>();
    match points.len() == count && points.iter().flatten().all(|it| it.is_finite()) {
        true => Ok(Placed { method: Method::Tsne { perplexity }, points: points.to_vec() }),
        false => Ok(Placed { method: Method::Components, points: components }),
    }
}

/// Centres the vectors, and scales them to a mean square distance of 1 from the mean. Values that are not
/// finite become 0.
fn scaled(vectors: &[f32], channels: usize) -> Vec<f32> {
    let channels = channels.max(1);
    let count = (vectors.len() / channels).max(1) as f64;
    let finite = |it: &f32| if it.is_finite() { f64::from(*it) } else { 0.0 };
    let mut mean = vec![0.0; channels];
    for vector in vectors.chunks_exact(channels) {
        mean.iter_mut().zip(vector).for_each(|(mean, it)| *mean += finite(it) / count);
    }
    let centred = |vector: &[f32]| -> Vec<f64> {
        vector.iter().zip(&mean).map(|(it, mean)| finite(it) - mean).collect()
    };
    let centred: Vec<f64> = vectors.chunks_exact(channels).flat_map(centred).collect();
    let square = centred.iter().map(|it| it * it).sum::<f64>() / count;
    // If all vectors are equal, the differences that rounding leaves do not count.
    let rounding = 1e-24 * mean.iter().map(|it| it * it).sum::<f64>();
    let scale = if square > rounding { 1.0 / square.sqrt() } else { 0.0 };
    centred.into_iter().map(|it| (it * scale) as f32).collect()
}

fn deviation(values: impl Iterator<Item = f32>) -> f32 {
    let (mut count, mut square) = (0.0f64, 0.0);
    for value in values {
        count += 1.0;
        square += f64::from(value) * f64::from(value);
    }
    (square / f64::max(count, 1.0)).sqrt() as f32
}

/// The first two principal components of centred vectors, by orthogonal iteration (Golub & Van Loan, 8.2.4). It
/// need not converge to tell directions of high variance from others.
fn principal_components(vectors: &[f32], channels: usize) -> Vec<[f32; 2]> {
    const ROUNDS: usize = 50;
    let channels = channels.max(1);
    let project = |axis: &[f64]| -> Vec<f64> {
        let along = |vector: &[f32]| vector.iter().zip(axis).map(|(a, b)| f64::from(*a) * b).sum();
        vectors.chunks_exact(channels).map(along).collect()
    };
    // Any start that is not perpendicular to the components will do: waves of different lengths.
    let wave = |speed: f64| (0..channels).map(|at| (1.0 + speed * at as f64).sin()).collect();
    let mut axes: [Vec<f64>; 2] = [wave(0.7), wave(2.3)];
    for _ in 0..ROUNDS {
        for axis in &mut axes {
            let along = project(axis);
            axis.fill(0.0);
            for (vector, along) in vectors.chunks_exact(channels).zip(along) {
                axis.iter_mut().zip(vector).for_each(|(sum, it)| *sum += along * f64::from(*it));
            }
        }
        let [first, second] = &mut axes;
        normalise(first);
        let common: f64 = first.iter().zip(second.iter()).map(|(a, b)| a * b).sum();
        let size = second.iter().map(|it| it * it).sum::<f64>().sqrt();
        second.iter_mut().zip(first.iter()).for_each(|(it, other)| *it -= common * other);
        // If the second axis is parallel to the first, what rounding leaves of it is not a direction.
        if second.iter().map(|it| it * it).sum::<f64>().sqrt() <= 1e-9 * size {
            second.fill(0.0);
        }
        normalise(second);
    }
    let [first, second] = axes.map(|axis| project(&axis));
    first.into_iter().zip(second).map(|(x, y)| [x as f32, y as f32]).collect()
}

fn normalise(axis: &mut [f64]) {
    let norm = axis.iter().map(|it| it * it).sum::<f64>().sqrt();
    let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
    axis.iter_mut().for_each(|it| *it *= scale);
}

/// The `count` nearest neighbours of each vector, the nearest first. The crate's own search draws at random.
fn neighbours(
    vectors: &[f32],
    channels: usize,
    count: usize,
    stop: Stop<'_>,
) -> Result<Vec<Vec<Neighbor<f32>>>> {
    let rows: Vec<&[f32]> = vectors.chunks_exact(channels).collect();
    let of = |(own, row): (usize, &&[f32])| {
        stop()?;
        let distance = |(index, other): (usize, &&[f32])| {
            let square: f32 = row.iter().zip(*other).map(|(a, b)| (a - b) * (a - b)).sum();
            Neighbor { index, distance: square.sqrt() }
        };
        let others = rows.iter().enumerate().filter(|(index, _)| *index != own);
        let mut others: Vec<Neighbor<f32>> = others.map(distance).collect();
        let nearer = |a: &Neighbor<f32>, b: &Neighbor<f32>| {
            a.distance.total_cmp(&b.distance).then(a.index.cmp(&b.index))
        };
        if count < others.len() {
            others.select_nth_unstable_by(count, nearer);
            others.truncate(count);
        }
        others.sort_unstable_by(nearer);
        Ok(others)
    };
    rows.par_iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;

    /// Clouds of points, `apart` from each other along an axis each.
    fn clouds(each: usize, clouds: usize, channels: usize, apart: f32) -> Vec<f32> {
        let mut draws = generator(1, "clouds", &[]);
        let mut values = Vec::new();
        for row in 0..each * clouds {
            for channel in 0..channels {
                let centre = if channel == row % clouds { apart } else { 0.0 };
                values.push(centre + draws.normal());
            }
        }
        values
    }

    #[test]
    fn clouds_stay_apart() {
        let placed = place(&clouds(60, 3, 8, 12.0), 8, &|| Ok(()), &|| ()).unwrap();
        assert_eq!(placed.method, Method::Tsne { perplexity: 30 });
        // The nearest point on the map belongs to the same cloud.
        for (own, a) in placed.points.iter().enumerate() {
            let far = |b: &[f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
            let others = placed.points.iter().enumerate().filter(|(at, _)| *at != own);
            let nearest = others.min_by(|x, y| far(x.1).total_cmp(&far(y.1))).unwrap().0;
            assert_eq!(nearest % 3, own % 3, "{own} {nearest}");
        }
    }

    #[test]
    fn the_same_vectors_are_placed_alike() {
        let vectors = clouds(40, 2, 5, 6.0);
        let few = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let first = place(&vectors, 5, &|| Ok(()), &|| ()).unwrap();
        assert_eq!(first, few.install(|| place(&vectors, 5, &|| Ok(()), &|| ()).unwrap()));
    }

    #[test]
    fn few_points_and_points_without_a_difference_are_placed_too() {
        for count in 0..12 {
            for vectors in
                [clouds(count, 1, 3, 1.0), vec![2.5; 3 * count], vec![f32::NAN; 3 * count]]
            {
                let placed = place(&vectors, 3, &|| Ok(()), &|| ()).unwrap();
                assert_eq!(placed.points.len(), count);
                assert!(placed.points.iter().flatten().all(|it| it.is_finite()));
                let components = count < 7 || vectors[0] == 2.5 || vectors[0].is_nan();
                assert_eq!(placed.method == Method::Components, components, "{count}");
            }
        }
        assert_eq!(place(&clouds(50, 1, 1, 3.0), 1, &|| Ok(()), &|| ()).unwrap().points.len(), 50);
        assert!(place(&[], 0, &|| Ok(()), &|| ()).unwrap().points.is_empty());
    }

    #[test]
    fn components_are_the_directions_of_highest_variance() {
        // Along (3, 4) with deviation 5, along (-4, 3) with 1, none along the third.
        let rows: Vec<[f32; 3]> = [(-5.0, 1.0), (5.0, 1.0), (-5.0, -1.0), (5.0, -1.0)]
            .map(|(a, b): (f32, f32)| [0.6 * a - 0.8 * b, 0.8 * a + 0.6 * b, 7.0])
            .to_vec();
        let scaled = scaled(rows.as_flattened(), 3);
        let found = principal_components(&scaled, 3);
        let unit = 26f32.sqrt();
        for (found, [x, y]) in
            found.iter().zip([[-5.0, 1.0], [5.0, 1.0], [-5.0, -1.0], [5.0, -1.0]])
        {
            assert!((found[0].abs() * unit - f32::abs(x)).abs() < 1e-3, "{found:?}");
            assert!((found[1].abs() * unit - f32::abs(y)).abs() < 1e-3, "{found:?}");
        }
        assert_eq!(found[0][0].signum(), -found[1][0].signum());
        assert_eq!(found[0][1].signum(), -found[2][1].signum());
    }
}
