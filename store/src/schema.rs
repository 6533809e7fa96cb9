//! The schema of a dataset, in our form, in Arrow's and in Parquet's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowSchemaConverter, encode_arrow_schema};
use parquet::file::metadata::KeyValue;
use parquet::schema::types::SchemaDescriptor;
use serde::{Deserialize, Serialize};

use crate::compression::Compression;
use crate::error::{Error, Result};

/// The first columns of every dataset; `source` only when the schema says so.
pub(crate) const ID: &str = "id";
pub(crate) const LABEL: &str = "label";
pub(crate) const SOURCE: &str = "source";

/// The most values in a row: a row is one page, and a page has at most 2 GiB.
const MAX_VALUES: usize = 1 << 28;

/// The type of the values of a tensor column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// Whole numbers from 0 to 255.
    U8,
    /// Whole numbers from -127 to 127 times a scale, one for each row and channel (the last
    /// dimension). The scales are a column of their own, `NAME_scale`.
    I8,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a single: 8 bits of exponent and 7 of fraction.
    Bf16,
    /// IEEE 754 single precision.
    F32,
}

impl DType {
    /// Bytes of a value on disk before compression.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::U8 => DataType::UInt8,
            Self::I8 => DataType::Int8,
            Self::F16 => DataType::Float16,
            // Neither Arrow nor Parquet has the type, so its bytes stand for it.
            Self::Bf16 => DataType::FixedSizeBinary(2),
            Self::F32 => DataType::Float32,
        }
    }
}

/// A column of tensors of one shape, one tensor per row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name: ASCII letters, digits and `_`.
    pub name: String,
    /// The type of a value.
    pub dtype: DType,
    /// The size of each dimension, the slowest first: `[patches, h, w, channels]`.
    pub shape: Vec<usize>,
    /// The name of each dimension, or no names at all.
    pub dims: Vec<String>,
    /// The compression of its pages. A writer fills it in.
    #[serde(default, skip_serializing_if = "Compression::is_none")]
    pub compression: Compression,
}

impl Column {
    /// A column with this name, type and shape, and without names for its dimensions.
    pub fn new(name: impl Into<String>, dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        let (name, shape, dims) = (name.into(), shape.into(), Vec::new());
        Self { name, dtype, shape, dims, compression: Compression::None }
    }

    /// Values in a row: the product of the shape.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of a row's values on disk before compression, scales included.
    pub fn row_bytes(&self) -> usize {
        self.values() * self.dtype.bytes() + self.scale().map_or(0, |scale| scale.row_bytes())
    }

    /// The number of channels, which have one scale each: the size of the last dimension.
    pub(crate) fn channels(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The column that holds the scales of an `I8` column.
    pub(crate) fn scale(&self) -> Option<Column> {
        (self.dtype == DType::I8).then(|| Column {
            name: format!("{}_scale", self.name),
            dtype: DType::F32,
            shape: vec![self.channels()],
            dims: self.dims.last().cloned().into_iter().collect(),
            compression: Compression::None,
        })
    }
}

/// The columns of a dataset: `id`, `label`, `source` if there is one, attributes, then tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The tensor columns, in order.
    pub columns: Vec<Column>,
    /// Whether each row says where it came from.
    pub source: bool,
    /// The name of label 0, 1, ….
    pub label_names: Option<Vec<String>>,
    /// Whole numbers that each row has, by name: letters, digits and `_`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
}

