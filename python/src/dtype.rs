//! The store's types of values, and what NumPy calls them.

use gimlet_store::DType;

/// For each type of the store: its name here, and the `typestr` of NumPy's arrays.
const TYPES: [(DType, &str, &str); 5] = [
    (DType::U8, "u8", "|u1"),
    (DType::I8, "i8", "|i1"),
    (DType::F16, "f16", "<f2"),
    // NumPy has no such type: these are its bits.
    (DType::Bf16, "bf16", "<u2"),
    (DType::F32, "f32", "<f4"),
];

/// How NumPy writes down values of this type.
pub fn typestr(dtype: DType) -> &'static str {
    TYPES.iter().find(|(it, ..)| *it == dtype).map_or("", |(.., typestr)| typestr)
}

/// The type called `name`.
pub fn named(name: &str) -> Option<DType> {
    TYPES.iter().find(|(_, it, _)| *it == name).map(|(dtype, ..)| *dtype)
}

/// The names of all types, for messages.
pub fn names() -> String {
    TYPES.map(|(_, name, _)| format!("`{name}`")).join(", ")
}
