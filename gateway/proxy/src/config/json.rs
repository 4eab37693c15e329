//! How JSON looks, in the configuration.

use pulpo_gateway::profile;
use serde::{Deserialize, Serialize};

/// How JSON looks, where ProtoJSON leaves a choice. The defaults are ProtoJSON's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Json {
    /// Printed field names.
    pub names: Names,
    /// Absent fields with explicit presence.
    pub absent: Absent,
    /// Whether fields are printed at their default.
    pub print_defaults: bool,
    /// 64-bit integers.
    pub integers: Integers,
    /// Enum values.
    pub enums: Enums,
    /// Digits of timestamps.
    pub timestamps: Timestamps,
    /// Members and query parameters that name no field.
    pub unknown_fields: Unknown,
    /// Names an enum does not have; ignored, the field counts as not given.
    pub unknown_enums: Unknown,
    /// Levels of nested messages, at most 200.
    pub max_depth: u32,
    /// Members and elements of one JSON text, at every level.
    pub max_values: u32,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            names: Names::default(),
            absent: Absent::default(),
            print_defaults: false,
            integers: Integers::default(),
            enums: Enums::default(),
            timestamps: Timestamps::default(),
            unknown_fields: Unknown::default(),
            unknown_enums: Unknown::default(),
            max_depth: 100,
            max_values: 100_000,
        }
    }
}

/// A choice of the profile as the configuration spells it.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident => $of:ty { $($(#[$variant_doc:meta])* $variant:ident => $value:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl From<$name> for $of {
            fn from(choice: $name) -> Self {
                match choice { $($name::$variant => $value,)+ }
            }
        }
    };
}

choice! {
    /// Printed field names.
    Names => profile::Names {
        /// lowerCamelCase, or the field's `json_name`.
        #[default]
        Camel => profile::Names::Camel,
        /// As in the .proto file.
        Proto => profile::Names::Proto,
    }
}
choice! {
    /// Absent fields with explicit presence.
    Absent => profile::Absent {
        /// Left out.
        #[default]
        Omit => profile::Absent::Omit,
        /// `null`.
        Null => profile::Absent::Null,
    }
}
choice! {
    /// 64-bit integers.
    Integers => profile::Integers {
        /// Strings.
        #[default]
        Strings => profile::Integers::Strings,
        /// Numbers.
        Numbers => profile::Integers::Numbers,
        /// Numbers, and an error beyond ±(2^53 - 1).
        SafeNumbers => profile::Integers::SafeNumbers,
    }
}
choice! {
    /// Enum values.
    Enums => profile::Enums {
        /// `STATUS_ACTIVE`.
        #[default]
        Names => profile::Enums::Names,
        /// `1`.
        Numbers => profile::Enums::Numbers,
        /// `status_active`.
        Lower => profile::Enums::Lower,
        /// `ACTIVE`.
        WithoutPrefix => profile::Enums::WithoutPrefix,
        /// `active`.
        LowerWithoutPrefix => profile::Enums::LowerWithoutPrefix,
    }
}
choice! {
    /// Digits of timestamps.
    Timestamps => profile::TimestampDigits {
        /// As many as needed.
        #[default]
        Auto => profile::TimestampDigits::Auto,
        /// None.
        Seconds => profile::TimestampDigits::Seconds,
        /// Three.
        Millis => profile::TimestampDigits::Millis,
        /// Six.
        Micros => profile::TimestampDigits::Micros,
        /// Nine.
        Nanos => profile::TimestampDigits::Nanos,
    }
}
choice! {
    /// Members and query parameters that name no field.
    Unknown => profile::Unknown {
        /// An error.
        #[default]
        Refuse => profile::Unknown::Refuse,
        /// Skipped.
        Ignore => profile::Unknown::Ignore,
    }
}

impl From<Json> for profile::JsonProfile {
    fn from(json: Json) -> Self {
        Self {
            names: json.names.into(),
            absent: json.absent.into(),
            print_defaults: json.print_defaults,
            integers: json.integers.into(),
            enums: json.enums.into(),
            timestamps: json.timestamps.into(),
            unknown_fields: json.unknown_fields.into(),
            unknown_enums: json.unknown_enums.into(),
            max_depth: json.max_depth,
            max_values: json.max_values,
            ..Self::default()
        }
    }
}
