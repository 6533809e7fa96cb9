//! Measures of representations against numpy, SciPy and scikit-learn, and their properties.
//!
//! The golden values were made in Python from the same numbers (`draws` below, a linear congruential
//! generator; `z`, `y`, `bank` and `queries` rounded to f32, then computed in f64), by: `svd` and the
//! paper's formula (RankMe), `pdist(u, "sqeuclidean")` (uniformity), `u.std(0)` (feature deviation),
//! slices of `u` (alignment), `norm(y.T @ x)` in feature space (CKA), and
//! `KNeighborsClassifier(20, metric="cosine", weights=lambda d: exp((1 - d) / 0.07))` (k-NN).

use gimlet::probe::alignment::Alignment;
use gimlet::probe::cka::Representation;
use gimlet::probe::confusion;
use gimlet::probe::feature_std::deviations;
use gimlet::probe::knn;
use gimlet::probe::linear::{self, Rows};
use gimlet::probe::rank_me::rank_me;
use gimlet::probe::uniformity::uniformity;
use proptest::prelude::*;

fn draws(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    (0..count).map(|_| draw()).collect()
}

/// `[60, 7]`.
fn z() -> Vec<f32> {
    let scales = [1.0, 2.0, 0.5, 1.0, 0.1, 3.0, 1.0];
    let values = draws(60 * 7, 1).into_iter().enumerate();
    values.map(|(place, it)| (it * scales[place % 7] + 0.3) as f32).collect()
}

/// `count` rows of 6 features, of classes 0 to 3 in turn.
fn classes(count: usize, seed: u64) -> Rows {
    let values = draws(count * 6, seed).into_iter().enumerate();
    let vectors = values.map(|(place, it)| {
        let (row, feature) = (place / 6, place % 6);
        (it + if feature == row % 4 { 0.35 } else { 0.0 }) as f32
    });
    Rows { vectors: vectors.collect(), labels: (0..count as u32).map(|row| row % 4).collect() }
}

fn close(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-6 * other.abs(), "{one}, not {other}");
}

fn cka(x: (&[f32], usize), y: (&[f32], usize)) -> Option<f64> {
    let [x, y] = [x, y].map(|(it, channels)| Representation::of(it, channels).unwrap());
    x.cka(&y).unwrap()
}

#[test]
fn measures_are_those_of_numpy() {
    let z = z();
    close(rank_me(&z, 7).unwrap().unwrap(), 5.419328094311722);
    close(rank_me(&z[..5 * 7], 7).unwrap().unwrap(), 3.7717152206376396);
    close(uniformity(&z, 7).unwrap().unwrap(), -1.6333012981297246);
    close(deviations(&z, 7).unwrap().feature_std, 0.6821605574665514);
    close(Alignment::of(&z, [4, 3, 7], &(2..=3)).mean().unwrap(), 1.2322352758381347);
    let y = draws(60 * 4, 2).into_iter().enumerate();
    let y: Vec<f32> =
        y.map(|(place, it)| (f64::from(z[place / 4 * 7 + place % 4]) * 0.5 + it) as f32).collect();
    close(cka((&z, 7), (&y, 4)).unwrap(), 0.16669026143081891);
}

#[test]
fn neighbours_are_those_of_scikit_learn() {
    let expected = [
        1, 0, 1, 3, 3, 1, 3, 2, 0, 1, 2, 3, 0, 0, 2, 3, 0, 1, 2, 3, 2, 0, 2, 3, 3, 3, 2, 0, 0, 3,
        2, 2, 1, 1, 1, 1, 1, 0, 1, 3, 0, 1, 1, 1, 3, 1, 1, 3, 0, 1,
    ];
    let (bank, queries) = (classes(200, 3), classes(50, 4));
    assert_eq!(knn::predictions(&bank, &queries, 20, || Ok(())).unwrap(), expected);
    assert_eq!(knn::accuracy(&bank, &queries, 20, || Ok(())).unwrap(), 0.52);
}

#[test]
fn what_has_no_measure_has_none() {
    assert_eq!(rank_me(&[], 3).unwrap(), None);
    assert_eq!(rank_me(&[0.0; 12], 3).unwrap(), None);
    assert_eq!(uniformity(&[1.0, 2.0], 2).unwrap(), None);
    assert_eq!(deviations(&[], 4), None);
    assert_eq!(Alignment::of(&[1.0; 12], [2, 2, 3], &(2..=4)).mean(), None);
    assert_eq!(cka((&[1.0; 12], 3), (&z()[..4], 1)), None, "a constant");
    // One channel has one direction.
    close(rank_me(&[1.0, 2.0, -3.0], 1).unwrap().unwrap(), 1.0);
    assert!(deviations(&[3.0; 8], 2).unwrap().dead_share == 1.0);
    assert!(deviations(&[3.0; 8], 2).unwrap().feature_std == 0.0);
    assert!(rank_me(&[f32::NAN, 1.0], 1).is_err());
}

#[test]
fn a_channel_that_hardly_varies_is_dead() {
    let vectors: Vec<f32> =
        z().chunks(7).flat_map(|it| [it[0], 5.0, it[1], it[2] * 1e-5]).collect();
    assert_eq!(deviations(&vectors, 4).unwrap().dead_share, 0.5);
}

