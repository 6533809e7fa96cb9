//! Eigenvalues of a symmetric matrix, in f64: Householder's reduction to tridiagonal form, then bisection with Sturm
//! counts (Golub and Van Loan, "Matrix Computations", 4th edition, sections 8.3.1 and 8.4.1).

/// The eigenvalues of a symmetric matrix `[size, size]`, in rows, smallest first. They are exact within about 1e-15
/// times the largest. Only the lower triangle is read. Values must be finite.
pub fn symmetric_eigenvalues(matrix: Vec<f64>, size: usize) -> Vec<f64> {
    assert_eq!(matrix.len(), size * size, "the matrix has {size} rows");
    let (diagonal, beside) = tridiagonal(matrix, size);
    // Every eigenvalue lies in one of Gershgorin's discs.
    let at = |place: Option<usize>| place.and_then(|it| beside.get(it)).map_or(0.0, |it| it.abs());
    let radius = |row: usize| at(row.checked_sub(1)) + at(Some(row));
    let bound = |sign: f64| {
        let ends = diagonal.iter().enumerate().map(|(row, it)| it * sign + radius(row));
        sign * ends.fold(f64::NEG_INFINITY, f64::max)
    };
    let (low, high) = (bound(-1.0), bound(1.0));
    let squares: Vec<f64> = beside.iter().map(|it| it * it).collect();
    let exact = f64::MIN_POSITIVE.max(f64::EPSILON * low.abs().max(high.abs()));
    let tiny = f64::MIN_POSITIVE.max(f64::EPSILON * exact);
    let eigenvalue = |index| {
        let (mut low, mut high) = (low, high);
        while high - low > exact {
            let middle = low + (high - low) / 2.0;
            match below(&diagonal, &squares, middle, tiny) > index {
                true => high = middle,
                false => low = middle,
            }
        }
        low + (high - low) / 2.0
    };
    (0..size).map(eigenvalue).collect()
}

/// Counts the eigenvalues of a tridiagonal matrix that are smaller than `x`: the negative pivots of its LDL^T. `squares`
/// are those of the values beside the diagonal. A pivot of 0 counts as `-tiny`.
fn below(diagonal: &[f64], squares: &[f64], x: f64, tiny: f64) -> usize {
    let (mut count, mut pivot) = (0, 1.0);
    for (row, value) in diagonal.iter().enumerate() {
        let square = if row == 0 { 0.0 } else { squares[row - 1] };
        pivot = value - x - square / pivot;
        if pivot.abs() < tiny {
            pivot = -tiny;
        }
        count += usize::from(pivot < 0.0);
    }
    count
}

/// Reduces a symmetric matrix to tridiagonal form by reflections. Returns its diagonal and the values beside it.
fn tridiagonal(mut matrix: Vec<f64>, size: usize) -> (Vec<f64>, Vec<f64>) {
    let mut beside = Vec::with_capacity(size.saturating_sub(1));
    for column in 0..size.saturating_sub(1) {
        let start = column + 1;
        let mut v: Vec<f64> = (start..size).map(|row| matrix[row * size + column]).collect();
        let norm = v.iter().map(|it| it * it).sum::<f64>().sqrt();
        let alpha = if v[0] > 0.0 { -norm } else { norm };
        beside.push(alpha);
        v[0] -= alpha;
        let square: f64 = v.iter().map(|it| it * it).sum();
        if square == 0.0 {
            continue;
        }
        // A' = (I - s v v^T) A (I - s v v^T) = A - v w^T - w v^T, with s = 2 / v^T v.
        let scale = 2.0 / square;
        let mut w = product(&matrix, size, start, &v);
        let half = scale * scale * dot(&w, &v) / 2.0;
        w.iter_mut().zip(&v).for_each(|(w, v)| *w = scale * *w - half * v);
        for (place, row) in (start..size).enumerate() {
            let (v_row, w_row) = (v[place], w[place]);
            let values = &mut matrix[row * size + start..=row * size + row];
            for ((value, v), w) in values.iter_mut().zip(&v).zip(&w) {
                *value -= v_row * w + w_row * v;
            }
        }
    }
    ((0..size).map(|row| matrix[row * size + row]).collect(), beside)
}

/// The product of the symmetric block that begins at row and column `start` with `v`, from its lower triangle.
fn product(matrix: &[f64], size: usize, start: usize, v: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; v.len()];
    for (place, row) in (start..size).enumerate() {
        let values = &matrix[row * size + start..row * size + row];
        let own = v[place];
        product[place] += matrix[row * size + row] * own + dot(values, v);
        product.iter_mut().zip(values).for_each(|(it, value)| *it += value * own);
    }
    product
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::symmetric_eigenvalues;

    /// `Q D Q^T` for the reflection Q at `v`.
    fn with_eigenvalues(eigenvalues: &[f64], v: &[f64]) -> Vec<f64> {
        let size = eigenvalues.len();
        let square: f64 = v.iter().map(|it| it * it).sum();
        let q = |row: usize, column: usize| {
            f64::from(u8::from(row == column)) - 2.0 * v[row] * v[column] / square
        };
        let value = |row, column| -> f64 {
            (0..size).map(|k| q(row, k) * eigenvalues[k] * q(column, k)).sum()
        };
        (0..size * size).map(|place| value(place / size, place % size)).collect()
    }

    proptest::proptest! {
        #[test]
        fn eigenvalues_are_those_that_a_matrix_was_made_with(
            pairs in proptest::collection::vec((-100.0..100.0f64, 0.1..1.0f64), 1..24),
        ) {
            let (mut eigenvalues, v): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let matrix = with_eigenvalues(&eigenvalues, &v);
            let found = symmetric_eigenvalues(matrix, eigenvalues.len());
            eigenvalues.sort_by(f64::total_cmp);
            for (found, eigenvalue) in found.iter().zip(&eigenvalues) {
                proptest::prop_assert!((found - eigenvalue).abs() < 1e-10, "{found} for {eigenvalue}");
            }
        }
    }

    #[test]
    fn a_matrix_of_rank_one_has_one_eigenvalue_that_is_not_0() {
        let found = symmetric_eigenvalues(vec![1.0; 49], 7);
        assert!((found[6] - 7.0).abs() < 1e-12, "{found:?}");
        assert!(found[..6].iter().all(|it| it.abs() < 1e-12), "{found:?}");
        assert_eq!(symmetric_eigenvalues(vec![0.0; 9], 3), [0.0; 3]);
        assert_eq!(symmetric_eigenvalues(vec![-4.0], 1), [-4.0]);
        assert!(symmetric_eigenvalues(vec![], 0).is_empty());
    }
}
