//! Rows on their way into a dataset.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::schema::{DType, Schema};

/// Rows to be written, column by column, borrowed from the caller.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The stable id of each sample.
    pub ids: &'a [i64],
    /// The label of each sample that has one.
    pub labels: &'a [Option<i64>],
    /// Where each sample came from, when the schema has sources.
    pub sources: Option<&'a [String]>,
    /// The values of each attribute, one per row.
    pub attributes: &'a [&'a [i64]],
    /// The values of each tensor column, row after row: `rows * product(shape)`.
    pub tensors: &'a [Values<'a>],
}

/// Rows of one tensor column, borrowed from the caller.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Values for a `u8` column.
    U8(&'a [u8]),
    /// Values for an `f32` column. For an `f16`, `bf16` or `i8` column they are rounded.
    F32(&'a [f32]),
}

impl Values<'_> {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::U8(values) => Self::U8(&values[range]),
            Self::F32(values) => Self::F32(&values[range]),
        }
    }
}

impl Rows<'_> {
    /// Refuses rows that do not fit the schema.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        let rows = self.ids.len();
        let fail = |what: String| Err(Error::failed(format_args!("{rows} rows: {what}")));
        if self.labels.len() != rows {
            return fail(format!("there are {} labels", self.labels.len()));
        }
        if let Some(names) = &schema.label_names {
            let named = |label: &i64| usize::try_from(*label).is_ok_and(|at| at < names.len());
            if let Some(label) = self.labels.iter().flatten().find(|label| !named(label)) {
                return fail(format!("label {label} has no name; there are {}", names.len()));
            }
        }
        if self.sources.map(<[String]>::len) != schema.source.then_some(rows) {
            return fail("the sources are not those that the schema asks for".into());
        }
        if self.attributes.len() != schema.attributes.len()
            || self.attributes.iter().any(|values| values.len() != rows)
        {
            return fail("the attributes are not those that the schema asks for".into());
        }
        if self.tensors.len() != schema.columns.len() {
            return fail(format!(
                "there are {} tensor columns, the schema has {}",
                self.tensors.len(),
                schema.columns.len()
            ));
        }
        for (values, column) in self.tensors.iter().zip(&schema.columns) {
            let name = &column.name;
            if matches!(values, Values::U8(_)) != (column.dtype == DType::U8) {
                return fail(format!("column `{name}` is of type {:?}", column.dtype));
            }
            if rows.checked_mul(column.values()) != Some(values.len()) {
                let (found, shape) = (values.len(), &column.shape);
                return fail(format!("column `{name}` has {found} values, not rows of {shape:?}"));
            }
        }
        Ok(())
    }

    /// Calls `take` with the rows in a range.
    pub(crate) fn with_slice<T>(
        &self,
        range: Range<usize>,
        schema: &Schema,
        take: impl FnOnce(&Rows) -> T,
    ) -> T {
        let attributes: Vec<_> = self.attributes.iter().map(|it| &it[range.clone()]).collect();
        let columns = self.tensors.iter().zip(&schema.columns);
        let tensors: Vec<_> = columns
            .map(|(values, column)| {
                values.slice(range.start * column.values()..range.end * column.values())
            })
            .collect();
        take(&Rows {
            ids: &self.ids[range.clone()],
            labels: &self.labels[range.clone()],
            sources: self.sources.map(|sources| &sources[range]),
            attributes: &attributes,
            tensors: &tensors,
        })
    }
}
