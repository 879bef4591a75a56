//! What went wrong, as a person is told: what, with the value, and what to do; and as a script is told: the exit code.

use std::{fmt, process::ExitCode};

use stentor_ids::{Code, Fault};

/// Why the command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The cluster answered, and refused.
    Refused(Fault),
    /// Nobody answers there.
    Unreachable {
        /// What was sought: `admin node` or `edge`.
        what: &'static str,
        url: String,
        reason: String,
    },
    /// Options that do not go together.
    Usage(String),
    /// So many slots were missing, or none was heard at all (0), and that was not to be.
    Missing(u64),
    /// What was waited for did not come in time.
    Unfinished(String),
    /// Anything else.
    Other(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Missing(_) => 4,
            Self::Unfinished(_) => 5,
        }
    }

    /// Tells the person, and gives the code for the script.
    pub(crate) fn tell(&self) -> ExitCode {
        crate::aside::say_aside(&format!("stentorctl: {self}"));
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(fault) => {
                write!(f, "{fault}")?;
                match (hint(fault.code), fault.retry_after) {
                    (Some(hint), _) => write!(f, "\n  {hint}"),
                    (None, Some(wait)) => write!(f, "\n  try again in {} s", wait.as_secs_f64().ceil()),
                    (None, None) => Ok(()),
                }
            }
            Self::Unreachable { what, url, reason } => {
                write!(f, "cannot reach the {what} at {url}: {reason}")?;
                let (flag, variable) =
                    if *what == "edge" { ("--edge", "STENTOR_EDGE") } else { ("--admin", "STENTOR_ADMIN") };
                write!(
                    f,
                    "\n  is stentor running? `stentor dev` starts a whole cluster here, and --dev finds it; {flag} URL or {variable} names another"
                )
            }
            Self::Missing(0) => write!(f, "nothing was heard"),
            Self::Missing(1) => write!(f, "1 slot is missing"),
            Self::Missing(slots) => write!(f, "{slots} slots are missing"),
            Self::Usage(text) | Self::Unfinished(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

const fn hint(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some(
            "an edge takes --ticket, or the keys to make one with (--key-file, STENTOR_TICKET_KEYS); an admin node takes \
             --token. Beside `stentor dev`, --dev has both",
        ),
        Code::NotLiveYet => Some("`listen` and `speak` wait for it with --wait SECONDS"),
        Code::UnknownRoom => Some("`stentorctl room list` shows the rooms there are"),
        Code::UnknownNode => Some("`stentorctl node list` shows the nodes there are"),
        Code::UnknownParticipant => Some("`stentorctl participant list ROOM` shows who is on the stage"),
        Code::InvalidTicket | Code::TicketExpired | Code::WrongRoom => {
            Some("`stentorctl ticket create` makes a ticket; `stentorctl ticket inspect TICKET` reads one")
        }
        _ => None,
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

impl From<stentor_probe::Error> for Failure {
    fn from(error: stentor_probe::Error) -> Self {
        use stentor_probe::Error;
        match error {
            Error::Refused(fault) => Self::Refused(fault),
            Error::Unreachable { url, reason } | Error::Broken { url, reason } => {
                Self::Unreachable { what: "edge", url, reason }
            }
            Error::Url { .. } => Self::Usage(format!("{error}; set it with --edge URL or STENTOR_EDGE")),
            Error::Source(_) | Error::Sink(_) | Error::Codec(_) => Self::Other(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_says_what_and_what_to_do() {
        let fault = Fault::new(Code::NoOwner, "room x has no owner").retry_after(Duration::from_millis(1500));
        let told = Failure::from(fault).to_string();
        assert_eq!(told, "room x has no owner [no_owner]\n  try again in 2 s");
        let unknown = Failure::from(Fault::new(Code::UnknownRoom, "there is no room x"));
        assert!(unknown.to_string().ends_with("shows the rooms there are"));
        let url = "http://127.0.0.1:1".to_owned();
        let nobody = Failure::Unreachable { what: "admin node", url, reason: "Connection refused".into() };
        assert!(nobody.to_string().contains("--admin URL"), "{nobody}");
    }

    #[test]
    fn scripts_can_tell_failures_apart() {
        let url = || String::new();
        let codes = [
            Failure::Other(String::new()).code(),
            Failure::Usage(String::new()).code(),
            Failure::Unreachable { what: "edge", url: url(), reason: url() }.code(),
            Failure::Missing(1).code(),
            Failure::Unfinished(String::new()).code(),
        ];
        assert_eq!(codes, [1, 2, 3, 4, 5]);
    }
}
