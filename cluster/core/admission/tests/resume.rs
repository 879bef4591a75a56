//! A resume token continues what its ticket allows and as long as it does, is no ticket, and whatever else is shown as one
//! is refused with a reason.

#![expect(clippy::unwrap_used, reason = "a key or claim made here that is refused is a bug of the test")]

use std::{sync::LazyLock, time::Duration};

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{
    Algorithm, AlgorithmSignature,
    alg::{Hs256, Hs256Key},
};
use proptest::prelude::*;
use stentor_admission::{
    Claims, ClusterKeys, KeyKind, MAX_RESUME_BYTES, MAX_TOKEN_BYTES, NewKey, Refusal, Resume, SigningKeys,
    TicketKeys, key_line,
};
use stentor_ids::{Code, Fault, ParticipantId, Role, RoomId};
use stentor_pace::WallTime;

const SECRET: [u8; 32] = [7; 32];
const NOW: WallTime = WallTime::from_millis(1_800_000_000_000);

/// What an edge holds: keys of the cluster, and the public half of the key that signs tickets.
struct Edge {
    cluster: ClusterKeys,
    tickets: TicketKeys,
}

fn cluster<const N: usize>(keys: [(&str, [u8; 32]); N]) -> ClusterKeys {
    ClusterKeys::parse(&keys.map(|(name, secret)| key_line(name, &secret).unwrap()).join("\n")).unwrap()
}

fn signing() -> &'static SigningKeys {
    static KEYS: LazyLock<SigningKeys> = LazyLock::new(|| {
        SigningKeys::parse(&NewKey::new("tickets", KeyKind::EdDsa, &[1; 32]).unwrap().private).unwrap()
    });
    &KEYS
}

fn edge() -> &'static Edge {
    static EDGE: LazyLock<Edge> = LazyLock::new(|| Edge {
        cluster: cluster([("new", SECRET), ("old", [8; 32])]),
        tickets: signing().verifying(),
    });
    &EDGE
}

impl Edge {
    fn open(&self, token: &str, now: WallTime) -> Result<Resume, Refusal> {
        self.cluster.open_resume(token, &self.tickets, now)
    }

    fn refused(&self, token: &str) -> String {
        self.open(token, NOW).unwrap_err().to_string()
    }
}

fn ann() -> Claims {
    Claims {
        room: RoomId::new("demo").unwrap(),
        participant: ParticipantId::new("ann").unwrap(),
        name: "Ann".into(),
        role: Role::Speaker,
        expires_at: NOW + Duration::from_secs(3600),
        not_before: None,
        issued_at: None,
    }
}

fn ticket() -> String {
    signing().sign(&ann(), None).unwrap()
}

/// A token with any header and claims, sealed with the right key.
fn token(header: &str, claims: &str) -> String {
    let parts = [header, claims].map(|part| Base64UrlUnpadded::encode_string(part.as_bytes())).join(".");
    let signature = Hs256.sign(&Hs256Key::new(SECRET), parts.as_bytes());
    format!("{parts}.{}", Base64UrlUnpadded::encode_string(&signature.as_bytes()))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"stentor-resume+jwt","kid":"new"}"#;

