//! JSON Web Keys (RFC 7517), as they stand in files: read with every doubt told, and written.
//!
//! No error repeats more of a file than names: what a number is mistaken for may be a secret.

use jwt_compact::jwk::JsonWebKey;
use serde_json::{Map, Value, json};

use super::{
    InvalidKeys, KeyKind, check_name,
    key::{SigningKey, VerifyingKey},
};

/// Longest word out of a file that is told back.
const MAX_ECHO_CHARS: usize = 32;

type Fields = Map<String, Value>;

/// The keys of a JSON Web Key Set, all of them public.
pub(super) fn read_set(text: &str) -> Result<Vec<(String, VerifyingKey)>, InvalidKeys> {
    let why = |why: &str| InvalidKeys::NoJwks(why.to_owned());
    let set: Fields = serde_json::from_str(text)
        .map_err(|error| why(&format!("no JSON object, line {} column {}", error.line(), error.column())))?;
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or_else(|| why("it has no list \"keys\""))?;
    let read = |(key, nth): (&Value, usize)| {
        let fields = key.as_object().ok_or_else(|| why(&format!("key {nth} is no object")))?;
        let name = name_of(fields).ok_or(InvalidKeys::Unnamed(nth))?;
        public(name, fields).map(|key| (name.to_owned(), key))
    };
    keys.iter().zip(1..).map(read).collect()
}

/// One key with its private part, and its name.
pub(super) fn read_private(text: &str) -> Result<(String, SigningKey), InvalidKeys> {
    let why = |why: &str| InvalidKeys::NoPrivateKey(why.to_owned());
    let fields: Fields = serde_json::from_str(text)
        .map_err(|error| why(&format!("no JSON object, line {} column {}", error.line(), error.column())))?;
    if fields.contains_key("keys") {
        return Err(why("it is a set of keys; tickets are signed with one, in a file of its own"));
    }
    let name = name_of(&fields).ok_or_else(|| why("it has no kid"))?;
    check_name(name)?;
    let kind = kind_of(name, &fields)?;
    check_purpose(name, kind, &fields, "sign")?;
    if !fields.contains_key("d") {
        return Err(why(&format!("key {name:?} is a public one, which signs nothing")));
    }
    let numbers = || InvalidKeys::Numbers { name: name.to_owned(), kind };
    let jwk = numbers_of(&fields).ok_or_else(numbers)?;
    let key = match kind {
        KeyKind::Es256 => (&jwk).try_into().map(SigningKey::Es256),
        _ => (&jwk).try_into().map(SigningKey::EdDsa),
    };
    Ok((name.to_owned(), key.map_err(|_| numbers())?))
}

/// A key with what says what it is for, as JSON.
pub(super) fn write(name: &str, kind: KeyKind, key: &JsonWebKey<'_>) -> Value {
    let mut value = serde_json::to_value(key).expect("texts are always JSON");
    for (field, text) in [("kid", name), ("alg", kind.as_str()), ("use", "sig")] {
        value[field] = Value::from(text);
    }
    value
}

/// A set of one key, over several lines, since people put sets together by hand.
pub(super) fn write_set(name: &str, kind: KeyKind, key: &JsonWebKey<'_>) -> String {
    let set = json!({ "keys": [write(name, kind, key)] });
    serde_json::to_string_pretty(&set).expect("texts are always JSON") + "\n"
}

fn public(name: &str, fields: &Fields) -> Result<VerifyingKey, InvalidKeys> {
    check_name(name)?;
    // A shared secret is as private as the private part of a pair.
    if fields.contains_key("d") || fields.contains_key("k") {
        return Err(InvalidKeys::Private(name.to_owned()));
    }
    let kind = kind_of(name, fields)?;
    check_purpose(name, kind, fields, "verify")?;
    let numbers = || InvalidKeys::Numbers { name: name.to_owned(), kind };
    let jwk = numbers_of(fields).ok_or_else(numbers)?;
    let key = match kind {
        KeyKind::Es256 => (&jwk).try_into().map(VerifyingKey::Es256),
        _ => (&jwk).try_into().map(VerifyingKey::EdDsa),
    };
    match key.map_err(|_| numbers())? {
        // A point of small order: under it one signature is right for nearly every message.
        VerifyingKey::EdDsa(key) if key.is_weak() => Err(numbers()),
        key => Ok(key),
    }
}

fn name_of(fields: &Fields) -> Option<&str> {
    fields.get("kid").and_then(Value::as_str)
}

/// What the key is, by its type and curve.
fn kind_of(name: &str, fields: &Fields) -> Result<KeyKind, InvalidKeys> {
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    match (text("kty"), text("crv")) {
        ("EC", "P-256") => Ok(KeyKind::Es256),
        ("OKP", "Ed25519") => Ok(KeyKind::EdDsa),
        (kty, crv) => {
            let kind = echo(format!("{kty} {crv}").trim());
            Err(InvalidKeys::Kind { name: name.to_owned(), kind: format!("{kind:?}") })
        }
    }
}

/// Whether the key may be used so, as far as it says (RFC 7517, sections 4.2 to 4.4).
fn check_purpose(name: &str, kind: KeyKind, fields: &Fields, operation: &str) -> Result<(), InvalidKeys> {
    let told = |field: &str, wanted: bool| {
        if wanted {
            return Ok(());
        }
        let says = echo(&format!("{field} {}", fields[field]));
        Err(InvalidKeys::Purpose { name: name.to_owned(), says, kind })
    };
    if let Some(algorithm) = fields.get("alg") {
        told("alg", algorithm == kind.as_str())?;
    }
    if let Some(purpose) = fields.get("use") {
        told("use", purpose == "sig")?;
    }
    if let Some(operations) = fields.get("key_ops") {
        told("key_ops", operations.as_array().is_some_and(|all| all.iter().any(|one| one == operation)))?;
    }
    Ok(())
}

/// The numbers of the key. What stands beside them is left out, so that it cannot be in their way.
fn numbers_of(fields: &Fields) -> Option<JsonWebKey<'static>> {
    let kept = fields.iter().filter(|(field, _)| matches!(field.as_str(), "kty" | "crv" | "x" | "y" | "d"));
    let kept: Fields = kept.map(|(field, value)| (field.clone(), value.clone())).collect();
    serde_json::from_value(Value::Object(kept)).ok()
}

fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}
