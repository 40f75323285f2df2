//! Texts that came as parameters, of a path or of a query, read as typed structs.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Why parameters could not be read: which one, and serde's or a value's own message.
#[derive(Debug)]
pub(super) struct BadParameter {
    pub(super) name: String,
    pub(super) message: String,
}

pub(super) fn read<T: DeserializeOwned>(
    parameters: Vec<(String, Values)>,
) -> Result<T, BadParameter> {
    let deserializer = MapDeserializer::<_, Error>::new(parameters.into_iter());
    serde_path_to_error::deserialize(deserializer).map_err(|error| BadParameter {
        name: error.path().to_string(),
        message: error.inner().to_string(),
    })
}

/// The values of one parameter, at least one, in order.
#[derive(Debug)]
pub(super) struct Values(pub(super) Vec<String>);

impl Values {
    fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

impl IntoDeserializer<'_, Error> for Values {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Values {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.first())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let values = self.0.into_iter().map(|value| Self(vec![value]));
        visitor.visit_seq(SeqDeserializer::new(values))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.first().parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => Err(Error::custom("it must be a whole number")),
        }
    }

    /// Python clients write `True`.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.first().to_ascii_lowercase().as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(Error::custom("it must be true or false")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.first().into_deserializer())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct map struct identifier ignored_any
    }
}
