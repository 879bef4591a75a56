//! A resume token continues what it was signed for, is no ticket, and whatever else is shown as one is refused with a
//! reason.

#![expect(clippy::unwrap_used, reason = "a key or claim made here that is refused is a bug of the test")]

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{
    Algorithm, AlgorithmSignature,
    alg::{Hs256, Hs256Key},
};
use proptest::prelude::*;
use stentor_admission::{Claims, KeySet, MAX_TOKEN_BYTES, Refusal, Resume};
use stentor_ids::{Code, Fault, ParticipantId, Role, RoomId};
use stentor_pace::WallTime;

const SECRET: [u8; 32] = [7; 32];
const NOW: WallTime = WallTime::from_millis(1_800_000_000_000);

fn keys() -> KeySet {
    KeySet::new([("new", SECRET), ("old", [8; 32])]).unwrap()
}

fn seat() -> Resume {
    Resume {
        room: RoomId::new("demo").unwrap(),
        participant: ParticipantId::new("ann").unwrap(),
        stream: u64::MAX,
        expires_at: NOW + Duration::from_secs(3600),
    }
}

fn ticket() -> Claims {
    let Resume { room, participant, expires_at, .. } = seat();
    let (not_before, issued_at) = (None, None);
    Claims { room, participant, name: "Ann".into(), role: Role::Speaker, expires_at, not_before, issued_at }
}

fn refused(token: &str) -> String {
    keys().verify_resume(token, NOW).unwrap_err().to_string()
}

/// A token with any header and claims, signed with the right key.
fn token(header: &str, claims: &str) -> String {
    let parts = [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes())).join(".");
    let signature = Hs256.sign(&Hs256Key::new(SECRET), parts.as_bytes());
    format!("{parts}.{}", Base64UrlUnpadded::encode_string(&signature.as_bytes()))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"stentor-resume+jwt","kid":"new"}"#;
const CLAIMS: &str = r#"{"aud":"stentor/speak","room":"demo","sub":"ann","stream":7,"exp":1900000000}"#;

#[test]
fn a_resume_token_reads_back_as_it_was_signed_until_it_expires() {
    let token = keys().sign_resume(&seat()).unwrap();
    assert_eq!(keys().verify_resume(&token, NOW), Ok(seat()));
    let last = seat().expires_at;
    assert!(keys().verify_resume(&token, last - Duration::from_micros(1)).is_ok());
    assert_eq!(keys().verify_resume(&token, last), Err(Refusal::Resume("it has expired".into())));
    let other = KeySet::new([("new", [9; 32])]).unwrap();
    assert!(other.verify_resume(&token, NOW).is_err());
}

#[test]
fn a_ticket_is_no_resume_token_and_a_resume_token_is_no_ticket() {
    let (resume, ticket) = (keys().sign_resume(&seat()).unwrap(), keys().sign(&ticket(), None).unwrap());
    assert!(keys().verify(&resume, NOW).is_err());
    assert!(keys().verify_resume(&ticket, NOW).is_err());
    // Not even when it holds everything that the other one does.
    let both = r#"{"aud":"stentor/speak","room":"demo","sub":"ann","stream":7,"exp":1900000000,"name":"Ann","role":"host"}"#;
    assert!(keys().verify(&token(HEADER, both), NOW).unwrap_err().to_string().contains("a resume token"));
    assert!(keys().verify_resume(&token(&HEADER.replace("stentor-resume+jwt", "JWT"), both), NOW).is_err());
}

#[test]
fn a_resume_token_of_another_room_or_participant_is_refused() {
    assert_eq!(seat().check(&ticket()), Ok(()));
    let elsewhere = Resume { room: RoomId::new("final").unwrap(), ..seat() };
    let swapped = Resume { participant: ParticipantId::new("eve").unwrap(), ..seat() };
    let told = |resume: Resume| Fault::from(resume.check(&ticket()).unwrap_err());
    assert_eq!(
        (told(elsewhere).code, told(swapped).detail.as_ref()),
        (Code::InvalidTicket, "the resume token is refused: it is another participant's; connect without it")
    );
}

