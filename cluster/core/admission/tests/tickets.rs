//! A ticket is worth what it was signed for: in its time, with its key, unchanged. Whatever else is shown is refused with
//! a reason.

#![expect(clippy::unwrap_used, reason = "a key or claim made here that is refused is a bug of the test")]

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{
    Algorithm, AlgorithmSignature,
    alg::{Hs256, Hs256Key},
};
use proptest::prelude::*;
use stentor_admission::{
    Claims, KeyKind, MAX_TOKEN_BYTES, NewKey, Refusal, SignError, SigningKeys, TicketKeys, bearer, key_line,
};
use stentor_ids::{Code, Fault, ParticipantId, Role, RoomId};
use stentor_pace::WallTime;

const SECRET: [u8; 32] = [7; 32];
const NOW: WallTime = WallTime::from_millis(1_800_000_000_000);

/// Shared secrets: what makes tickets is also what verifies them.
fn secrets<const N: usize>(keys: [(&str, [u8; 32]); N]) -> SigningKeys {
    SigningKeys::parse(&keys.map(|(name, secret)| key_line(name, &secret).unwrap()).join("\n")).unwrap()
}

fn signing() -> SigningKeys {
    secrets([("new", SECRET), ("old", [8; 32])])
}

fn keys() -> TicketKeys {
    signing().verifying()
}

/// A key pair: what signs, and what is given to edges.
fn pair(name: &str, kind: KeyKind) -> (SigningKeys, TicketKeys) {
    let NewKey { private, jwks } = NewKey::new(name, kind, &[9; 32]).unwrap();
    (SigningKeys::parse(&private).unwrap(), TicketKeys::jwks(&jwks.unwrap()).unwrap())
}

fn ann() -> Claims {
    Claims {
        room: RoomId::new("demo").unwrap(),
        participant: ParticipantId::new("ann").unwrap(),
        name: "Ann Müller".into(),
        role: Role::Speaker,
        expires_at: NOW + Duration::from_secs(3600),
        not_before: Some(NOW),
        issued_at: Some(NOW),
    }
}

fn any_kind(name: &str, kind: KeyKind) -> (SigningKeys, TicketKeys) {
    if kind != KeyKind::Hs256 {
        return pair(name, kind);
    }
    let signing = secrets([(name, SECRET)]);
    (signing.clone(), signing.verifying())
}

/// A token with any header and claims, signed with the right key.
fn token(header: &str, claims: &str) -> String {
    let parts = [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes())).join(".");
    let signature = Hs256.sign(&Hs256Key::new(SECRET), parts.as_bytes());
    format!("{parts}.{}", Base64UrlUnpadded::encode_string(&signature.as_bytes()))
}

