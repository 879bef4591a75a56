//! The whole API as one text, `proto/api.txt`, so that nothing of it changes unseen.
//!
//! A service, message or enum is a line of its own, and what belongs to it follows, indented, one line each, by number or by
//! name; types of the package are named without it. So a line that is there today and not tomorrow is something removed,
//! renumbered, retyped or renamed.
//!
//! `proto/compat` has that text as each release had it. Builds of these releases and clients of theirs are out there, so what
//! is in one of those files is in the API for good; a file there is never changed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use stentor_proto::v1::DESCRIPTOR;

const PACKAGE: &str = "stentor.v1";

#[test]
fn the_api_is_what_its_file_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("api.txt");
    let api = api(&FileDescriptorSet::decode(DESCRIPTOR).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &api).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let now: Vec<_> = api.lines().collect();
    let gone: Vec<_> = expected.lines().filter(|line| !now.contains(line)).collect();
    assert!(
        api == expected,
        "the API is no longer what proto/api.txt says; lines that are gone: {gone:#?}\nif that is meant, renew the file: \
         UPDATE_GOLDEN=1 cargo test -p stentor-proto --test api"
    );
}

#[test]
fn what_a_release_had_is_there_for_good() {
    let now = api(&FileDescriptorSet::decode(DESCRIPTOR).unwrap());
    let mut releases = 0;
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("compat")).unwrap() {
        let path = file.unwrap().path();
        let lost = lost(&std::fs::read_to_string(&path).unwrap(), &now);
        assert!(lost.is_empty(), "clients of {} need what is gone: {lost:#?}", path.display());
        releases += 1;
    }
    assert!(releases > 0, "proto/compat is empty");
}

#[test]
fn what_is_removed_renumbered_retyped_or_renamed_is_lost_and_what_is_added_is_not() {
    let before = "enum Role\n  0 ROLE_NONE\n\nmessage Room\n  1 string id\n  2 uint64 slot\n\nservice S\n  Get(A) returns (B)\n";
    assert_eq!(lost(before, before), [""; 0]);
    let grown = format!("{before}  Put(A) returns (B)\n\nmessage More\n  1 string id\n");
    let grown = grown.replace("  1 string id\n  2", "  1 string id\n  3 bytes x\n  2");
    assert_eq!(lost(before, &grown), [""; 0]);
    let changes = [
        ("  2 uint64 slot\n", "", "message Room: 2 uint64 slot"),
        ("  2 uint64 slot\n", "  2 reserved\n", "message Room: 2 uint64 slot"),
        ("2 uint64 slot", "3 uint64 slot", "message Room: 2 uint64 slot"),
        ("2 uint64 slot", "2 string slot", "message Room: 2 uint64 slot"),
        ("2 uint64 slot", "2 uint64 at", "message Room: 2 uint64 slot"),
        ("0 ROLE_NONE", "0 ROLE_UNKNOWN", "enum Role: 0 ROLE_NONE"),
        ("Get(A)", "Get(stream A)", "service S: Get(A) returns (B)"),
    ];
    for (old, new, told) in changes {
        assert_eq!(lost(before, &before.replace(old, new)), [told], "{new:?}");
    }
    // Another message has the line; that does not help.
    let moved = before.replace("  2 uint64 slot\n", "") + "\nmessage Other\n  2 uint64 slot\n";
    assert_eq!(lost(before, &moved), ["message Room: 2 uint64 slot"]);
    assert_eq!(lost(before, "").len(), 7, "whole blocks too");
}

/// What of one text of the API is not in another, each line with the block that it is of.
fn lost(before: &str, now: &str) -> Vec<String> {
    let now = blocks(now);
    let gone = |(head, lines): (&str, BTreeSet<&str>)| {
        let there = now.get(head);
        let block = there.is_none().then(|| head.to_owned());
        let is_gone = move |line: &&str| there.is_none_or(|there| !there.contains(line));
        let lines = lines.into_iter().filter(is_gone).map(move |line| format!("{head}: {line}"));
        block.into_iter().chain(lines).collect::<Vec<_>>()
    };
    blocks(before).into_iter().flat_map(gone).collect()
}

/// The lines of each block by its first one.
fn blocks(api: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let blocks = api.split("\n\n").filter_map(|block| {
        let mut lines = block.lines();
        Some((lines.next()?, lines.map(str::trim).collect()))
    });
    blocks.collect()
}

fn api(files: &FileDescriptorSet) -> String {
    let mut blocks = Vec::new();
    for file in files.file.iter().filter(|file| file.package() == PACKAGE) {
        blocks.extend(file.service.iter().map(service));
        blocks.extend(file.enum_type.iter().map(enumeration));
        file.message_type.iter().for_each(|message| self::message("", message, &mut blocks));
    }
    blocks.sort();
    blocks.join("\n")
}

fn service(service: &ServiceDescriptorProto) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    let mut block = format!("service {}\n", service.name());
    for method in &service.method {
        let (takes, gives) = (stream(method.client_streaming()), stream(method.server_streaming()));
        let (input, output) = (named(method.input_type()), named(method.output_type()));
        writeln!(block, "  {}({takes}{input}) returns ({gives}{output})", method.name()).unwrap();
    }
    block
}

fn enumeration(values: &EnumDescriptorProto) -> String {
    let mut block = format!("enum {}\n", values.name());
    for value in &values.value {
        writeln!(block, "  {} {}", value.number(), value.name()).unwrap();
    }
    block
}

fn message(within: &str, message: &DescriptorProto, blocks: &mut Vec<String>) {
    let name = format!("{within}{}", message.name());
    let mut lines: Vec<(i32, String)> =
        message.field.iter().map(|field| (field.number(), self::field(message, field))).collect();
    for range in &message.reserved_range {
        lines.extend((range.start()..range.end()).map(|number| (number, "reserved".to_owned())));
    }
    lines.sort();
    let lines: String = lines.iter().map(|(number, line)| format!("  {number} {line}\n")).collect();
    blocks.push(format!("message {name}\n{lines}"));
    for nested in &message.nested_type {
        self::message(&format!("{name}."), nested, blocks);
    }
}

fn field(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let scalar = || format!("{:?}", field.r#type()).to_lowercase();
    let kind = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => named(field.type_name()).to_owned(),
        _ => scalar(),
    };
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let choice = field.oneof_index.filter(|_| !field.proto3_optional());
    let choice = choice.map(|index| format!(" of {}", message.oneof_decl[index as usize].name()));
    format!("{} {label}{kind}{}", field.name(), choice.unwrap_or_default())
}

/// A type's name, without the package where it is ours.
fn named(full: &str) -> &str {
    let full = full.trim_start_matches('.');
    full.strip_prefix(PACKAGE).map_or(full, |name| name.trim_start_matches('.'))
}
