//! All that is wrong with the shape of a body, where serde names the first thing alone.
//!
//! A body that was refused is read once more into a tree. What serde names is noted and mended: a field that is not
//! known is taken out, a value of the wrong type or a field that is missing becomes [`Tree::Mended`], which gives
//! whatever it is asked for. Then the tree is read again, until serde has nothing to say or the bound is reached. What
//! was read so is refused, whatever it says: it is handed on to be told what else is wrong with it. Only a body that is
//! refused anyway costs this, and at most [`WORK_BYTES_MAX`] of reading.

use std::fmt;

use serde::{
    Deserialize,
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
        MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};
use serde_json::Error;
use strongroom_api::{FieldError, views::Audience};

use super::{
    json::explained,
    json_strict::{Segment, Strict, Trail},
};

/// Most errors that one answer names.
pub(super) const ERRORS_MAX: usize = 64;
/// Most bytes that are read again and again, in all.
const WORK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A JSON value, its fields in their order.
#[derive(Debug, Clone)]
enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    /// Gives whatever it is asked for.
    Mended,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
        let mut object = Vec::new();
        while let Some(field) = fields.next_entry()? {
            object.push(field);
        }
        Ok(Tree::Object(object))
    }
}

impl Tree {
    fn at(&mut self, path: &[Segment]) -> Option<&mut Self> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        let below = match (self, first) {
            (Self::List(items), Segment::Index(index)) => items.get_mut(*index),
            (Self::Object(fields), Segment::Key(key)) => fields
                .iter_mut()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        };
        below?.at(rest)
    }

    /// As errors of serde name it. None of it gets into an answer.
    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Unsigned(value) => Unexpected::Unsigned(*value),
            Self::Signed(value) => Unexpected::Signed(*value),
            Self::Float(value) => Unexpected::Float(*value),
            Self::Text(text) => Unexpected::Str(text),
            Self::List(_) => Unexpected::Seq,
            Self::Object(_) => Unexpected::Map,
            Self::Null | Self::Mended => Unexpected::Unit,
        }
    }

    /// Mends what an error is about; `false` where nothing could be mended.
    fn mend(&mut self, path: &[Segment], code: &str, missing: Option<&str>) -> bool {
        match (code, path.split_last()) {
            ("required", _) => match (self.at(path), missing) {
                (Some(Self::Object(fields)), Some(name)) if fields.iter().all(|(known, _)| known != name) => {
                    fields.push((name.to_owned(), Self::Mended));
                    true
                }
                _ => false,
            },
            ("unknown_field" | "not_yours", Some((Segment::Key(key), around))) => match self.at(around) {
                Some(Self::Object(fields)) => {
                    let before = fields.len();
                    fields.retain(|(name, _)| name != key);
                    fields.len() < before
                }
                _ => false,
            },
            // Where the whole is of another kind there is nothing to look at within it.
            (_, None) => false,
            (_, Some(_)) => match self.at(path) {
                None | Some(Self::Mended) => false,
                Some(value) => {
                    *value = Self::Mended;
                    true
                }
            },
        }
    }
}

/// Everything that is wrong with a text that is JSON and no `T`, the first first, and the `T` that is left once all of
/// that is mended: to look at what is wrong with the rest of it, and for nothing else.
pub(super) fn all<T: DeserializeOwned>(
    text: &str,
    writer: Audience,
    first: FieldError,
) -> (Vec<FieldError>, Option<T>) {
    let Ok(mut tree) = serde_json::from_str::<Tree>(text) else {
        return (vec![first], None);
    };
    let rounds = WORK_BYTES_MAX
        .checked_div(text.len())
        .unwrap_or(ERRORS_MAX)
        .clamp(1, ERRORS_MAX);
    let mut found = Vec::new();
    let mut left = None;
    for _ in 0..rounds {
        let trail = Trail::of(writer);
        let error = match T::deserialize(Strict::new(&tree, &trail)) {
            Ok(value) => {
                left = Some(value);
                break;
            }
            Err(error) => error,
        };
        let path = trail.into_segments();
        let (field, missing) = explained(&error.to_string(), &path);
        let mended = tree.mend(&path, &field.code, missing.as_deref());
        if !found.contains(&field) {
            found.push(field);
        }
        if !mended {
            break;
        }
    }
    if found.is_empty() {
        (vec![first], None)
    } else {
        (found, left)
    }
}