fn refused(token: &str) -> String {
    keys().verify(token, NOW).unwrap_err().to_string()
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT","kid":"new"}"#;
const CLAIMS: &str = r#"{"room":"demo","sub":"ann","name":"Ann","role":"speaker","exp":1900000000}"#;

#[test]
fn a_ticket_reads_back_as_it_was_signed_with_any_key_of_the_set() {
    for key in [None, Some("new"), Some("old")] {
        let token = signing().sign(&ann(), key).unwrap();
        assert_eq!(keys().verify(&token, NOW).unwrap(), ann());
    }
    assert_eq!(signing().sign(&ann(), Some("lost")), Err(SignError::UnknownKey("lost".into())));
}

#[test]
fn a_ticket_made_elsewhere_is_taken() {
    let claims = keys().verify(&token(HEADER, CLAIMS), NOW).unwrap();
    assert_eq!((claims.role, claims.not_before), (Role::Speaker, None));
    let more = CLAIMS.replace("{\"room", "{\"iss\":\"shop\",\"aud\":[\"stentor\"],\"room");
    assert!(keys().verify(&token(HEADER, &more), NOW).is_ok());
}

#[test]
fn a_ticket_of_a_key_that_was_taken_out_is_refused_by_the_key_s_name() {
    let token = signing().sign(&ann(), Some("old")).unwrap();
    let rotated = secrets([("new", SECRET)]).verifying();
    assert_eq!(rotated.verify(&token, NOW), Err(Refusal::UnknownKey("old".into())));
    let other = secrets([("old", [9; 32])]).verifying();
    assert_eq!(other.verify(&token, NOW), Err(Refusal::BadSignature));
}

#[test]
fn a_ticket_holds_from_its_start_to_its_expiry() {
    let token = signing().sign(&ann(), None).unwrap();
    let at = |now| keys().verify(&token, now).map(|_| ()).map_err(Fault::from);
    assert_eq!(at(NOW - Duration::from_secs(30)), Ok(()));
    assert_eq!(at(ann().expires_at - Duration::from_micros(1)), Ok(()));
    let late = at(ann().expires_at + Duration::from_secs(5)).unwrap_err();
    assert_eq!(late.code, Code::TicketExpired);
    assert_eq!(late.detail, "the ticket expired at 2027-01-15 09:00:00 UTC, 5 s ago; ask for a new one");
    let early = at(NOW - Duration::from_secs(31)).unwrap_err();
    assert_eq!((early.code, early.retry_after), (Code::InvalidTicket, Some(Duration::from_secs(31))));
    assert_eq!(early.detail, "the ticket is not valid before 2027-01-15 08:00:00 UTC, in 31 s");
}

#[test]
fn a_ticket_opens_its_own_room_only() {
    assert_eq!(ann().check_room(&RoomId::new("demo").unwrap()), Ok(()));
    let fault = Fault::from(ann().check_room(&RoomId::new("final").unwrap()).unwrap_err());
    assert_eq!(
        (fault.code, fault.detail.as_ref()),
        (Code::WrongRoom, "the ticket is for room demo, not for final")
    );
}

fn algorithm(says: &str, key: &str, kind: KeyKind) -> Refusal {
    Refusal::Algorithm { says: says.into(), key: key.into(), kind }
}

#[test]
fn the_header_cannot_choose_how_it_is_checked() {
    let with = |alg: &str| token(&HEADER.replace("HS256", alg), CLAIMS);
    for alg in ["none", "None", "RS256", "HS512", "hs256", ""] {
        assert_eq!(keys().verify(&with(alg), NOW), Err(algorithm(alg, "new", KeyKind::Hs256)));
    }
    let unsigned = format!("{}.", with("none").rsplit_once('.').unwrap().0);
    assert_eq!(keys().verify(&unsigned, NOW), Err(algorithm("none", "new", KeyKind::Hs256)));
    assert!(refused(&unsigned).contains("algorithm is \"none\", but its key \"new\" is for HS256"));
    assert_eq!(keys().verify(&token(r#"{"alg":"HS256"}"#, CLAIMS), NOW), Err(Refusal::NoKey));
    let critical = token(&HEADER.replace("}", r#","crit":["b64"],"b64":false}"#), CLAIMS);
    assert!(refused(&critical).contains("critical extensions"));
}

#[test]
fn a_malformed_ticket_is_refused_and_never_told_back() {
    for text in ["", ".", "..", "a.b", "a.b.c.d", "!!.!!.!!", "e30.e30.e30", "\u{0}", "Bearer x.y.z"] {
        assert!(matches!(keys().verify(text, NOW), Err(Refusal::Malformed(_))), "{text:?}");
    }
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    assert_eq!(refused(&long), "the ticket has 2049 bytes; at most 2048 are allowed");
    let boast = token(&HEADER.replace("new", &"k".repeat(500)), CLAIMS);
    assert_eq!(keys().verify(&boast, NOW), Err(Refusal::UnknownKey("k".repeat(32))));
}

#[test]
fn a_role_that_only_a_newer_build_knows_is_a_listener_s() {
    for name in ["king", "", "Host", "host ", "speaker\u{0}"] {
        let claims = CLAIMS.replace("\"speaker\"", &serde_json::json!(name).to_string());
        let told = keys().verify(&token(HEADER, &claims), NOW).unwrap();
        assert_eq!((told.role, told.name.as_str()), (Role::Listener, "Ann"), "{name:?}");
    }
}

#[test]
fn claims_that_are_missing_or_wrong_are_named() {
    for (claim, wrong, told) in [
        (r#""role":"speaker""#, r#""role":7"#, "malformed"),
        (r#","role":"speaker""#, "", "role"),
        (r#""room":"demo""#, r#""room":"de/mo""#, "de/mo"),
        (r#""room":"demo","#, "", "room"),
        (r#","exp":1900000000"#, "", "never expires"),
        (r#""exp":1900000000"#, r#""exp":"soon""#, "malformed"),
        (r#""exp":1900000000"#, r#""exp":1e300"#, "malformed"),
        (r#""name":"Ann""#, r#""name":"\u202eAnn""#, "not printable"),
    ] {
        let text = refused(&token(HEADER, &CLAIMS.replace(claim, wrong)));
        assert!(text.starts_with("the ticket is malformed") && text.contains(told), "{wrong}: {text}");
    }
    let past = token(HEADER, &CLAIMS.replace("1900000000", "-5"));
    assert!(refused(&past).starts_with("the ticket expired at 1970-01-01 00:00:00 UTC"));
}

#[test]
fn claims_that_no_ticket_can_have_are_not_signed() {
    let claims = Claims { name: "Ann\n".into(), ..ann() };
    assert!(matches!(signing().sign(&claims, None), Err(SignError::Claims(_))));
    let never = Claims { expires_at: WallTime::from_micros(u64::MAX), ..ann() };
    assert_eq!(signing().sign(&never, None), Err(SignError::Time));
}

#[test]
fn the_longest_ticket_fits_its_bound_twice() {
    let long = "x".repeat(64);
    let claims = Claims {
        room: RoomId::new(&long).unwrap(),
        participant: ParticipantId::new(&long).unwrap(),
        name: "\u{1F399}".repeat(64),
        ..ann()
    };
    for (signing, keys) in KeyKind::ALL.map(|kind| any_kind(&long, kind)) {
        let token = signing.sign(&claims, None).unwrap();
        assert!(token.len() <= MAX_TOKEN_BYTES / 2, "{} bytes", token.len());
        assert_eq!(keys.verify(&token, NOW).unwrap(), claims);
    }
}

#[test]
fn a_token_is_found_in_a_bearer_header_alone() {
    assert_eq!(bearer("Bearer a.b.c"), Some("a.b.c"));
    assert_eq!(bearer(" bearer  x "), Some("x"));
    for header in ["", "Bearer", "Bearer ", "Basic eA==", "a.b.c", "Bearerx y"] {
        assert_eq!(bearer(header), None, "{header:?}");
    }
}

#[test]
fn a_ticket_with_any_one_bit_changed_is_refused() {
    for (signing, keys) in KeyKind::ALL.map(|kind| any_kind("main", kind)) {
        let token = signing.sign(&ann(), None).unwrap();
        for at in 0..token.len() {
            // One bit of each character in turn: a check by a public key takes a while in a build for tests.
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << (at % 7);
            let changed = String::from_utf8(bytes).unwrap();
            assert!(keys.verify(&changed, NOW).is_err(), "{changed}");
        }
    }
}

#[test]
fn a_ticket_of_a_key_pair_is_verified_with_the_public_half_alone() {
    for kind in [KeyKind::Es256, KeyKind::EdDsa] {
        let (signing, keys) = pair("2026-a", kind);
        let token = signing.sign(&ann(), None).unwrap();
        assert_eq!(keys.verify(&token, NOW), Ok(ann()));
        assert_eq!(signing.verifying().verify(&token, NOW), Ok(ann()));
        let NewKey { private, .. } = NewKey::new("2026-a", kind, &[10; 32]).unwrap();
        let forged = SigningKeys::parse(&private).unwrap().sign(&ann(), None).unwrap();
        assert_eq!(keys.verify(&forged, NOW), Err(Refusal::BadSignature));
    }
}

#[test]
fn what_an_edge_holds_of_a_key_pair_makes_no_ticket() {
    for kind in [KeyKind::Es256, KeyKind::EdDsa] {
        let NewKey { private, jwks } = NewKey::new("main", kind, &[9; 32]).unwrap();
        let (jwks, jwk) = (jwks.unwrap(), private.replace(",\"d\"", ",\"left_out\""));
        let keys = TicketKeys::jwks(&jwks).unwrap();
        assert!(SigningKeys::parse(&jwks).is_err() && SigningKeys::parse(&jwk).is_err());
        // Every form in which somebody may take the public key for a secret that it shares.
        let set: serde_json::Value = serde_json::from_str(&jwks).unwrap();
        let number =
            |field: &str| Base64UrlUnpadded::decode_vec(set["keys"][0][field].as_str().unwrap_or_default());
        let (x, y) = (number("x").unwrap(), number("y").unwrap());
        let point = [&[4][..], &x, &y].concat();
        let squeezed = [&[2 + (y.last().copied().unwrap_or_default() & 1)][..], &x].concat();
        for bytes in
            [x.clone(), point, squeezed, jwks.clone().into_bytes(), set["keys"][0].to_string().into_bytes()]
        {
            let header = HEADER.replace("new", "main");
            let parts =
                [&header, CLAIMS].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes())).join(".");
            let signature = Hs256.sign(&Hs256Key::new(&bytes), parts.as_bytes());
            let forged = format!("{parts}.{}", Base64UrlUnpadded::encode_string(&signature.as_bytes()));
            assert_eq!(keys.verify(&forged, NOW), Err(algorithm("HS256", "main", kind)));
            let boast = forged.replace(
                &Base64UrlUnpadded::encode_string(header.as_bytes()),
                &Base64UrlUnpadded::encode_string(header.replace("HS256", kind.as_str()).as_bytes()),
            );
            assert_eq!(keys.verify(&boast, NOW), Err(Refusal::BadSignature));
        }
    }
}

#[test]
fn each_key_is_for_its_own_algorithm_alone() {
    let all = KeyKind::ALL.map(|kind| any_kind(kind.as_str(), kind));
    let [(_, a), (_, b), (_, c)] = all.clone();
    let keys = a.and(b).and_then(|keys| keys.and(c)).unwrap();
    for (signing, _) in &all {
        let token = signing.sign(&ann(), None).unwrap();
        assert_eq!(keys.verify(&token, NOW), Ok(ann()));
        let (header, rest) = token.split_once('.').unwrap();
        let header = String::from_utf8(Base64UrlUnpadded::decode_vec(header).unwrap()).unwrap();
        let own = signing.names().next().unwrap();
        for kind in KeyKind::ALL.into_iter().filter(|kind| kind.as_str() != own) {
            let as_another =
                |from: String| format!("{}.{rest}", Base64UrlUnpadded::encode_string(from.as_bytes()));
            let (key, alg) = (format!("\"kid\":\"{own}\""), format!("\"alg\":\"{own}\""));
            let renamed = as_another(header.replace(&key, &format!("\"kid\":\"{kind}\"")));
            assert!(matches!(keys.verify(&renamed, NOW), Err(Refusal::Algorithm { .. })), "{own} {kind}");
            let boast = as_another(header.replace(&alg, &format!("\"alg\":\"{kind}\"")));
            assert!(matches!(keys.verify(&boast, NOW), Err(Refusal::Algorithm { .. })), "{own} {kind}");
        }
    }
}

proptest! {
    #[test]
    fn garbage_never_verifies_nor_panics(text in "\\PC{0,200}", a: Vec<u8>, b: Vec<u8>, c: Vec<u8>) {
        prop_assert!(keys().verify(&text, NOW).is_err());
        let parts = [a, b, c].map(|part| Base64UrlUnpadded::encode_string(&part)).join(".");
        prop_assert!(keys().verify(&parts, NOW).is_err());
    }

    #[test]
    fn signed_garbage_is_refused_too(header in "\\PC{0,80}", claims in "\\PC{0,80}") {
        prop_assert!(keys().verify(&token(&header, &claims), NOW).is_err());
        prop_assert!(keys().verify(&token(HEADER, &claims), NOW).is_err());
    }
}
