//! Activations that were made elsewhere: `[data.activations]`, and how one row of them is seen.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Map, SampleSize};

/// The most values of a row. A dataset stores a row as one page.
const MOST_VALUES: usize = 1 << 28;

/// Files or datasets of activations: `[data.activations]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActivationFiles {
    /// Paths or globs of the training split, or the place of one dataset.
    pub train: Vec<String>,
    /// Paths or globs of the test split, or the place of one dataset.
    pub test: Vec<String>,
    /// One of this many rows of `train` is of the test split, and the others of the training split; `test` is empty
    /// then.
    pub hold_out: Option<usize>,
    /// The folder that relative paths start from: `data.root`, else `GIMLET_DATA`, else the pipeline file's folder.
    pub root: PathBuf,
    /// The column, array or tensor that holds the activations; the only one there is when `None`.
    pub column: Option<String>,
    /// Where the labels lie.
    pub labels: RowLabels,
}

/// Where the labels of activations lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RowLabels {
    /// In a column called `label`, if the files have it.
    #[default]
    IfThere,
    /// The rows have no labels.
    Without,
    /// In a column, array or tensor of the files.
    Column(String),
    /// In a CSV file with the columns `id` and `label`.
    Csv(String),
}

impl RowLabels {
    /// What `data.activations.labels` means: a name that ends in `.csv` is a file, any other a column.
    pub fn named(name: &str) -> Self {
        let is_csv = name.len() > 4 && name.to_ascii_lowercase().ends_with(".csv");
        if is_csv { Self::Csv(name.to_owned()) } else { Self::Column(name.to_owned()) }
    }
}

/// How a row of activations is seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ActivationView {
    /// What a row is; found from its shape when `None`.
    pub kind: Option<ActivationKind>,
    /// Rows and columns of the grid; found from the shape when `None`.
    pub grid: Option<[usize; 2]>,
    /// The channels that the first module expects (`in_channels`), if it says so.
    #[serde(skip)]
    pub expected: Option<usize>,
}

/// What a row of activations is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationKind {
    /// A grid of patches, each a vector or a map of its own.
    Grid,
    /// A sequence of vectors.
    Steps,
    /// One map, as of an image.
    Map,
    /// One vector.
    Vector,
}

impl ActivationKind {
    /// A sample of this kind, in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Grid => "a grid",
            Self::Steps => "a sequence of steps",
            Self::Map => "one map",
            Self::Vector => "one vector",
        }
    }
}

/// What lies at each place of a row of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What the row is.
    pub kind: ActivationKind,
    /// The map of a patch; of a sequence, one step.
    pub map: Map,
    /// Bytes of a value in the run's own copy; `None` where rows are read where they lie.
    pub copied: Option<usize>,
}