macro_rules! any_or {
    ($($method:ident => |$visitor:ident| $given:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $visitor: V) -> Result<V::Value, Error> {
            match self {
                Tree::Mended => $given,
                _ => self.deserialize_any($visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Tree {
    type Error = Error;

    any_or! {
        deserialize_bool => |visitor| visitor.visit_bool(false);
        deserialize_i8 => |visitor| visitor.visit_i64(0);
        deserialize_i16 => |visitor| visitor.visit_i64(0);
        deserialize_i32 => |visitor| visitor.visit_i64(0);
        deserialize_i64 => |visitor| visitor.visit_i64(0);
        deserialize_u8 => |visitor| visitor.visit_u64(0);
        deserialize_u16 => |visitor| visitor.visit_u64(0);
        deserialize_u32 => |visitor| visitor.visit_u64(0);
        deserialize_u64 => |visitor| visitor.visit_u64(0);
        deserialize_f32 => |visitor| visitor.visit_f64(0.0);
        deserialize_f64 => |visitor| visitor.visit_f64(0.0);
        deserialize_str => |visitor| visitor.visit_borrowed_str("");
        deserialize_string => |visitor| visitor.visit_borrowed_str("");
        deserialize_seq => |visitor| visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<()>()));
        deserialize_map => |visitor| visitor.visit_map(Given(&[]));
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Null | Tree::Mended => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Unsigned(value) => visitor.visit_u64(*value),
            Tree::Signed(value) => visitor.visit_i64(*value),
            Tree::Float(value) => visitor.visit_f64(*value),
            Tree::Text(text) => visitor.visit_borrowed_str(text),
            Tree::List(items) => visitor.visit_seq(de::value::SeqDeserializer::new(items.iter().map(Part))),
            Tree::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.as_str(), Part(value)));
                visitor.visit_map(de::value::MapDeserializer::new(fields))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Null | Tree::Mended => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Tree::Mended => visitor.visit_map(Given(fields)),
            Tree::List(_) | Tree::Object(_) => self.deserialize_any(visitor),
            // Asked of the visitor itself: it knows what to call an object.
            _ => Err(Error::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Tree::Mended => visitor.visit_enum(Variant {
                name: variants.first().copied().unwrap_or_default(),
                value: &Tree::Mended,
            }),
            Tree::Text(name) => visitor.visit_enum(Variant {
                name,
                value: &Tree::Null,
            }),
            Tree::Object(fields) => match fields.as_slice() {
                [(name, value)] => visitor.visit_enum(Variant { name, value }),
                _ => Err(Error::invalid_value(Unexpected::Map, &"an object with one field")),
            },
            _ => Err(Error::custom("expected value of a name")),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// A part of a tree, as its surroundings hand it out.
struct Part<'de>(&'de Tree);

impl<'de> IntoDeserializer<'de, Error> for Part<'de> {
    type Deserializer = &'de Tree;

    fn into_deserializer(self) -> &'de Tree {
        self.0
    }
}

/// An object that has whatever fields are asked for.
struct Given(&'static [&'static str]);

impl<'de> MapAccess<'de> for Given {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(name) = self.0.first() else {
            return Ok(None);
        };
        seed.deserialize(IntoDeserializer::<Error>::into_deserializer(*name))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.0 = self.0.get(1..).unwrap_or_default();
        seed.deserialize(&Tree::Mended)
    }
}

struct Variant<'de> {
    name: &'de str,
    value: &'de Tree,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = &'de Tree;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, &'de Tree), Error> {
        let name = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(self.name))?;
        Ok((name, self.value))
    }
}

impl<'de> VariantAccess<'de> for &'de Tree {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self {
            Tree::Null | Tree::Mended => Ok(()),
            _ => Err(Error::custom("expected value without fields")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}