#[test]
fn what_is_wrong_with_a_resume_token_is_told() {
    assert!(keys().verify_resume(&token(HEADER, CLAIMS), NOW).is_ok());
    for (claims, header, told) in [
        (CLAIMS.replace("/speak", "/hear"), HEADER.to_owned(), "another kind"),
        (CLAIMS.to_owned(), HEADER.replace("stentor-resume+jwt", "JWT"), "another kind"),
        (CLAIMS.to_owned(), HEADER.replace(r#""typ":"stentor-resume+jwt","#, ""), "another kind"),
        (CLAIMS.replace(r#","exp":1900000000"#, ""), HEADER.to_owned(), "never expires"),
        (CLAIMS.replace("1900000000", "-5"), HEADER.to_owned(), "expired"),
        (CLAIMS.replace(":7,", ":-7,"), HEADER.to_owned(), "malformed"),
        (CLAIMS.replace(":7,", ":18446744073709551616,"), HEADER.to_owned(), "malformed"),
        (CLAIMS.replace("demo", "de/mo"), HEADER.to_owned(), "malformed"),
        (CLAIMS.to_owned(), HEADER.replace("HS256", "none"), "malformed"),
        (CLAIMS.to_owned(), HEADER.replace("new", "lost"), "not this cluster's"),
    ] {
        let text = refused(&token(&header, &claims));
        assert!(text.starts_with("the resume token is refused") && text.contains(told), "{text}");
    }
    assert!(refused(&"x".repeat(MAX_TOKEN_BYTES + 1)).contains("2049 bytes"));
}

#[test]
fn the_longest_resume_token_fits_its_bound_twice() {
    let long = "x".repeat(64);
    let (room, participant) = (RoomId::new(&long).unwrap(), ParticipantId::new(&long).unwrap());
    let keys = KeySet::new([(long, SECRET)]).unwrap();
    let token = keys.sign_resume(&Resume { room, participant, ..seat() }).unwrap();
    assert!(token.len() <= MAX_TOKEN_BYTES / 2, "{} bytes", token.len());
}

#[test]
fn a_resume_token_with_any_one_bit_changed_is_refused() {
    let token = keys().sign_resume(&seat()).unwrap();
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(keys().verify_resume(&changed, NOW).is_err(), "{changed}");
        }
    }
}

proptest! {
    #[test]
    fn garbage_never_resumes_nor_panics(text in "\\PC{0,200}", a: Vec<u8>, b: Vec<u8>, c: Vec<u8>) {
        prop_assert!(keys().verify_resume(&text, NOW).is_err());
        let parts = [a, b, c].map(|part| Base64UrlUnpadded::encode_string(&part)).join(".");
        prop_assert!(keys().verify_resume(&parts, NOW).is_err());
    }

    #[test]
    fn signed_garbage_does_not_resume_either(header in "\\PC{0,80}", claims in "\\PC{0,80}") {
        prop_assert!(keys().verify_resume(&token(&header, &claims), NOW).is_err());
        prop_assert!(keys().verify_resume(&token(HEADER, &claims), NOW).is_err());
    }

    #[test]
    fn what_two_speakers_got_is_never_worth_anything_swapped(a in "[a-z]{1,9}", b in "[a-z]{1,9}", stream: u64) {
        let name = |name: &str| ParticipantId::new(name).unwrap();
        let token = keys().sign_resume(&Resume { participant: name(&a), stream, ..seat() }).unwrap();
        let resume = keys().verify_resume(&token, NOW).unwrap();
        prop_assert_eq!(resume.stream, stream);
        prop_assert_eq!(resume.check(&Claims { participant: name(&b), ..ticket() }).is_ok(), a == b);
    }
}
