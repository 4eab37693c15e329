//! The member names of a JSON text, in their order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The members of a JSON text in the order they are written: `{"a":1,"b":{"c":null},"d":[{"e":1},{"e":2}]}` gives
/// `{a b{c} d[{e}]}`. Values without members give nothing; different elements of an array stand beside each other,
/// separated by `|`.
pub(crate) fn shape(text: &str) -> String {
    match serde_json::from_str::<Shape>(text) {
        Ok(shape) => shape.0,
        Err(error) => format!("not JSON: {error}"),
    }
}

struct Shape(String);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut members = Vec::new();
        while let Some((name, Shape(inner))) = map.next_entry::<String, Shape>()? {
            members.push(format!("{name}{inner}"));
        }
        Ok(Shape(format!("{{{}}}", members.join(" "))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut elements: Vec<String> = Vec::new();
        while let Some(Shape(element)) = seq.next_element()? {
            if !elements.contains(&element) {
                elements.push(element);
            }
        }
        Ok(Shape(format!("[{}]", elements.join("|"))))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape(String::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape(String::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape(String::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape(String::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape(String::new()))
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape(String::new()))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Shape, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(Shape(String::new()))
    }
}

#[test]
fn a_shape_names_members_in_order() {
    assert_eq!(
        shape(r#"{"b":1,"a":{"c":null},"d":[{"e":1},{"e":2},{"f":2}],"g":[]}"#),
        "{b a{c} d[{e}|{f}] g[]}"
    );
    assert_eq!(shape("[1,2]"), "[]");
    assert!(shape("{").starts_with("not JSON"));
}