impl Schema {
    /// A schema of tensor columns, and only an id and a label per row in addition.
    pub fn of(columns: impl Into<Vec<Column>>) -> Self {
        let columns = columns.into();
        Self { columns, source: false, label_names: None, attributes: Vec::new() }
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Bytes of a row's tensors on disk before compression.
    pub fn row_bytes(&self) -> usize {
        self.columns.iter().map(Column::row_bytes).sum()
    }

    /// The fewest bytes that a row's tensors take on disk: each compressed page has at least a header.
    pub(crate) fn least_row_bytes(&self) -> u64 {
        let least = |column: &Column| match column.compression {
            Compression::None => column.row_bytes() as u64,
            _ => 16,
        };
        self.columns.iter().map(least).fold(0, u64::saturating_add)
    }

    /// Whether two schemas are equal except for the compression of pages.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let plain = |schema: &Self| {
            let mut schema = schema.clone();
            schema.columns.iter_mut().for_each(|it| it.compression = Compression::None);
            schema
        };
        plain(self) == plain(other)
    }

    /// Checks the schema; the error says what is wrong.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let mut seen = HashSet::from([ID, LABEL, SOURCE].map(String::from));
        let scales = self.columns.iter().filter_map(Column::scale).map(|scale| scale.name);
        let columns = self.columns.iter().map(|column| column.name.clone());
        for name in self.attributes.iter().cloned().chain(columns).chain(scales) {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(format!("column name `{name}`: use letters, digits and `_`"));
            }
            if let Some(name) = seen.replace(name) {
                return Err(format!("two columns are called `{name}`"));
            }
        }
        for Column { name, shape, dims, .. } in &self.columns {
            let values = shape.iter().try_fold(1usize, |values, size| values.checked_mul(*size));
            if shape.is_empty() || !values.is_some_and(|values| (1..=MAX_VALUES).contains(&values))
            {
                return Err(format!(
                    "column `{name}`: shape {shape:?} does not have 1 to {MAX_VALUES} values"
                ));
            }
            if !dims.is_empty() && dims.len() != shape.len() {
                return Err(format!(
                    "column `{name}`: {} names for {} dimensions",
                    dims.len(),
                    shape.len()
                ));
            }
        }
        Ok(())
    }

    /// The number of columns before the tensors.
    pub(crate) fn key_columns(&self) -> usize {
        2 + usize::from(self.source) + self.attributes.len()
    }

    /// The names of the columns before the tensors, in order.
    pub(crate) fn key_names(&self) -> Vec<String> {
        let own = [ID, LABEL].into_iter().chain(self.source.then_some(SOURCE));
        own.map(String::from).chain(self.attributes.iter().cloned()).collect()
    }

    /// The tensor columns as they lie in a part: an `I8` column is followed by its scales.
    pub(crate) fn stored(&self) -> Vec<Column> {
        self.columns
            .iter()
            .flat_map(|column| [Some(column.clone()), column.scale()])
            .flatten()
            .collect()
    }

    /// The place of tensor column `index` among the stored ones.
    pub(crate) fn stored_place(&self, index: usize) -> usize {
        let scales = self.columns[..index].iter().filter(|column| column.dtype == DType::I8);
        index + scales.count()
    }

    fn arrow(&self) -> Result<ArrowSchema> {
        let mut fields =
            vec![Field::new(ID, DataType::Int64, false), Field::new(LABEL, DataType::Int64, true)];
        if self.source {
            fields.push(Field::new(SOURCE, DataType::Utf8, false));
        }
        for attribute in &self.attributes {
            fields.push(Field::new(attribute, DataType::Int64, false));
        }
        for column in &self.stored() {
            let size = i32::try_from(column.values())
                .map_err(|_| Error::failed(format_args!("column `{}`: too large", column.name)))?;
            // No value is ever null. But pyarrow takes a list for a tensor only if its elements could be null, as in
            // the storage type of its own tensors.
            let element = Field::new("element", column.dtype.arrow(), true);
            let tensor = Tensor { shape: &column.shape, dim_names: &column.dims };
            let tensor = to_json(&tensor)?;
            let list = DataType::FixedSizeList(Arc::new(element), size);
            fields.push(Field::new(&column.name, list, false).with_metadata(HashMap::from([
                ("ARROW:extension:name".into(), "arrow.fixed_shape_tensor".into()),
                ("ARROW:extension:metadata".into(), tensor),
            ])));
        }
        let metadata = self.hugging_face()?.map(|value| (HUGGING_FACE.to_string(), value));
        Ok(ArrowSchema::new(fields).with_metadata(HashMap::from_iter(metadata)))
    }

    /// The Parquet schema, and the footer's key-value metadata that goes with it.
    pub(crate) fn parquet(&self, key: &str) -> Result<(SchemaDescriptor, Vec<KeyValue>)> {
        let arrow = self.arrow()?;
        let parquet = ArrowSchemaConverter::new()
            .schema_root("schema")
            .convert(&arrow)
            .map_err(|error| Error::failed(format_args!("the schema: {error}")))?;
        let mut metadata =
            vec![KeyValue::new(ARROW_SCHEMA_META_KEY.to_string(), encode_arrow_schema(&arrow))];
        metadata.extend(
            self.hugging_face()?.map(|value| KeyValue::new(HUGGING_FACE.to_string(), value)),
        );
        metadata.extend(self.own_metadata(key)?);
        Ok((parquet, metadata))
    }

    /// The metadata by which a part identifies itself. It reveals swapped files, and a manifest of another shape.
    pub(crate) fn own_metadata(&self, key: &str) -> Result<[KeyValue; 2]> {
        Ok([
            KeyValue::new("gimlet.key".to_string(), key.to_string()),
            KeyValue::new("gimlet.schema".to_string(), to_json(self)?),
        ])
    }

    /// The class names in the form that Hugging Face's `datasets` uses.
    fn hugging_face(&self) -> Result<Option<String>> {
        let Some(names) = &self.label_names else { return Ok(None) };
        let label = ClassLabel { names, kind: "ClassLabel" };
        let features = HashMap::from([("features", HashMap::from([(LABEL, label)]))]);
        to_json(&HashMap::from([("info", features)])).map(Some)
    }
}

const HUGGING_FACE: &str = "huggingface";

// Structs, not `json!`: the order of its keys depends on how serde_json was built, and the bytes
// of a part depend on the key alone.

#[derive(Serialize)]
struct Tensor<'a> {
    shape: &'a [usize],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    dim_names: &'a [String],
}

#[derive(Serialize)]
struct ClassLabel<'a> {
    names: &'a [String],
    #[serde(rename = "_type")]
    kind: &'a str,
}

fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::failed(format_args!("the schema: {error}")))
}
