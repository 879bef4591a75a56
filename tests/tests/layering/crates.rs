//! Holds the direction of dependencies between the crates, read from `cargo metadata`, so that a shortcut through the
//! layers fails a test and not a review.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Every crate with its layer. A crate that is not here fails the test: decide where it belongs first.
const LAYERS: &[(&str, u8)] = &[
    ("stentor-ids", 0),
    ("stentor-proto", 0),
    ("stentor-pace", 1),
    ("stentor-room", 1),
    ("stentor-mix", 1),
    ("stentor-relay", 1),
    ("stentor-placement", 1),
    ("stentor-ownership", 1),
    ("stentor-admission", 1),
    ("stentor-clock", 2),
    ("stentor-telemetry", 2),
    ("stentor-directory", 2),
    ("stentor-link", 2),
    ("stentor-host", 2),
    ("stentor-edge", 3),
    ("stentor-admin", 3),
    ("stentor-probe", 3),
    ("stentor-node", 4),
    ("stentor-ctl", 4),
    ("stentor-tests", 5),
    ("stentor-kit", 5),
    ("stentor-programs", 5),
];

/// Each heavy dependency has one home.
const HOMES: &[(&str, &[&str])] = &[
    ("etcd-client", &["stentor-directory"]),
    ("ractor", &["stentor-host"]),
    ("opusic-c", &["stentor-mix"]),
    ("opentelemetry", &["stentor-telemetry"]),
    ("opentelemetry_sdk", &["stentor-telemetry"]),
    ("opentelemetry-otlp", &["stentor-telemetry"]),
    ("tracing-opentelemetry", &["stentor-telemetry"]),
    ("mio", &["stentor-edge"]),
];

/// What a pure crate must not even reach through others.
const IMPURE: &[&str] = &["tokio", "tonic", "mio", "socket2", "hyper", "tracing"];

fn metadata() -> Metadata {
    MetadataCommand::new().exec().expect("cargo metadata reads this workspace")
}

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, layer)| *layer)
}

/// Whether `from` may see `to`, as ARCHITECTURE.md says.
fn may_see(from: &str, to: &str) -> bool {
    let (Some(own), Some(other)) = (layer(from), layer(to)) else { return false };
    match own {
        0 => from == "stentor-proto" && to == "stentor-ids",
        1 => matches!(to, "stentor-ids" | "stentor-pace"),
        2 if other == 2 && from == "stentor-clock" => false,
        2 if matches!(to, "stentor-clock" | "stentor-telemetry") => from != to,
        2 if other == 2 => from == "stentor-host" && from != to,
        3 if other == 3 => to == "stentor-probe" && from != to,
        2..=3 => other < own,
        4 => other < 4,
        _ => to != "stentor-tests",
    }
}

fn runtime_dependencies(package: &Package) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
}

#[test]
fn every_crate_has_a_layer_and_every_layer_entry_a_crate() {
    let metadata = metadata();
    let found: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    assert_eq!(found, LAYERS.iter().map(|(name, _)| *name).collect());
}

#[test]
fn crates_see_only_what_their_layer_may() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        for dependency in runtime_dependencies(package).filter(|name| layer(name).is_some()) {
            if !may_see(&package.name, dependency) {
                wrong.push(format!("{} -> {dependency}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "against the layering: {wrong:#?}");
}

#[test]
fn heavy_dependencies_stay_in_their_home() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata.workspace_packages() {
        for (dependency, homes) in HOMES {
            if runtime_dependencies(package).any(|name| name == *dependency)
                && !homes.contains(&package.name.as_str())
            {
                wrong.push(format!("{} -> {dependency}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "outside their home: {wrong:#?}");
}

#[test]
fn pure_crates_reach_no_runtime_and_no_socket() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("metadata with a resolved graph");
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let edges: BTreeMap<_, Vec<_>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let normal = |dependency: &&cargo_metadata::NodeDep| {
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            };
            (&node.id, node.deps.iter().filter(normal).map(|dependency| &dependency.pkg).collect())
        })
        .collect();
    for package in metadata.workspace_packages() {
        let pure = layer(&package.name) == Some(1) || package.name.as_str() == "stentor-ids";
        if !pure {
            continue;
        }
        let (mut seen, mut queue) = (BTreeSet::new(), vec![&package.id]);
        while let Some(id) = queue.pop() {
            if seen.insert(id) {
                queue.extend(edges[id].iter().copied());
            }
        }
        let reached: Vec<_> = seen.iter().map(|id| names[*id]).filter(|name| IMPURE.contains(name)).collect();
        assert!(reached.is_empty(), "{} reaches {reached:?}", package.name);
    }
}
