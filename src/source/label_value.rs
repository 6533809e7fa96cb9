//! Reads the values of a Parquet label column: whole numbers of any width, also as floats or booleans, or text.

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};

/// The kinds of columns that labels are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelType {
    /// A column without values: no row has a label.
    Null,
    Boolean,
    Integer,
    /// Whole numbers as floats. Pandas stores integers so if some are missing.
    Float,
    Text,
}

impl LabelType {
    /// The type of a column; `None` if no labels can be read from it. A dictionary has the type of its values.
    pub fn of(column: &DataType) -> Option<Self> {
        match column {
            DataType::Null => Some(Self::Null),
            DataType::Boolean => Some(Self::Boolean),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Some(Self::Float),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            DataType::Dictionary(_, values) => Self::of(values),
            kind if kind.is_integer() => Some(Self::Integer),
            _ => None,
        }
    }
}

/// The labels of some rows.
pub(super) enum Values {
    Nulls(usize),
    Numbers(Vec<Option<i128>>),
    Texts(LargeStringArray),
}

/// Why labels cannot be read.
pub(super) enum Wrong {
    /// The number at this place is not whole.
    NotWhole(usize, f64),
    /// The column does not hold what its type says.
    Damaged(String),
}

/// The limit for floats. Beyond it, floats do not represent every whole number.
const MOST_FLOAT: f64 = 9_007_199_254_740_992.0;

impl Values {
    /// The labels in an array of this type; a NaN is no label.
    ///
    /// # Errors
    /// When a float is not whole, or the array is damaged.
    pub fn of(array: &ArrayRef, kind: LabelType) -> Result<Self, Wrong> {
        let cast = |to: &DataType| cast(array, to).map_err(|it| Wrong::Damaged(it.to_string()));
        match kind {
            LabelType::Null => Ok(Self::Nulls(array.len())),
            LabelType::Text => {
                Ok(Self::Texts(cast(&DataType::LargeUtf8)?.as_string::<i64>().clone()))
            }
            LabelType::Integer if is_unsigned(array.data_type()) => {
                let array = cast(&DataType::UInt64)?;
                let values = array.as_primitive::<UInt64Type>().iter();
                Ok(Self::Numbers(values.map(|it| it.map(i128::from)).collect()))
            }
            LabelType::Boolean | LabelType::Integer => {
                let array = cast(&DataType::Int64)?;
                let values = array.as_primitive::<Int64Type>().iter();
                Ok(Self::Numbers(values.map(|it| it.map(i128::from)).collect()))
            }
            LabelType::Float => {
                let array = cast(&DataType::Float64)?;
                let values = array.as_primitive::<Float64Type>().iter();
                let whole = |(place, value): (usize, Option<f64>)| match value {
                    Some(value) if value.is_nan() => Ok(None),
                    Some(value) if value.fract() != 0.0 || value.abs() > MOST_FLOAT => {
                        Err(Wrong::NotWhole(place, value))
                    }
                    value => Ok(value.map(|it| it as i128)),
                };
                Ok(Self::Numbers(values.enumerate().map(whole).collect::<Result<_, _>>()?))
            }
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Nulls(rows) => *rows,
            Self::Numbers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

fn is_unsigned(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_unsigned(values),
        kind => kind.is_unsigned_integer(),
    }
}