#[test]
fn predictions_are_what_accuracy_counts() {
    let settings = gimlet::pipeline::Probe { epochs: 10, batch: 16, learning_rate: 0.01 };
    let (train, test) = (classes(80, 5), classes(40, 6));
    let found = linear::predictions(&train, &test, &settings, 7, || Ok(())).unwrap();
    let accuracy = linear::accuracy(&train, &test, &settings, 7).unwrap();
    let counts = confusion::matrix(&found, &test.labels).unwrap();
    let right: u64 = (0..counts.len()).map(|class| counts[class][class]).sum();
    assert_eq!(accuracy, right as f64 / 40.0);
    assert!(accuracy > 0.3, "better than a guess: {accuracy}");
    assert_eq!(counts.iter().flatten().sum::<u64>(), 40);
    assert_eq!(confusion::pairs(&found, &test.labels), confusion::pairs_of(&counts));
    assert_eq!(confusion::matrix(&[0, 100], &[1, 1]), None, "too many classes");
}

#[test]
fn of_equal_neighbours_and_votes_the_lower_class_is_found() {
    let bank = Rows { vectors: vec![1.0, 0.0, 2.0, 0.0, 3.0, 0.0], labels: vec![5, 2, 9] };
    let query = Rows { vectors: vec![1.0, 0.0], labels: vec![0] };
    for k in [1, 2, 3, 50] {
        assert_eq!(knn::predictions(&bank, &query, k, || Ok(())).unwrap(), [2], "k = {k}");
    }
}

#[test]
fn neighbours_can_be_stopped() {
    let rows = classes(10, 1);
    let stopped = || Err(gimlet::Error::new(gimlet::Kind::Interrupted, "stop"));
    assert!(knn::predictions(&rows, &rows, 3, stopped).is_err());
}

/// Labelled rows of small whole numbers, so that many are equally similar.
fn rows(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<([i8; 3], u32)>> {
    prop::collection::vec((prop::array::uniform3(-2i8..3), 0u32..3), count)
}

fn to_rows(rows: &[([i8; 3], u32)]) -> Rows {
    let vectors = rows.iter().flat_map(|it| it.0.map(f32::from)).collect();
    Rows { vectors, labels: rows.iter().map(|it| it.1).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_the_bank_changes_nothing(
        (bank, shuffled) in rows(1..40).prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        queries in rows(1..10),
        k in 1usize..25,
    ) {
        let queries = to_rows(&queries);
        let found = |bank: &[([i8; 3], u32)]| {
            knn::predictions(&to_rows(bank), &queries, k, || Ok(())).unwrap()
        };
        prop_assert_eq!(found(&bank), found(&shuffled));
    }

    /// More rows than a block holds, against sorting all of them.
    #[test]
    fn neighbours_are_those_of_a_full_search(seed in any::<u64>(), k in 1usize..40) {
        let (bank, queries) = (classes(2100, seed), classes(300, seed ^ 1));
        let found = knn::predictions(&bank, &queries, k, || Ok(())).unwrap();
        let cosine = |one: &[f32], other: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
        };
        let mut differ = 0;
        for (query, found) in queries.vectors.chunks(6).zip(found) {
            let mut all: Vec<(f64, u32)> =
                bank.vectors.chunks(6).map(|it| cosine(query, it)).zip(bank.labels.clone()).collect();
            all.sort_by(|one, other| other.0.total_cmp(&one.0));
            let mut votes = [0.0; 4];
            all[..k].iter().for_each(|(s, class)| votes[*class as usize] += (s / 0.07).exp());
            let best = (0..4).max_by(|a, b| votes[*a].total_cmp(&votes[*b])).unwrap();
            differ += usize::from(best as u32 != found);
        }
        // Rounding decides where two are nearly equal.
        prop_assert!(differ <= 1, "{differ} of 300");
    }

    /// Turned, scaled and shifted, a representation is the same.
    #[test]
    fn cka_sees_no_rotation_scale_or_shift(
        angle in 0.0f32..6.0, scale in 0.01f32..100.0, shift in -5.0f32..5.0,
    ) {
        let z = z();
        let (sin, cos) = angle.sin_cos();
        let turned: Vec<f32> = z.chunks(7).flat_map(|it| {
            let mut out = <[f32; 7]>::try_from(it).unwrap();
            (out[1], out[5]) = (cos * it[1] - sin * it[5], sin * it[1] + cos * it[5]);
            out.map(|it| scale * (it + shift))
        }).collect();
        prop_assert!((cka((&z, 7), (&turned, 7)).unwrap() - 1.0).abs() < 1e-4);
        let other: Vec<f32> = draws(60 * 3, 9).into_iter().map(|it| it as f32).collect();
        let (one, two) = (cka((&z, 7), (&other, 3)).unwrap(), cka((&turned, 7), (&other, 3)).unwrap());
        prop_assert!((one - two).abs() < 1e-4);
        prop_assert!((one - cka((&other, 3), (&z, 7)).unwrap()).abs() < 1e-9, "symmetric");
    }

    #[test]
    fn rank_lies_between_one_and_the_channels(seed in any::<u64>(), rows in 1usize..30) {
        let z: Vec<f32> = draws(rows * 5, seed).into_iter().map(|it| it as f32).collect();
        let rank = rank_me(&z, 5).unwrap().unwrap();
        prop_assert!(rank > 0.999 && rank < 5f64.min(rows as f64) + 0.001, "{rank}");
        // Copies of channels add no direction.
        let twice: Vec<f32> = z.chunks(5).flat_map(|it| [it, it].concat()).collect();
        prop_assert!((rank_me(&twice, 10).unwrap().unwrap() - rank).abs() < 1e-3);
    }
}
