//! A set of public keys is taken as a whole or refused with a reason; a private key is written once and read back.

#![expect(clippy::unwrap_used, reason = "a key made here that is refused is a bug of the test")]

use proptest::prelude::*;
use serde_json::{Value, json};
use stentor_admission::{InvalidKeys, KeyKind, NewKey, SigningKeys, TicketKeys};

const PAIRS: [KeyKind; 2] = [KeyKind::Es256, KeyKind::EdDsa];

fn new(name: &str, kind: KeyKind, byte: u8) -> NewKey {
    NewKey::new(name, kind, &[byte; 32]).unwrap()
}

/// The one public key of a new pair.
fn public(name: &str, kind: KeyKind) -> Value {
    let set: Value = serde_json::from_str(&new(name, kind, 7).jwks.unwrap()).unwrap();
    set["keys"][0].clone()
}

fn private(name: &str, kind: KeyKind) -> Value {
    serde_json::from_str(&new(name, kind, 7).private).unwrap()
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn with(mut key: Value, field: &str, value: impl Into<Value>) -> Value {
    key[field] = value.into();
    key
}

fn without(mut key: Value, field: &str) -> Value {
    key.as_object_mut().unwrap().remove(field);
    key
}

fn refused(text: &str) -> InvalidKeys {
    TicketKeys::jwks(text).unwrap_err()
}

#[test]
fn a_set_of_both_kinds_is_taken_in_its_order() {
    let [a, b] = [public("a", KeyKind::Es256), public("b", KeyKind::EdDsa)];
    let keys = TicketKeys::jwks(&set(&[a.clone(), b.clone()])).unwrap();
    assert_eq!(keys.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(format!("{keys:?}"), r#"TicketKeys(["a", "b"])"#);
    // As other makers write them: less said, and more beside it.
    let bare = ["alg", "use"].into_iter().fold(a, without);
    let rich = with(with(b, "key_ops", json!(["verify"])), "x5t", "certificate");
    assert!(TicketKeys::jwks(&set(&[bare, rich])).is_ok());
}

#[test]
fn the_examples_of_the_standards_are_taken() {
    // RFC 7517, appendix A.1, the first key for signatures; RFC 8037, appendix A.2, with a name.
    let es256 = json!({
        "kty": "EC", "crv": "P-256", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    });
    let eddsa = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "2", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    assert!(TicketKeys::jwks(&set(&[es256, eddsa])).is_ok());
}

#[test]
fn a_set_without_a_key_or_with_two_of_one_name_is_refused() {
    assert_eq!(refused(&set(&[])), InvalidKeys::EmptyJwks);
    let twice = set(&[public("a", KeyKind::Es256), public("a", KeyKind::EdDsa)]);
    assert_eq!(refused(&twice), InvalidKeys::Twice("a".into()));
    let [one, other] = PAIRS.map(|kind| TicketKeys::jwks(&set(&[public("a", kind)])).unwrap());
    assert_eq!(one.and(other).unwrap_err(), InvalidKeys::Twice("a".into()));
    let many: Vec<_> = (0..17).map(|i| public(&format!("k{i}"), KeyKind::EdDsa)).collect();
    assert_eq!(refused(&set(&many)), InvalidKeys::TooMany(17));
}

#[test]
fn a_private_key_among_public_ones_is_refused() {
    for kind in PAIRS {
        let error = refused(&set(&[public("a", kind), private("b", kind)]));
        assert_eq!(error, InvalidKeys::Private("b".into()));
    }
    let shared = json!({ "kty": "oct", "kid": "c", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY" });
    assert_eq!(refused(&set(&[shared])), InvalidKeys::Private("c".into()));
}

#[test]
fn a_key_of_another_kind_or_for_something_else_is_refused_by_what_it_says() {
    let es256 = || public("a", KeyKind::Es256);
    for (key, told) in [
        (json!({ "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB" }), "\"RSA\""),
        (with(es256(), "crv", "P-384"), "\"EC P-384\""),
        (with(public("a", KeyKind::EdDsa), "crv", "X25519"), "\"OKP X25519\""),
        (json!({ "kid": "a" }), "kind \"\""),
        (with(es256(), "alg", "none"), "alg \"none\""),
        (with(es256(), "alg", "HS256"), "alg \"HS256\""),
        (with(es256(), "alg", "EdDSA"), "tickets by ES256"),
        (with(es256(), "use", "enc"), "use \"enc\""),
        (with(es256(), "key_ops", json!(["encrypt"])), "key_ops"),
        (with(es256(), "kid", "a b"), "key name \"a b\""),
        (with(es256(), "kid", 7), "key 1 of"),
        (without(es256(), "kid"), "has no kid"),
    ] {
        let error = refused(&set(&[key])).to_string();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn numbers_that_make_no_key_are_refused_and_not_repeated() {
    let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (kind, field, value) in [
        (KeyKind::Es256, "x", json!("AAAA")),
        (KeyKind::Es256, "y", json!("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM")),
        (KeyKind::Es256, "y", json!("no base64!")),
        (KeyKind::Es256, "y", Value::Null),
        (KeyKind::EdDsa, "x", json!(weak)),
        (KeyKind::EdDsa, "x", json!([1, 2, 3])),
    ] {
        let error = refused(&set(&[with(public("a", kind), field, value.clone())]));
        assert_eq!(error, InvalidKeys::Numbers { name: "a".into(), kind }, "{value}");
        assert!(!error.to_string().contains(value.as_str().unwrap_or("[1")), "{error}");
    }
    assert!(matches!(
        refused(&set(&[without(public("a", KeyKind::Es256), "y")])),
        InvalidKeys::Numbers { .. }
    ));
}

#[test]
fn what_is_no_set_is_refused() {
    for (text, told) in [
        ("", "no JSON object"),
        ("a:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", "line 1"),
        ("[]", "no JSON object"),
        ("{}", "no list \"keys\""),
        ("{\"keys\": {}}", "no list \"keys\""),
        ("{\"keys\": [7]}", "key 1 is no object"),
        (&public("a", KeyKind::Es256).to_string(), "no list \"keys\""),
    ] {
        let error = refused(text).to_string();
        assert!(error.starts_with("this is no JSON Web Key Set") && error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_private_key_reads_back_and_one_that_is_none_is_refused_without_its_text() {
    for kind in PAIRS {
        let keys = SigningKeys::parse(&new("a", kind, 7).private).unwrap();
        assert_eq!(format!("{keys:?}"), r#"SigningKeys(["a"])"#);
        let (good, d) = (private("a", kind), private("a", kind)["d"].as_str().unwrap().to_owned());
        let other = private_of(9, kind);
        for (text, told) in [
            (public("a", kind).to_string(), "signs nothing"),
            (set(std::slice::from_ref(&good)), "a set of keys"),
            (without(good.clone(), "kid").to_string(), "no kid"),
            (with(good.clone(), "d", "AAAA").to_string(), "its numbers"),
            (with(good.clone(), "d", format!("{d}!")).to_string(), "its numbers"),
            (with(good.clone(), "d", other).to_string(), "its numbers"),
            (with(good.clone(), "alg", "none").to_string(), "alg \"none\""),
            (with(good.clone(), "key_ops", json!(["verify"])).to_string(), "key_ops"),
            (with(good.clone(), "crv", "P-521").to_string(), "P-521"),
            (good.to_string() + "}", "no JSON object"),
        ] {
            let error = SigningKeys::parse(&text).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains(&d), "{told}: {error}");
        }
    }
}

fn private_of(byte: u8, kind: KeyKind) -> String {
    let key: Value = serde_json::from_str(&new("a", kind, byte).private).unwrap();
    key["d"].as_str().unwrap().to_owned()
}

#[test]
fn a_new_key_shows_nothing_private() {
    for kind in KeyKind::ALL {
        let key = new("a", kind, 7);
        let d = match kind {
            KeyKind::Hs256 => key.private.trim().trim_start_matches("a:").to_owned(),
            _ => private_of(7, kind),
        };
        assert!(!format!("{key:?}").contains(&d) && key.private.contains(&d));
        assert_eq!(key.jwks.is_some(), kind != KeyKind::Hs256);
        assert!(key.jwks.is_none_or(|jwks| !jwks.contains(&d)));
        assert_eq!(NewKey::new("a b", kind, &[7; 32]).unwrap_err(), InvalidKeys::Name("a b".into()));
    }
    // No number between 1 and the order of the curve.
    for bytes in [[0; 32], [255; 32]] {
        let error = NewKey::new("a", KeyKind::Es256, &bytes).unwrap_err();
        assert_eq!(error, InvalidKeys::Numbers { name: "a".into(), kind: KeyKind::Es256 });
    }
}

proptest! {
    #[test]
    fn garbage_is_no_key_and_panics_nothing(text in "\\PC{0,200}", x in "[A-Za-z0-9_-]{0,50}", y in "[A-Za-z0-9_-]{0,50}") {
        prop_assert!(TicketKeys::jwks(&text).is_err());
        let like_json = format!("{{{text}");
        prop_assert!(SigningKeys::parse(&like_json).is_err());
        for (kty, crv) in [("EC", "P-256"), ("OKP", "Ed25519")] {
            let key = json!({ "kty": kty, "crv": crv, "kid": "a", "x": x, "y": y, "d": y });
            let _ = TicketKeys::jwks(&set(&[without(key.clone(), "d")]));
            let _ = SigningKeys::parse(&key.to_string());
        }
    }
}