/// Why a row cannot be seen, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// What does not fit.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl ActivationView {
    /// The size of rows of this shape.
    ///
    /// # Errors
    /// When the shape is not what the view says, or may be several things.
    pub fn seen(&self, shape: &[usize]) -> Result<SampleSize, Unseen> {
        use ActivationKind::{Grid, Map as OneMap, Steps, Vector};
        let values = shape.iter().try_fold(1usize, |all, side| all.checked_mul(*side));
        if shape.is_empty() || !values.is_some_and(|it| (1..=MOST_VALUES).contains(&it)) {
            return Err(Unseen {
                message: format!("rows of shape {shape:?} do not have 1 to {MOST_VALUES} values"),
                hint:
                    "the first dimension of an array counts its rows, the others are those of a row"
                        .to_owned(),
            });
        }
        let kind = match (self.kind, self.grid, shape) {
            (Some(kind), ..) => kind,
            (None, Some(_), _) => Grid,
            (None, None, [front @ .., _]) if front.iter().all(|it| *it == 1) => Vector,
            (None, None, [1, 1, _, _]) => Steps,
            (None, None, [1, _, _, _]) => OneMap,
            (None, None, _) => Grid,
        };
        let map = |height: usize, width: usize, channels: usize| Map { height, width, channels };
        let size = |height, width, map| SampleSize {
            height,
            width,
            cell: Some(Cell { kind, map, copied: None }),
        };
        match (kind, shape) {
            (Vector, [front @ .., channels]) if front.iter().all(|it| *it == 1) => {
                Ok(size(1, 1, map(1, 1, *channels)))
            }
            (Steps, [steps, channels] | [1, 1, steps, channels]) => {
                Ok(size(1, *steps, map(1, 1, *channels)))
            }
            (OneMap, [height, width, channels] | [1, height, width, channels]) => {
                Ok(size(1, 1, map(*height, *width, *channels)))
            }
            (Grid, [patches, channels]) => {
                let [rows, columns] = self.grid_of(*patches, shape)?;
                Ok(size(rows, columns, map(1, 1, *channels)))
            }
            (Grid, [patches, height, width, channels]) => {
                let [rows, columns] = self.grid_of(*patches, shape)?;
                Ok(size(rows, columns, map(*height, *width, *channels)))
            }
            (Grid, [rows, columns, channels]) => {
                self.check_grid([*rows, *columns], shape)?;
                Ok(size(*rows, *columns, map(1, 1, *channels)))
            }
            (Grid, [rows, columns, height, width, channels]) => {
                self.check_grid([*rows, *columns], shape)?;
                Ok(size(*rows, *columns, map(*height, *width, *channels)))
            }
            _ => Err(Unseen {
                message: format!("rows of shape {shape:?} are not {}", kind.in_words()),
                hint: "`view.kind` is \"grid\" for [patches, channels], [rows, columns, channels] or \
                       [patches, height, width, channels], \"steps\" for [steps, channels], \"map\" for \
                       [height, width, channels], \"vector\" for [channels]"
                    .to_owned(),
            }),
        }
    }

    /// Rows and columns of a grid of `patches` patches.
    fn grid_of(&self, patches: usize, shape: &[usize]) -> Result<[usize; 2], Unseen> {
        if let Some([rows, columns]) = self.grid {
            return match rows.checked_mul(columns) {
                Some(all) if all == patches => Ok([rows, columns]),
                all => Err(Unseen {
                    message: format!(
                        "a grid of {rows}x{columns} has {} patches, rows of shape {shape:?} have {patches}",
                        all.map_or("more".to_owned(), |it| it.to_string())
                    ),
                    hint: "set `view.grid` to numbers whose product is the number of patches"
                        .to_owned(),
                }),
            };
        }
        let side = patches.isqrt();
        if side * side == patches {
            return Ok([side, side]);
        }
        Err(Unseen {
            message: format!(
                "rows of shape {shape:?} may be a grid or a sequence: {patches} is not the square of a number"
            ),
            hint: "set `view.grid = [rows, columns]`, or `view.kind = \"steps\"` for a sequence"
                .to_owned(),
        })
    }

    fn check_grid(&self, found: [usize; 2], shape: &[usize]) -> Result<(), Unseen> {
        match self.grid {
            Some(grid) if grid != found => Err(Unseen {
                message: format!(
                    "`view.grid` is {}x{}, rows of shape {shape:?} have a grid of {}x{}",
                    grid[0], grid[1], found[0], found[1]
                ),
                hint: "leave out `view.grid`".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(
        view: &ActivationView,
        shape: &[usize],
    ) -> Result<(ActivationKind, [usize; 5]), String> {
        let size = view.seen(shape).map_err(|it| it.message)?;
        let Cell { kind, map, .. } = size.cell.unwrap();
        Ok((kind, [size.height, size.width, map.height, map.width, map.channels]))
    }

    #[test]
    fn a_shape_tells_what_a_row_is() {
        use ActivationKind::{Grid, Map, Steps, Vector};
        let plain = ActivationView::default();
        for (shape, kind, size) in [
            (vec![64], Vector, [1, 1, 1, 1, 64]),
            (vec![1, 64], Vector, [1, 1, 1, 1, 64]),
            (vec![1, 1, 1, 64], Vector, [1, 1, 1, 1, 64]),
            (vec![196, 8], Grid, [14, 14, 1, 1, 8]),
            (vec![2, 3, 8], Grid, [2, 3, 1, 1, 8]),
            (vec![9, 4, 4, 8], Grid, [3, 3, 4, 4, 8]),
            (vec![2, 3, 4, 5, 8], Grid, [2, 3, 4, 5, 8]),
            (vec![1, 1, 50, 8], Steps, [1, 50, 1, 1, 8]),
            (vec![1, 7, 7, 8], Map, [1, 1, 7, 7, 8]),
        ] {
            assert_eq!(seen(&plain, &shape), Ok((kind, size)), "{shape:?}");
        }
    }

    #[test]
    fn a_view_says_what_a_shape_does_not() {
        use ActivationKind::{Grid, Map, Steps, Vector};
        let of = |kind| ActivationView { kind: Some(kind), ..ActivationView::default() };
        let grid = |grid| ActivationView { grid: Some(grid), ..ActivationView::default() };
        assert_eq!(seen(&of(Steps), &[49, 8]), Ok((Steps, [1, 49, 1, 1, 8])));
        assert_eq!(seen(&of(Map), &[7, 6, 8]), Ok((Map, [1, 1, 7, 6, 8])));
        assert_eq!(seen(&grid([2, 3]), &[6, 8]), Ok((Grid, [2, 3, 1, 1, 8])));
        for (view, shape, told) in [
            (ActivationView::default(), vec![197, 8], "197 is not the square"),
            (grid([2, 3]), vec![7, 8], "a grid of 2x3 has 6 patches"),
            (grid([2, 3]), vec![3, 2, 8], "`view.grid` is 2x3"),
            (of(Vector), vec![2, 8], "are not one vector"),
            (of(Steps), vec![3, 3, 8], "are not a sequence of steps"),
            (ActivationView::default(), vec![], "do not have 1 to"),
            (ActivationView::default(), vec![0, 8], "do not have 1 to"),
            (ActivationView::default(), vec![usize::MAX, 8], "do not have 1 to"),
            (grid([usize::MAX, 2]), vec![7, 8], "has more patches"),
        ] {
            let error = seen(&view, &shape).unwrap_err();
            assert!(error.contains(told), "{shape:?}: {error}");
        }
    }
}
