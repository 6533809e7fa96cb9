//! From the name of a schedule in a pipeline file to its settings.

/// Of lines `"name" => file`: what pipeline files may say of each schedule, and how that is read.
macro_rules! registry {
    ($($name:literal => $file:ident),+ $(,)?) => {
        /// The schedules that pipeline files can name.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: $name,
            keys: $file::Settings::KEYS,
            refused: $file::Settings::REFUSED,
        }),+];

        /// Their names.
        pub const NAMES: &[&str] = &[$($name),+];

        /// Reads the settings of a schedule from its table, without its `kind`, for a pipeline that says `given`.
        ///
        /// # Errors
        /// When the table is not one of such a schedule, or there is no such schedule; the inner one when its
        /// settings do not fit each other or the pipeline.
        pub fn read<'de, D: Deserializer<'de>>(
            kind: &str,
            table: D,
            given: &Given<'_>,
        ) -> Result<Result<Chosen, Misfit>, D::Error> {
            match kind {
                $($name => {
                    Ok($file::Settings::deserialize(table)?.settle(given).map(Chosen::new))
                })+
                _ => Err(D::Error::custom(format!("there is no schedule `{kind}`"))),
            }
        }
    };
}
