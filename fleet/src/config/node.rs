//! A value of the configuration as serde reads it: strict for files, by the type asked for with variables.

use std::cell::RefCell;

use config::{Value, ValueKind};
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};

use super::{
    faults::Place,
    path::KeyPath,
    shape::{Finding, Mismatch},
};

/// A value, and where it hangs.
pub(super) struct Node<'a> {
    pub(super) value: Value,
    pub(super) path: KeyPath,
    /// Keys met that nothing asks for.
    pub(super) unknown: &'a RefCell<Vec<Finding>>,
}

impl Node<'_> {
    /// The text, if a variable gave it.
    fn variable(&self) -> Option<&str> {
        match (&self.value.kind, self.value.origin().map(Place::from_origin)) {
            (ValueKind::String(text), Some(Place::Variable(_))) => Some(text.trim()),
            _ => None,
        }
    }

    /// Notes the keys of a table that are none of `fields`.
    fn note_unknown(&self, fields: &[&str]) {
        let ValueKind::Table(table) = &self.value.kind else { return };
        for (key, value) in table.iter().filter(|(key, _)| !fields.contains(&key.as_str())) {
            let near = fields.iter().map(|field| (strsim::osa_distance(key, field), field)).min();
            let message = match near {
                Some((distance, field)) if distance <= 1 + field.len() / 4 => {
                    format!("unknown key; did you mean `{field}`?")
                }
                _ => format!("unknown key; known here: {}", fields.join(", ")),
            };
            let finding = Finding {
                path: self.path.key(key.as_str()),
                origin: value.origin().map(Into::into),
                message,
                missing: false,
            };
            self.unknown.borrow_mut().push(finding);
        }
    }
}

/// Reads a variable's text as the type that is asked for; what does not read is refused as text.
macro_rules! scalars {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            match self.variable().map(str::parse::<$type>) {
                Some(Ok(value)) => visitor.$visit(value),
                _ if self.value.kind == ValueKind::Nil => visitor.$visit(<$type>::from(true)),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(value) => visitor.visit_bool(value),
            ValueKind::I64(number) => visitor.visit_i64(number),
            ValueKind::U64(number) => visitor.visit_u64(number),
            ValueKind::I128(number) => visitor.visit_i128(number),
            ValueKind::U128(number) => visitor.visit_u128(number),
            ValueKind::Float(number) => visitor.visit_f64(number),
            ValueKind::String(text) => visitor.visit_string(text),
            ValueKind::Array(items) => {
                let path = self.path;
                visitor.visit_seq(Items { rest: items.into_iter(), next: 0, path, unknown: self.unknown })
            }
            ValueKind::Table(table) => {
                let rest = table.into_iter().collect::<Vec<_>>().into_iter();
                visitor.visit_map(Entries { rest, value: None, path: self.path, unknown: self.unknown })
            }
        }
    }

    scalars! {
        deserialize_bool visit_bool bool,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_f64 visit_f64 f64,
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        // The stand-in of a missing value: it fits a path and a server's name.
        if self.value.kind == ValueKind::Nil {
            visitor.visit_str("missing")
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Mismatch> {
        if let Some(text) = self.variable() {
            let origin = self.value.origin().map(String::from);
            let item = |piece: &str| Value::new(origin.as_ref(), piece.trim());
            let items = if text.is_empty() { Vec::new() } else { text.split(',').map(item).collect() };
            self.value.kind = ValueKind::Array(items);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        // Only a table is one: serde would take a list of the fields' values too.
        if !matches!(self.value.kind, ValueKind::Table(_)) {
            let found = match &self.value.kind {
                ValueKind::Array(_) => "a list".into(),
                ValueKind::String(text) => format!("{text:?}"),
                other => other.to_string(),
            };
            return Err(Mismatch::plain(format!("expected a table, found {found}")));
        }
        self.note_unknown(fields);
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct map enum
        identifier ignored_any
    }
}

struct Items<'a> {
    rest: std::vec::IntoIter<Value>,
    next: usize,
    path: KeyPath,
    unknown: &'a RefCell<Vec<Finding>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Mismatch;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mismatch> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let (path, origin) = (self.path.item(self.next), value.origin().map(String::from));
        self.next += 1;
        let node = Node { value, path: path.clone(), unknown: self.unknown };
        seed.deserialize(node).map(Some).map_err(|mismatch| mismatch.at(&path, origin.as_deref()))
    }
}

struct Entries<'a> {
    rest: std::vec::IntoIter<(String, Value)>,
    value: Option<(KeyPath, Value)>,
    path: KeyPath,
    unknown: &'a RefCell<Vec<Finding>>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Mismatch;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((self.path.key(key.as_str()), value));
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let Some((path, value)) = self.value.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        let origin = value.origin().map(String::from);
        let node = Node { value, path: path.clone(), unknown: self.unknown };
        seed.deserialize(node).map_err(|mismatch| mismatch.at(&path, origin.as_deref()))
    }
}
