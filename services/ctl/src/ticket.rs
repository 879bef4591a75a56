//! `stentorctl ticket`, and the tickets that `speak` and `listen` make for themselves.

mod keygen;

use std::{path::PathBuf, time::Duration};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use clap::{Args, Subcommand};
use serde::Serialize;
use stentor_admission::{Claims, MAX_TOKEN_BYTES, SigningKeys, TicketKeys};
use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_proto::{moment, rfc3339};

use crate::{
    failure::Failure,
    settings::Settings,
    show::{self, fields},
    time::parse_length,
};

/// Longest name that a participant may be given out of a name for people.
const MAX_SUB_CHARS: usize = 64;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a ticket and print it
    #[command(after_help = "\
Examples:
  stentorctl ticket create --room friday --role host --name \"Ann Lee\"
  TICKET=$(stentorctl ticket create --room friday --role speaker --name Ben --ttl 2h)
  stentorctl ticket create --room friday --role listener --name Eve --key-file keys.txt --key 2026-b
  stentorctl ticket create --room friday --role host --name Ann --key-file tickets.key")]
    Create(Create),
    /// Make a key that signs tickets: the private half into a file, the public half for the edges
    #[command(after_help = "\
Edges check tickets with the public half alone (auth.ticket_jwks_file), so that no edge can make one. Keep the private
half where tickets are made. The keys of one set stand in one list: join the \"keys\" of several outputs by hand.

Examples:
  stentorctl ticket keygen --out tickets.key --jwks tickets.jwks
  stentorctl ticket keygen --kind eddsa --kid 2026-b --out tickets.key >tickets.jwks
  stentorctl ticket keygen --kind hs256 --out cluster.keys     (a shared secret, also for auth.cluster_keys_file)")]
    Keygen(keygen::Keygen),
    /// Show what a ticket says, and whether it is valid if the keys are at hand
    Inspect(Inspect),
}

/// The keys that sign tickets.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// A private key of `ticket keygen`, or shared secrets, one name:secret a line; to inspect, public keys do [env:
    /// STENTOR_TICKET_KEYS holds the text itself]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The key to sign with [default: the first one]
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The one room it is for
    #[arg(long)]
    room: RoomId,
    /// listener, speaker, cohost or host
    #[arg(long)]
    role: Role,
    /// The name to show, at most 64 characters
    #[arg(long)]
    name: String,
    /// Who it is, of a-z A-Z 0-9 . _ - [default: made of the name]
    #[arg(long, value_name = "ID")]
    sub: Option<ParticipantId>,
    /// How long it is valid, for example 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = parse_length)]
    ttl: Duration,
    #[command(flatten)]
    keys: Keys,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The ticket, or - to read it from standard input
    ticket: String,
    #[command(flatten)]
    keys: Keys,
}

/// A ticket as it is printed.
#[derive(Debug, Serialize, PartialEq)]
struct Ticket {
    ticket: String,
    #[serde(flatten)]
    about: About,
    /// Null when there were no keys to check it with.
    valid: Option<bool>,
    /// Why it is not.
    reason: Option<String>,
}

/// What a ticket says.
#[derive(Debug, Default, Serialize, PartialEq)]
struct About {
    room: String,
    participant: String,
    name: String,
    role: String,
    expires_at: Option<String>,
    key: String,
}

impl Command {
    pub(crate) fn run(self, settings: &Settings) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(settings),
            Self::Keygen(keygen) => keygen.run(settings),
            Self::Inspect(inspect) => inspect.run(settings),
        }
    }
}

impl Create {
    fn run(self, settings: &Settings) -> Result<(), Failure> {
        let keys = required_keys(settings, &self.keys)?;
        let participant = self.sub.map_or_else(|| participant_of(&self.name), Ok)?;
        let ticket =
            make(&keys, self.keys.key.as_deref(), &self.room, participant, self.name, self.role, self.ttl)?;
        let told = inspect(&ticket, Some(&keys.verifying()))?;
        show::print(settings.output, &told, || ticket.clone())
    }
}

impl Inspect {
    fn run(self, settings: &Settings) -> Result<(), Failure> {
        let ticket = match self.ticket.as_str() {
            "-" => std::io::read_to_string(std::io::stdin())
                .map_err(|error| Failure::Other(format!("standard input: {error}")))?,
            ticket => ticket.to_owned(),
        };
        let told = inspect(ticket.trim(), settings.ticket_keys(self.keys.key_file.as_deref())?.as_ref())?;
        show::print(settings.output, &told, || told.details())
    }
}

impl Ticket {
    fn details(&self) -> String {
        let About { room, participant, name, role, expires_at, key } = &self.about;
        let valid = match (self.valid, &self.reason) {
            (Some(true), _) => "yes".to_owned(),
            (Some(false), reason) => format!("no: {}", reason.as_deref().unwrap_or_default()),
            (None, _) => "not checked: no keys given (--key-file, STENTOR_TICKET_KEYS)".to_owned(),
        };
        fields([
            ("room", room.clone()),
            ("participant", participant.clone()),
            ("name", name.clone()),
            ("role", role.clone()),
            ("expires", expires_at.clone().unwrap_or_default()),
            ("key", key.clone()),
            ("valid", valid),
        ])
    }
}

/// The keys, or what to do about there being none.
fn required_keys(settings: &Settings, keys: &Keys) -> Result<SigningKeys, Failure> {
    settings.signing_keys(keys.key_file.as_deref())?.ok_or_else(|| {
        let advice = "no keys to sign tickets with; give --key-file, or set STENTOR_TICKET_KEYS. Beside `stentor dev`, \
                      give --dev";
        Failure::Other(advice.to_owned())
    })
}

