#!/usr/bin/env python3
"""Would the tests notice? Each of these is one line of a machine made wrong; it tells which tests and seeds turn red.

    tests/quality/wrong_lines.py [--seeds 1000] [--from 0] [NAME…]

It works in a worktree of HEAD that it makes and removes, and builds there. A line that is not found any more is told:
whoever changes a machine changes the list with it.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

TENURE = "cluster/core/ownership/src/tenure/"
OWNERSHIP = "cluster/core/ownership/src/"
RELAY = "cluster/core/relay/src/"
ROOM = "cluster/core/room/src/"

# Name: file, the line, the line made wrong.
WRONG = {
    "a mirror's claim lies 5 slots ahead": (
        OWNERSHIP + "timing.rs",
        "pub const CLAIM_AHEAD: u64 = 50;",
        "pub const CLAIM_AHEAD: u64 = 5;",
    ),
    "a new owner sets no fence": (
        TENURE + "mirroring.rs",
        "            Effect::Term(key.clone()),\n",
        "",
    ),
    "a transfer goes on before commits are settled": (
        TENURE + "transfer.rs",
        "(Phase::Settling, Books::Settled) => {",
        "(Phase::Settling, Books::Settled | Books::Busy) => {",
    ),
    "a detector is not reset by a new owner": (
        TENURE + "mirror.rs",
        "            Detector::new(here.now)\n        };",
        "            self.detector.clone()\n        };",
    ),
    "an owner does not put back a key that went with its lease": (
        TENURE + "mod.rs",
        "State::Owner(owner) => owner.put_back.gone(here.now),",
        "State::Owner(_) => {}",
    ),
    "a retiring owner emits at its successor's first slot": (
        TENURE + "owning.rs",
        "Effect::EndAt(successor.from_slot)",
        "Effect::EndAt(successor.from_slot.next())",
    ),
    "a claim takes no heed of epochs that children have seen": (
        TENURE + "mirror.rs",
        "seen: here.epoch.max(self.owner.epoch)",
        "seen: self.owner.epoch",
    ),
    "an owner that a relay hears is taken for dead": (
        OWNERSHIP + "detector.rs",
        "answer.runs || answer.heard.is_some_and(|ago| ago < HEARD) || self.hears(now)",
        "answer.runs || self.hears(now)",
    ),
    "a mirror's own pause counts as its owner's silence": (
        OWNERSHIP + "detector.rs",
        "self.next_deadline().is_some_and(|deadline| now.since(deadline.at) > PAUSE)",
        "self.next_deadline().is_some_and(|deadline| now.since(deadline.at) > PAUSE * 1000)",
    ),
    "an heir is offered the room before it is ready": (
        TENURE + "transfer.rs",
        "if mirrors && (late || !here.live || here.ready.as_ref() == Some(&self.heir)) {",
        "if mirrors {",
    ),
    "who reaches less takes the room": (
        TENURE + "mirror.rs",
        "desk.shown.bids().filter(of_owner).any(answers)",
        "false",
    ),
    "a mirror that does not hear its owner takes no heed of its record": (
        RELAY + "origin/stages.rs",
        "Way::Record => of_another && (!self.streams || self.leads().is_some()),",
        "Way::Record => false,",
    ),
    "nobody goes above a child that is stuck": (
        RELAY + "origin/lift.rs",
        "if !ours || stuck <= led || !lifts.take(now, highest, stuck) {",
        "if true {",
    ),
    "an owner does not end its books when another claims the room": (
        TENURE + "owning.rs",
        "self.desk.ask([Effect::TellSuccessor(successor.clone()), Effect::AbandonBooks(fault)]);",
        "self.desk.ask([Effect::TellSuccessor(successor.clone()), Effect::CloseBooks(fault)]);",
    ),
    "a commit that failed is taken for made": (
        ROOM + "ledger/mod.rs",
        "Settled::Unavailable(fault) => self.failed(attempt.of, fault, &mut steps),",
        "Settled::Unavailable(_) => self.committed(attempt.of, &mut steps),",
    ),
    "a mirror goes on under its owner's lineages": (
        RELAY + "leadership/mod.rs",
        "let odd = matches!(self, Self::Mirror) as u64;",
        "let odd = 0;",
    ),
    "a mirror waits two slots more before it goes on": (
        RELAY + "leadership/mod.rs",
        "pub const GRACE: Duration = Duration::from_millis(30);",
        "pub const GRACE: Duration = Duration::from_millis(70);",
    ),
    "slots below a term's first one are of the new epoch": (
        RELAY + "origin/mod.rs",
        "if slot >= self.term.from { self.term.epoch } else { self.before }",
        "self.term.epoch",
    ),
    "frames of the epoch before are believed after the term's first slot": (
        RELAY + "origin/mod.rs",
        "(frame.epoch < epoch && frame.slot >= from) || !self.ceiling",
        "!self.ceiling",
    ),
}

CRATES = ["stentor-ownership", "stentor-relay", "stentor-room"]


def run(tree, *command):
    return subprocess.run(command, cwd=tree, capture_output=True, text=True)


def red_tests(tree):
    """The tests of the machines' crates that fail, or why there are none to tell."""
    packages = [part for crate in CRATES for part in ("-p", crate)]
    done = run(tree, "cargo", "test", "--no-fail-fast", *packages)
    if "could not compile" in done.stderr:
        return ["does not compile: " + "; ".join(re.findall(r"^error.*", done.stderr, re.M)[:2])]
    return re.findall(r"^test (\S+) \.\.\. FAILED", done.stdout, re.M)


def red_seeds(tree, first, seeds, before=()):
    """The invariants that seeds break which did not before, and which seeds."""
    found = {}
    if seeds == 0:
        return found
    done = run(tree, "cargo", "run", "--release", "-p", "stentor-tests", "--bin", "sim", "--", str(seeds), str(first))
    for seed, broken in re.findall(r"seed (\d+): (\w+)", done.stdout + done.stderr):
        if seed not in before and seed not in found.get(broken, []):
            found.setdefault(broken, []).append(seed)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, help="0: tests alone, which takes a tenth of the time")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    unnoticed = []
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree)], check=True)
        try:
            tests, seeds = red_tests(tree), red_seeds(tree, args.first, args.seeds)
            print(f"as it is:\n  tests: {tests or 'none'}\n  seeds: {seeds or 'none'}", flush=True)
            before = {seed for which in seeds.values() for seed in which}
            for name, (file, line, wrong) in WRONG.items():
                if args.names and name not in args.names:
                    continue
                path = tree / file
                text = path.read_text()
                if text.count(line) != 1:
                    sys.exit(f"{name}: {file} has that line {text.count(line)} times")
                path.write_text(text.replace(line, wrong))
                tests = red_tests(tree)
                broken = tests and tests[0].startswith("does not")
                seeds = {} if broken else red_seeds(tree, args.first, args.seeds, before)
                path.write_text(text)
                if not tests and not seeds:
                    unnoticed.append(name)
                told = ", ".join(f"{why} {len(which)} (first {which[0]})" for why, which in seeds.items())
                more = f" and {len(tests) - 3} more" if len(tests) > 3 else ""
                print(f"{name}:\n  tests: {', '.join(tests[:3]) or 'none'}{more}\n  seeds: {told or 'none'}", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=False)
    if unnoticed:
        sys.exit(f"not noticed: {unnoticed}")


if __name__ == "__main__":
    main()
