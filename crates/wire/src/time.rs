use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom_types::Timestamp;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A time as CBR writes it: naive UTC with six digits of fraction. Reads every spelling [`Timestamp`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CbrTime(pub Timestamp);

impl Serialize for CbrTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_cbr())
    }
}

impl<'de> Deserialize<'de> for CbrTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(time) => Ok(Self(time)),
            Err(_) => Err(D::Error::custom(
                "it must be a time of the form 2018-02-01T12:00:00Z",
            )),
        }
    }
}

impl From<Timestamp> for CbrTime {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl PartialSchema for CbrTime {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(
                r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})?$",
            ))
            .examples(["2020-08-17T03:51:24.678916"])
            .into()
    }
}

impl ToSchema for CbrTime {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}