fn claims() -> String {
    format!(r#"{{"aud":"stentor/speak","ticket":"{}","stream":7}}"#, ticket())
}

#[test]
fn a_resume_token_reads_back_as_it_was_sealed_until_its_ticket_expires() {
    let edge = edge();
    let token = edge.cluster.seal_resume(&ticket(), u64::MAX);
    assert_eq!(edge.open(&token, NOW), Ok(Resume { ticket: ann(), stream: u64::MAX }));
    let last = ann().expires_at;
    assert!(edge.open(&token, last - Duration::from_micros(1)).is_ok());
    assert_eq!(edge.open(&token, last), Err(Refusal::Resume("its ticket has expired".into())));
}

#[test]
fn a_resume_token_of_any_key_of_the_cluster_is_opened_and_no_other() {
    let token = cluster([("old", [8; 32])]).seal_resume(&ticket(), 1);
    assert!(edge().open(&token, NOW).is_ok());
    for keys in [cluster([("new", [9; 32])]), cluster([("lost", SECRET)])] {
        assert!(edge().refused(&keys.seal_resume(&ticket(), 1)).contains("its seal is not this cluster's"));
    }
}

#[test]
fn who_holds_the_keys_of_the_cluster_alone_makes_nobody_a_speaker() {
    let (edge, header) = (edge(), r#"{"alg":"HS256","typ":"JWT","kid":"new"}"#);
    let host = r#"{"room":"demo","sub":"eve","name":"Eve","role":"host","exp":1900000000}"#;
    // Tickets that an edge could make: under the cluster's key, by its name and by the one that signs tickets.
    let own = token(header, host);
    let named = token(&header.replace("new", "tickets"), host);
    let boast = token(&header.replace("new", "tickets").replace("HS256", "EdDSA"), host);
    let unsigned = format!("{}.", token(&header.replace("HS256", "none"), host).rsplit_once('.').unwrap().0);
    for forged in [&own, &named, &boast, &unsigned] {
        assert!(edge.tickets.verify(forged, NOW).is_err());
        let told = edge.refused(&edge.cluster.seal_resume(forged, 1));
        assert!(told.contains("its ticket is signed with no key that is known here"), "{told}");
    }
    // What it could write without a ticket.
    let bare =
        r#"{"aud":"stentor/speak","room":"demo","sub":"eve","role":"host","stream":7,"exp":1900000000}"#;
    assert!(edge.refused(&token(HEADER, bare)).contains("malformed"));
    assert!(edge.refused(&edge.cluster.seal_resume("", 1)).contains("its ticket is malformed"));
    // A token in a token.
    let nested = edge.cluster.seal_resume(&edge.cluster.seal_resume(&ticket(), 1), 1);
    assert!(edge.open(&nested, NOW).is_err());
}

#[test]
fn a_resume_token_around_a_ticket_that_is_worth_nothing_is_refused() {
    let edge = edge();
    let around =
        |claims: Claims| edge.refused(&edge.cluster.seal_resume(&signing().sign(&claims, None).unwrap(), 1));
    assert!(around(Claims { expires_at: NOW, ..ann() }).contains("its ticket has expired"));
    let later = Claims { not_before: Some(NOW + Duration::from_secs(60)), ..ann() };
    assert!(around(later).contains("not valid yet"));
    let retired = NewKey::new("2025", KeyKind::Es256, &[2; 32]).unwrap();
    let retired = SigningKeys::parse(&retired.private).unwrap().sign(&ann(), None).unwrap();
    assert!(edge.refused(&edge.cluster.seal_resume(&retired, 1)).contains("no key that is known here"));
}

#[test]
fn a_ticket_is_no_resume_token_and_a_resume_token_is_no_ticket() {
    let edge = edge();
    assert!(edge.tickets.verify(&edge.cluster.seal_resume(&ticket(), 1), NOW).is_err());
    assert!(edge.refused(&ticket()).contains("another kind"));
    // Not even when it holds everything that the other one does, and one key does everything.
    let line = key_line("new", &SECRET).unwrap();
    let edge =
        Edge { cluster: ClusterKeys::parse(&line).unwrap(), tickets: TicketKeys::secrets(&line).unwrap() };
    let both =
        claims().replace('}', r#","exp":1900000000,"room":"demo","sub":"ann","name":"Ann","role":"host"}"#);
    let told = edge.tickets.verify(&token(HEADER, &both), NOW).unwrap_err().to_string();
    assert!(told.contains("a resume token"), "{told}");
    assert!(edge.open(&token(&HEADER.replace("stentor-resume+jwt", "JWT"), &claims()), NOW).is_err());
}

#[test]
fn a_resume_token_of_another_room_or_participant_is_refused() {
    let edge = edge();
    let told = |claims: Claims| {
        let token = edge.cluster.seal_resume(&signing().sign(&claims, None).unwrap(), 1);
        edge.open(&token, NOW).unwrap().check(&ann()).map_err(Fault::from)
    };
    assert_eq!(told(ann()), Ok(()));
    let elsewhere = told(Claims { room: RoomId::new("final").unwrap(), ..ann() }).unwrap_err();
    let swapped = told(Claims { participant: ParticipantId::new("eve").unwrap(), ..ann() }).unwrap_err();
    assert_eq!(
        (elsewhere.code, swapped.detail.as_ref()),
        (Code::InvalidTicket, "the resume token is refused: it is another participant's; connect without it")
    );
}

#[test]
fn what_is_wrong_with_a_resume_token_is_told() {
    let (edge, claims) = (edge(), claims());
    assert!(edge.open(&token(HEADER, &claims), NOW).is_ok());
    for (claims, header, told) in [
        (claims.replace("/speak", "/hear"), HEADER.to_owned(), "another kind"),
        (claims.clone(), HEADER.replace("stentor-resume+jwt", "JWT"), "another kind"),
        (claims.clone(), HEADER.replace(r#""typ":"stentor-resume+jwt","#, ""), "another kind"),
        (claims.replace(":7}", ":-7}"), HEADER.to_owned(), "malformed"),
        (claims.replace(":7}", ":18446744073709551616}"), HEADER.to_owned(), "malformed"),
        (claims.clone(), HEADER.replace("HS256", "none"), "malformed"),
        (claims.clone(), HEADER.replace("HS256", "EdDSA"), "malformed"),
        (claims.clone(), HEADER.replace("}", r#","crit":["b64"]}"#), "malformed"),
        (claims.clone(), HEADER.replace(r#","kid":"new""#, ""), "not this cluster's"),
        (claims.clone(), HEADER.replace("new", "lost"), "not this cluster's"),
    ] {
        let text = edge.refused(&token(&header, &claims));
        assert!(text.starts_with("the resume token is refused") && text.contains(told), "{text}");
    }
    assert!(edge.refused(&"x".repeat(MAX_RESUME_BYTES + 1)).contains("4097 bytes"));
}

#[test]
fn the_longest_resume_token_fits_its_bound() {
    let name = "x".repeat(64);
    let token = cluster([(&name, SECRET)]).seal_resume(&"x".repeat(MAX_TOKEN_BYTES), u64::MAX);
    assert!((3_000..3_200).contains(&token.len()) && token.len() < MAX_RESUME_BYTES, "{} bytes", token.len());
}

#[test]
fn a_resume_token_with_any_one_bit_changed_is_refused() {
    let edge = edge();
    let token = edge.cluster.seal_resume(&ticket(), 1);
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1 << (at % 7);
        let changed = String::from_utf8(bytes).unwrap();
        assert!(edge.open(&changed, NOW).is_err(), "{changed}");
    }
}

proptest! {
    #[test]
    fn garbage_never_resumes_nor_panics(text in "\\PC{0,200}", a: Vec<u8>, b: Vec<u8>, c: Vec<u8>) {
        prop_assert!(edge().open(&text, NOW).is_err());
        let parts = [a, b, c].map(|part| Base64UrlUnpadded::encode_string(&part)).join(".");
        prop_assert!(edge().open(&parts, NOW).is_err());
    }

    #[test]
    fn sealed_garbage_does_not_resume_either(header in "\\PC{0,80}", claims in "\\PC{0,80}") {
        prop_assert!(edge().open(&token(&header, &claims), NOW).is_err());
        prop_assert!(edge().open(&token(HEADER, &claims), NOW).is_err());
        prop_assert!(edge().open(&edge().cluster.seal_resume(&claims, 1), NOW).is_err());
    }

    #[test]
    fn what_two_speakers_got_is_never_worth_anything_swapped(a in "[a-z]{1,9}", b in "[a-z]{1,9}", stream: u64) {
        let name = |name: &str| ParticipantId::new(name).unwrap();
        let ticket = signing().sign(&Claims { participant: name(&a), ..ann() }, None).unwrap();
        let resume = edge().open(&edge().cluster.seal_resume(&ticket, stream), NOW).unwrap();
        prop_assert_eq!(resume.stream, stream);
        prop_assert_eq!(resume.check(&Claims { participant: name(&b), ..ann() }).is_ok(), a == b);
    }
}
