//! A deserializer around a deserializer, for three things that derived types do not do by themselves.
//!
//! Derived structs also accept arrays (`[1250, "EUR"]` for `{"amount": 1250, "currency": "EUR"}`), a second
//! spelling that no document mentions; here an object is an object. And an error should know its place: on
//! the way out of a failed value every level adds its segment to a [`Trail`], which costs nothing where
//! nothing fails. (The idea of the second is from the crate `serde_path_to_error`.) And a field that the caller's role
//! does not set is refused, where the role sets others of the same object.

use std::{borrow::Cow, cell::RefCell, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use strongroom_api::views::{Audience, Schema, schema};

/// One step from the whole to the part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A field of an object.
    Key(String),
    /// An item of an array.
    Index(usize),
}

/// What an error about somebody else's field begins with.
pub(super) const NOT_YOURS: &str = "a field that others set";

/// Who writes, and the place of an error, collected from the inside out.
#[derive(Debug)]
pub(super) struct Trail {
    writer: Audience,
    segments: RefCell<Vec<Segment>>,
}

impl Trail {
    /// A trail through what somebody wrote.
    pub(super) fn of(writer: Audience) -> Self {
        Self {
            writer,
            segments: RefCell::default(),
        }
    }

    fn push(&self, segment: Segment) {
        self.segments.borrow_mut().push(segment);
    }

    /// The schema of that name, where it has fields that the writer does not set. Whoever sets none of them is not
    /// told about fields: the decision about the whole says no.
    fn bounds(&self, name: &str) -> Option<&'static Schema> {
        let sets = |(_, audience): &&(&str, Audience)| audience.meets(self.writer);
        let found = schema(name)?;
        let set = found.fields.iter().filter(sets).count();
        (set > 0 && set < found.fields.len()).then_some(found)
    }

    /// From the outside in.
    pub(super) fn into_segments(self) -> Vec<Segment> {
        let mut segments = self.segments.into_inner();
        segments.reverse();
        segments
    }
}

/// The wrapper: of deserializers, visitors, seeds and accesses alike.
pub(super) struct Strict<'t, T> {
    inner: T,
    trail: &'t Trail,
    /// Whether a struct is being read, so that an array must not pass.
    object_only: bool,
    /// The struct's schema, where the writer does not set all of it.
    schema: Option<&'static Schema>,
}

impl<'t, T> Strict<'t, T> {
    pub(super) fn new(inner: T, trail: &'t Trail) -> Self {
        Self {
            inner,
            trail,
            object_only: false,
            schema: None,
        }
    }

    fn around<U>(&self, inner: U) -> Strict<'t, U> {
        Strict::new(inner, self.trail)
    }
}

macro_rules! forward_deserialize {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.around(visitor);
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    forward_deserialize! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Strict {
            inner: visitor,
            trail: self.trail,
            object_only: true,
            schema: self.trail.bounds(name),
        };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! forward_visit {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Types of the code have names that mean nothing to a client.
        if self.object_only {
            f.write_str("an object")
        } else {
            self.inner.expecting(f)
        }
    }

    forward_visit! {
        visit_bool(bool);
        visit_i64(i64);
        visit_i128(i128);
        visit_u64(u64);
        visit_u128(u128);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.around(value);
        self.inner.visit_some(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.around(value);
        self.inner.visit_newtype_struct(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.object_only {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        self.inner.visit_seq(Items {
            inner: items,
            trail: self.trail,
            index: 0,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Fields {
            inner: fields,
            trail: self.trail,
            schema: self.schema,
            key: Cow::Borrowed(""),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.around(access);
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.around(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, 't, A: EnumAccess<'de>> EnumAccess<'de> for Strict<'t, A> {
    type Error = A::Error;
    type Variant = Strict<'t, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(seed)?;
        Ok((value, Strict::new(variant, self.trail)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.around(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Strict {
            inner: visitor,
            trail: self.trail,
            object_only: true,
            schema: None,
        };
        self.inner.struct_variant(fields, visitor)
    }
}

struct Items<'t, A> {
    inner: A,
    trail: &'t Trail,
    index: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let item = self.inner.next_element_seed(Strict::new(seed, self.trail));
        let item = item.inspect_err(|_| self.trail.push(Segment::Index(self.index)))?;
        self.index += 1;
        Ok(item)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct Fields<'de, 't, A> {
    inner: A,
    trail: &'t Trail,
    schema: Option<&'static Schema>,
    key: Cow<'de, str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'de, '_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.key = Cow::Borrowed("");
        let key = self.inner.next_key_seed(Key {
            inner: seed,
            key: &mut self.key,
        });
        let key = key.and_then(|key| match self.schema {
            Some(schema) if key.is_some() && !schema.is_set_by(&self.key, self.trail.writer) => {
                Err(A::Error::custom(NOT_YOURS))
            }
            _ => Ok(key),
        });
        key.inspect_err(|_| {
            if !self.key.is_empty() {
                self.trail.push(Segment::Key(self.key.clone().into_owned()));
            }
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.inner.next_value_seed(Strict::new(seed, self.trail));
        value.inspect_err(|_| self.trail.push(Segment::Key(self.key.clone().into_owned())))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// Remembers a key while somebody reads it; of a seed, its deserializer and its visitor alike.
struct Key<'de, 'k, T> {
    inner: T,
    key: &'k mut Cow<'de, str>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'de, '_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Key {
            inner: deserializer,
            key: self.key,
        })
    }
}

macro_rules! forward_key {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(Key { inner: visitor, key: self.key })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Key<'de, '_, D> {
    type Error = D::Error;

    forward_key! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Key<'de, '_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward_visit! {
        visit_bool(bool);
        visit_i64(i64);
        visit_u64(u64);
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<V::Value, E> {
        *self.key = Cow::Owned(key.to_owned());
        self.inner.visit_str(key)
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<V::Value, E> {
        *self.key = Cow::Borrowed(key);
        self.inner.visit_borrowed_str(key)
    }

    fn visit_string<E: Error>(self, key: String) -> Result<V::Value, E> {
        *self.key = Cow::Owned(key.clone());
        self.inner.visit_string(key)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Key {
            inner: value,
            key: self.key,
        })
    }
}
