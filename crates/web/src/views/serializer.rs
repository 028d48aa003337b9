//! A serializer around a serializer that leaves out the fields that are not for the reader.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use strongroom_api::views::{Audience, Schema, schema};

/// The wrapper: of serializers, of what they open, and of values alike.
pub(super) struct Seen<S> {
    inner: S,
    audience: Audience,
}

impl<S> Seen<S> {
    pub(super) const fn new(inner: S, audience: Audience) -> Self {
        Self { inner, audience }
    }
}

/// A value whose parts are seen by the same reader.
impl<T: Serialize + ?Sized> Serialize for Seen<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(Seen::new(serializer, self.audience))
    }
}

/// An open object.
pub(super) struct Fields<S> {
    inner: S,
    audience: Audience,
    /// `None` for what has no name in the table; a test fails on it.
    schema: Option<&'static Schema>,
    place: usize,
}

impl<S> Fields<S> {
    fn shows(&mut self, field: &'static str) -> bool {
        let place = self.place;
        self.place += 1;
        self.schema
            .is_none_or(|schema| schema.audience(field, place).meets(self.audience))
    }
}

macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method(self, $($name: $type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($name),*)
        }
    )*};
}

impl<S: Serializer> Serializer for Seen<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Seen<S::SerializeSeq>;
    type SerializeTuple = Seen<S::SerializeTuple>;
    type SerializeTupleStruct = Seen<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Seen<S::SerializeTupleVariant>;
    type SerializeMap = Seen<S::SerializeMap>;
    type SerializeStruct = Fields<S::SerializeStruct>;
    type SerializeStructVariant = Fields<S::SerializeStructVariant>;

    forward! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Seen::new(value, self.audience))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Seen::new(value, self.audience);
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Seen::new(value, self.audience);
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Ok(Seen::new(self.inner.serialize_seq(len)?, self.audience))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(Seen::new(self.inner.serialize_tuple(len)?, self.audience))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let inner = self.inner.serialize_tuple_struct(name, len)?;
        Ok(Seen::new(inner, self.audience))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let inner = self.inner.serialize_tuple_variant(name, index, variant, len)?;
        Ok(Seen::new(inner, self.audience))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Ok(Seen::new(self.inner.serialize_map(len)?, self.audience))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Fields {
            inner: self.inner.serialize_struct(name, len)?,
            audience: self.audience,
            schema: schema(name),
            place: 0,
        })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        Ok(Fields {
            inner: self.inner.serialize_struct_variant(name, index, variant, len)?,
            audience: self.audience,
            schema: schema(name),
            place: 0,
        })
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! items {
    ($($open:ident::$method:ident;)*) => {$(
        impl<S: $open> $open for Seen<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.$method(&Seen::new(value, self.audience))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

items! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

impl<S: SerializeMap> SerializeMap for Seen<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&Seen::new(value, self.audience))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

macro_rules! fields {
    ($($open:ident)*) => {$(
        impl<S: $open> $open for Fields<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                field: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                if self.shows(field) {
                    self.inner.serialize_field(field, &Seen::new(value, self.audience))
                } else {
                    self.inner.skip_field(field)
                }
            }

            fn skip_field(&mut self, field: &'static str) -> Result<(), S::Error> {
                self.place += 1;
                self.inner.skip_field(field)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_api::{
        accounts::{Account, Balance},
        money::Page,
    };

    use super::*;

    fn seen_by<T: Serialize>(value: &T, audience: Audience) -> Value {
        Seen::new(value, audience)
            .serialize(serde_json::value::Serializer)
            .unwrap()
    }

    fn page() -> Page<Account> {
        let account = Account {
            id: "acct_1".to_owned(),
            number: None,
            kind: "checking".to_owned(),
            currency: "EUR".to_owned(),
            name: Some("Household".to_owned()),
            state: "active".to_owned(),
            balance: Balance {
                posted: 1,
                held: 0,
                available: 1,
            },
            overdraft: None,
            customer_id: Some("user_1".to_owned()),
            opened_at: "2026-11-20T09:30:00Z".to_owned(),
        };
        Page {
            data: vec![account],
            next_cursor: None,
        }
    }

    #[test]
    fn a_field_is_left_out_at_any_depth_for_whom_it_is_not() {
        let has = |audience, field: &str| {
            let seen = seen_by(&page(), audience);
            seen["data"][0].get(field).is_some()
        };
        assert!(has(Audience::SELF, "name") && !has(Audience::SELF, "customer_id"));
        assert!(has(Audience::TELLER, "name") && has(Audience::TELLER, "customer_id"));
        assert!(!has(Audience::AUDITOR, "name") && has(Audience::AUDITOR, "customer_id"));
        assert_eq!(seen_by(&page(), Audience::NOBODY), json!({}));
    }

    #[test]
    fn what_everybody_sees_is_written_as_without_a_view() {
        let everybody = Audience::SELF.and(Audience::TELLER);
        assert_eq!(seen_by(&page(), everybody), serde_json::to_value(page()).unwrap());
    }
}
