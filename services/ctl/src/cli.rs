//! The commands.

use clap::{Parser, Subcommand};

use crate::{
    failure::Failure, listen, node, options::Global, participant, room, settings::Settings, speak, ticket,
    watch,
};

const AFTER: &str = "\
Examples:
  stentorctl room create friday --title \"Friday talk\" --live
  stentorctl ticket create --room friday --role host --name Ann
  stentorctl speak --room friday --name Ann talk.ogg
  stentorctl listen --room friday --seconds 60 -O friday.ogg
  stentorctl -o json room get friday
  stentorctl watch

Beside `stentor dev`, with the addresses and keys that it has made:
  stentorctl --dev room list

Exit codes:
  0 done   1 refused or failed   2 wrong usage   3 not reachable   4 slots missing (listen --strict)
  5 not done in time (node drain --wait)";

/// Runs a Stentor cluster: rooms, participants, nodes, tickets; speaks and listens.
#[derive(Debug, Parser)]
#[command(name = "stentorctl", version, after_help = AFTER, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, change, open, air, end, delete and look at rooms
    #[command(subcommand, after_help = room::AFTER)]
    Room(room::Command),
    /// See and moderate who is on the stage
    #[command(subcommand, after_help = participant::AFTER)]
    Participant(participant::Command),
    /// See who asks to speak
    #[command(subcommand)]
    Hand(participant::HandCommand),
    /// See the nodes of the cluster, and take them out and in
    #[command(subcommand, after_help = node::AFTER)]
    Node(node::Command),
    /// Make and read tickets; needs no cluster
    #[command(subcommand)]
    Ticket(ticket::Command),
    /// Speak a file into a room, in real time
    Speak(speak::Speak),
    /// Listen to a room and report what was heard
    Listen(listen::Listen),
    /// Print what happens in the cluster: take-overs, lineages, mirrors, parents, drains, nodes
    #[command(after_help = watch::AFTER)]
    Watch(watch::Watch),
}

impl Cli {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let settings = Settings::gather(self.global, |name| std::env::var(name).ok())?;
        match self.command {
            Command::Room(command) => command.run(&settings).await,
            Command::Participant(command) => command.run(&settings).await,
            Command::Hand(command) => command.run(&settings).await,
            Command::Node(command) => command.run(&settings).await,
            Command::Ticket(command) => command.run(&settings),
            Command::Speak(command) => command.run(&settings).await,
            Command::Listen(command) => command.run(&settings).await,
            Command::Watch(command) => command.run(&settings).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is_for() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn the_commands_of_the_manual_parse() {
        for line in [
            "room create friday --title Talk --private --starts-at 2026-12-24T18:00:00Z --stage-limit 5 --bitrate 48000 --open",
            "room create friday --live",
            "room list --limit 5 --after friday",
            "room get friday -o json",
            "-o json room get friday",
            "room watch friday",
            "room watch",
            "room open friday",
            "room go-live friday",
            "room end friday",
            "room move friday --to origin-b",
            "participant list friday",
            "participant invite friday ann --role cohost",
            "participant mute friday ann",
            "participant unmute friday ann",
            "participant remove friday ann --reason rude",
            "participant ban friday ann",
            "participant unban friday ann",
            "hand list friday",
            "node list",
            "node drain origin-a",
            "node drain origin-a --wait 60",
            "node undrain origin-a",
            "ticket create --room friday --role speaker --name Ann --sub ann --ttl 2h --key-file keys --key main",
            "ticket inspect -",
            "ticket keygen --kind eddsa --kid a --out key --jwks jwks",
            "speak --room friday --name Ann talk.ogg --loop --edge http://a:1 --edge http://b:1",
            "speak --room friday --ticket x -",
            "listen --room friday --seconds 2.5 -O out.ogg --unbuffered --strict --no-reconnect",
            "watch --admin http://a:1 --token x --ca ca.pem",
            "watch --room friday",
            "room list --dev",
        ] {
            let args = std::iter::once("stentorctl").chain(line.split(' '));
            Cli::try_parse_from(args).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn wrong_usage_is_refused_with_the_value() {
        for (line, named) in [
            ("room create a/b", "a/b"),
            ("room list --limit 0", "0"),
            ("participant invite friday ann --role king", "king"),
            ("ticket create --room friday --role host --name Ann --ttl soon", "soon"),
            ("ticket keygen --kind rs256 --out key", "rs256"),
            ("ticket keygen", "--out"),
            ("listen --room friday --seconds -1", "-1"),
            ("room create friday --starts-at tomorrow", "tomorrow"),
            ("node drain", "NODE"),
            ("node drain origin-a --wait soon", "soon"),
            ("room lst", "lst"),
        ] {
            let args = std::iter::once("stentorctl").chain(line.split(' '));
            let error = Cli::try_parse_from(args).expect_err(line);
            assert!(error.to_string().contains(named), "{line}: {error}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
