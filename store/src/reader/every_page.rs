//! Checks every page of an open generation.

use super::Reader;
use super::keys::Keys;
use crate::checked::Checked;
use crate::error::{Error, Result};

impl Reader {
    /// Checks every page of the columns that the reader was opened for, and the keys. Continues after damage.
    pub(crate) fn check_pages(&self) -> Checked {
        let mut checked = Checked::default();
        let mut found = |result: Result<()>| match result.map_err(Error::into_damage) {
            Ok(()) => {}
            Err(Ok(damage)) => checked.push(damage),
            Err(Err(error)) => {
                checked.unchecked.extend(Checked::unchecked(error.kind(), error).unchecked);
            }
        };
        let mut page = Vec::new();
        for part in &self.parts {
            for group in 0..part.groups.len() {
                for column in 0..self.key_names.len() {
                    let attributes = vec![Vec::new(); self.key_names.len()];
                    let sources = self.source.then(Vec::new);
                    let mut keys = Keys { sources, attributes, ..Keys::default() };
                    found(self.read_keys(part, group, column, &mut page, &mut keys));
                }
            }
        }
        for place in 0..self.columns.len() {
            for position in 0..self.rows {
                found(self.for_each_row(place, &[position], |_| {}));
            }
        }
        checked
    }
}
