//! From the name of a layer in a pipeline to its settings.

/// Generates, from lines `name(Settings)`, the type that an entry of `layers` is read into: a table with the name of
/// a layer as its one key.
macro_rules! registry {
    ($($name:ident($settings:ty)),+ $(,)?) => {
        /// An entry of `layers` as a pipeline file has it.
        #[derive(Deserialize)]
        #[expect(non_camel_case_types, reason = "each variant is read by its name")]
        enum Written {
            $($name($settings)),+
        }

        impl From<Written> for Entry {
            fn from(written: Written) -> Self {
                match written {
                    $(Written::$name(settings) => settings.into()),+
                }
            }
        }
    };
}