/// A ticket for this very command: the one given, else one made with the keys at hand, else none.
pub(crate) fn given_or_made(
    settings: &Settings,
    ticket: Option<String>,
    keys: &Keys,
    room: &RoomId,
    name: &str,
    role: Role,
) -> Result<Option<String>, Failure> {
    /// Longer than a command is left running; a session ends when its ticket does.
    const TTL: Duration = Duration::from_secs(7 * 86_400);
    if ticket.is_some() {
        return Ok(ticket);
    }
    let Some(set) = settings.signing_keys(keys.key_file.as_deref())? else { return Ok(None) };
    let participant = participant_of(name)?;
    make(&set, keys.key.as_deref(), room, participant, name.to_owned(), role, TTL).map(Some)
}

fn make(
    keys: &SigningKeys,
    key: Option<&str>,
    room: &RoomId,
    participant: ParticipantId,
    name: String,
    role: Role,
    ttl: Duration,
) -> Result<String, Failure> {
    let now = stentor_clock::wall();
    let claims = Claims {
        room: room.clone(),
        participant,
        name,
        role,
        expires_at: now + ttl,
        not_before: None,
        issued_at: Some(now),
    };
    keys.sign(&claims, key).map_err(|error| Failure::Other(format!("the ticket cannot be made: {error}")))
}

/// Who someone of that name is: the name in lower case, with what no id holds replaced.
fn participant_of(name: &str) -> Result<ParticipantId, Failure> {
    let id = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let id: String = name.trim().chars().take(MAX_SUB_CHARS).map(id).collect();
    let id = id.trim_matches('-');
    let none = || Failure::Usage(format!("the name {name:?} makes no id; give one with --sub"));
    ParticipantId::new(id).map_err(|_| none())
}

fn inspect(ticket: &str, keys: Option<&TicketKeys>) -> Result<Ticket, Failure> {
    let about = about(ticket).ok_or_else(|| {
        Failure::Other(
            "this is no ticket: a ticket is three base64url texts with dots between them".to_owned(),
        )
    })?;
    let checked = keys.map(|keys| keys.verify(ticket, stentor_clock::wall()));
    let reason = checked.as_ref().and_then(|checked| checked.as_ref().err().map(ToString::to_string));
    Ok(Ticket { ticket: ticket.to_owned(), about, valid: checked.map(|checked| checked.is_ok()), reason })
}

/// What the ticket says, checked by nobody.
fn about(ticket: &str) -> Option<About> {
    if ticket.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let mut parts = ticket.split('.').map(|part| {
        let bytes = Base64UrlUnpadded::decode_vec(part).ok()?;
        serde_json::from_slice::<serde_json::Value>(&bytes).ok()
    });
    let (header, claims) = (parts.next()??, parts.next()??);
    let text = |value: &serde_json::Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    Some(About {
        room: text(&claims, "room"),
        participant: text(&claims, "sub"),
        name: text(&claims, "name"),
        role: text(&claims, "role"),
        expires_at: claims["exp"]
            .as_u64()
            .and_then(|exp| exp.checked_mul(1_000_000))
            .map(|exp| rfc3339(moment(exp))),
        key: text(&header, "kid"),
    })
}

#[cfg(test)]
mod tests {
    use stentor_admission::key_line;

    use super::*;

    fn keys(name: &str, byte: u8) -> SigningKeys {
        SigningKeys::parse(&key_line(name, &[byte; 32]).unwrap()).unwrap()
    }

    fn ticket(keys: &SigningKeys) -> String {
        let (room, ann) = (RoomId::new("friday").unwrap(), ParticipantId::new("ann").unwrap());
        make(keys, None, &room, ann, "Ann Lee".into(), Role::Host, Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn a_ticket_is_read_with_its_keys_with_others_and_with_none() {
        let signed = ticket(&keys("main", 1));
        let read =
            |keys: Option<&SigningKeys>| inspect(&signed, keys.map(SigningKeys::verifying).as_ref()).unwrap();
        let about = About { expires_at: None, ..read(None).about };
        let ann = ["friday", "ann", "Ann Lee", "host", "main"].map(str::to_owned);
        assert_eq!([about.room, about.participant, about.name, about.role, about.key], ann);
        assert_eq!(read(None).valid, None);
        assert_eq!(read(Some(&keys("main", 1))).valid, Some(true));
        let forged = read(Some(&keys("main", 2)));
        assert_eq!(forged.valid, Some(false));
        assert!(forged.details().contains("no: the ticket's signature is wrong"), "{}", forged.details());
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        for text in ["", "a.b.c", "e30", "...", &"x".repeat(5000)] {
            assert!(inspect(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        let (room, ann) = (RoomId::new("friday").unwrap(), ParticipantId::new("ann").unwrap());
        let refused =
            make(&keys("main", 1), Some("old"), &room, ann, "Ann".into(), Role::Host, Duration::from_secs(1));
        assert!(refused.unwrap_err().to_string().contains("\"old\""));
    }

    #[test]
    fn an_id_is_made_of_a_name_where_it_can_be() {
        let id = |name: &str| participant_of(name).map(|id| id.to_string()).ok();
        assert_eq!(id("Ann Lee").as_deref(), Some("ann-lee"));
        assert_eq!(id(" Jürgen ").as_deref(), Some("j-rgen"));
        assert_eq!(id("王芳"), None);
        assert_eq!(id(""), None);
    }
}
