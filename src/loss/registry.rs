//! From the name of a loss in a pipeline to its settings.

/// Of lines `Kind(file)`: the settings of any loss as one type, read and written as a table with the
/// name of the file as its one key; where only the name is given, with the defaults.
macro_rules! registry {
    ($($kind:ident($file:ident)),+ $(,)?) => {
        /// The settings of a loss.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Settings {
            $($kind($file::Settings)),+
        }

        impl Settings {
            /// The names of all losses.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($file)),+];

            /// The name of this one.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => stringify!($file)),+
                }
            }

            /// What can be known before anything is computed.
            pub fn recipe(&self) -> &dyn Recipe {
                match self {
                    $(Self::$kind(settings) => settings),+
                }
            }

            fn named(name: &str) -> Option<Self> {
                $(if name == stringify!($file) {
                    return Some(Self::$kind(Default::default()));
                })+
                None
            }
        }

        impl<'de> Deserialize<'de> for Settings {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::value::MapAccessDeserializer;
                use serde::de::{Error, MapAccess, Visitor};

                #[derive(Deserialize)]
                #[serde(rename_all = "lowercase")]
                enum Table {
                    $($kind($file::Settings)),+
                }

                struct NameOrTable;

                impl<'de> Visitor<'de> for NameOrTable {
                    type Value = Settings;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("the name of a loss, or a table with one key")
                    }

                    fn visit_str<E: Error>(self, name: &str) -> Result<Settings, E> {
                        let unknown = || E::unknown_variant(name, Settings::NAMES);
                        Settings::named(name).ok_or_else(unknown)
                    }

                    fn visit_map<A: MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Settings, A::Error> {
                        let table = Table::deserialize(MapAccessDeserializer::new(&mut map))?;
                        let settings = match table {
                            $(Table::$kind(settings) => Settings::$kind(settings)),+
                        };
                        match map.next_key::<String>()? {
                            None => Ok(settings),
                            Some(other) => {
                                let one = settings.name();
                                Err(A::Error::custom(format!("both `{one}` and `{other}`")))
                            }
                        }
                    }
                }

                deserializer.deserialize_any(NameOrTable)
            }
        }
    };
}
