//! The JSON others read and write, as types: strict at every level, because
//! Houmao rejects a whole record for one unknown key and we say so when we see it.

pub mod external;
mod manifest_rules;
pub(crate) mod manifest_v4;
mod parts;
mod record_v2;
mod record_v3;
mod rules;

use crate::error::{Error, Kind, Result};
use crate::model::Record;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// The most bytes a record may have; real ones have about one thousand.
pub const MAX_RECORD_BYTES: u64 = 1024 * 1024;

/// The most characters of another program's text that a sentence of ours repeats.
const MAX_QUOTED_CHARS: usize = 300;

/// A record of schema version 2 or 3 (2 when none is given) as the model's.
/// [`Kind::Malformed`] says what is wrong with it.
pub fn decode_record(bytes: &[u8]) -> Result<Record> {
    // Most are of the newest version and right, and need no look at the version before.
    if let Some(record) = object::<record_v3::RecordV3>(bytes).ok().filter(record_v3::RecordV3::is_that) {
        return record.into_record().map_err(malformed);
    }
    match schema_version(bytes, 2, &[2, 3])? {
        2 => object::<record_v2::RecordV2>(bytes)?.into_record(),
        _ => object::<record_v3::RecordV3>(bytes)?.into_record(),
    }
    .map_err(malformed)
}

/// A record as schema version 3: keys sorted, indented by 2, every null written,
/// a newline at the end. [`Kind::Invalid`] when it breaks a rule of the schema.
pub fn encode_record(record: &Record) -> Result<Vec<u8>> {
    let wire = record_v3::RecordV3::from_record(record).map_err(|reason| {
        Error::new(Kind::Invalid, format!("the record of {:?} cannot be written, because {reason}", record.name))
    })?;
    to_json(&wire)
}

/// Houmao's layout of JSON files: sorted keys, indent 2, a final newline.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let failed = |error: serde_json::Error| Error::new(Kind::Invalid, format!("it cannot be written as JSON: {error}"));
    let mut value = serde_json::to_value(value).map_err(failed)?;
    value.sort_all_objects();
    let mut bytes = serde_json::to_vec_pretty(&value).map_err(failed)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads one JSON object of known keys and nothing else.
pub(crate) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice::<Object<T>>(bytes).map(|object| object.0).map_err(malformed)
}

/// The `schema_version` of a document, `default` when it has none. Anything but
/// one of `known` is refused, a newer one in words that say what to do.
pub(crate) fn schema_version(bytes: &[u8], default: u64, known: &[u64]) -> Result<u64> {
    #[derive(Deserialize)]
    struct Version {
        // A null is a wrong version and not an absent one.
        #[serde(default, deserialize_with = "present")]
        schema_version: Option<serde_json::Value>,
    }
    fn present<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<serde_json::Value>, D::Error> {
        serde_json::Value::deserialize(value).map(Some)
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(malformed(format_args!("it is not UTF-8 (byte {} is wrong)", error.valid_up_to())));
    }
    let Some(version) = object::<Version>(bytes)?.schema_version else { return Ok(default) };
    let newest = known.iter().copied().max().unwrap_or(default);
    match version.as_u64() {
        Some(version) if known.contains(&version) => Ok(version),
        Some(version) if version > newest => Err(malformed(format_args!(
            "a newer program wrote it, in schema version {version}, and {newest} is the newest known here; use a newer troop and leave the file as it is"
        ))),
        _ => Err(malformed(format_args!("its schema_version is {version}, which is not one of {known:?}"))),
    }
}

pub(crate) fn malformed(reason: impl fmt::Display) -> Error {
    Error::new(Kind::Malformed, quoted(&reason.to_string()))
}

/// Another program's text, safe to show: control characters escaped, cut to a bearable length.
fn quoted(text: &str) -> String {
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == MAX_QUOTED_CHARS {
            shown.push('…');
            break;
        }
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// A JSON object and only that. Derived structs also accept arrays, with the
/// fields in order; nobody else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct MapOnly<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for MapOnly<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(MapOnly(PhantomData)).map(Object)
    }
}

/// One of a closed list of words, and only as a string. Derived enums also accept
/// `{"word": null}`; nobody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Word<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        T::deserialize(String::deserialize(deserializer)?.into_deserializer()).map(Word)
    }
}

/// Why a value was refused, naming the field.
pub(crate) type Reason = String;

/// A time with an offset from UTC, as Houmao demands.
pub(crate) fn time(field: &str, text: &str) -> std::result::Result<Timestamp, Reason> {
    // Zone annotations in brackets are RFC 9557, which no other reader knows.
    Some(text).filter(|text| !text.contains('[')).and_then(|text| text.parse::<Timestamp>().ok()).ok_or_else(|| {
        format!("{field} is {text:?}, which is not a time with an offset from UTC, like 2026-11-21T01:42:48+00:00")
    })
}

/// A time as Houmao writes it: whole seconds and `+00:00`.
pub(crate) fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// Blank as Python's `str.strip` has it, which also strips the four separators of ASCII.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// Refuses a blank text.
pub(crate) fn not_blank(field: &str, text: &str) -> std::result::Result<(), Reason> {
    if is_blank(text) { Err(format!("{field} is blank")) } else { Ok(()) }
}

/// Refuses a text that is there and blank.
pub(crate) fn not_blank_if_any(field: &str, text: Option<&str>) -> std::result::Result<(), Reason> {
    text.map_or(Ok(()), |text| not_blank(field, text))
}
