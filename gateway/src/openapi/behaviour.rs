//! `google.api.field_behavior` (AIP-203), where the pool knows the option.

use prost_reflect::{FieldDescriptor, ReflectMessage, Value};

const REQUIRED: i32 = 2;
const OUTPUT_ONLY: i32 = 3;
const INPUT_ONLY: i32 = 4;

/// What a field's behaviour says to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Behaviour {
    pub(super) is_required: bool,
    pub(super) is_output_only: bool,
    pub(super) is_input_only: bool,
}

impl Behaviour {
    pub(super) fn of(field: &FieldDescriptor) -> Self {
        let numbers = numbers(field).unwrap_or_default();
        Self {
            is_required: numbers.contains(&REQUIRED),
            is_output_only: numbers.contains(&OUTPUT_ONLY),
            is_input_only: numbers.contains(&INPUT_ONLY),
        }
    }
}

fn numbers(field: &FieldDescriptor) -> Option<Vec<i32>> {
    let option = field
        .parent_pool()
        .get_extension_by_name("google.api.field_behavior")?;
    let options = field.options();
    if option.containing_message() != options.descriptor() {
        return None;
    }
    let values = options.get_extension(&option);
    let values = values.as_list()?.iter();
    Some(values.filter_map(Value::as_enum_number).collect())
}
