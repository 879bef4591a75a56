//! Holds that the files of a crate import each other in one direction, so that each can be read, tested and moved with only
//! what is below it in mind. What counts as an import stands in `program`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use cargo_metadata::MetadataCommand;

use super::{
    circle::{Knot, knots},
    program::{Graph, graph},
};

/// Knots of files that are still there. No file may join one, none may be added, and what is untied is taken out.
const KNOTS: &[&[&str]] = &[&[
    "tests/src/sim/audio.rs",
    "tests/src/sim/claims.rs",
    "tests/src/sim/control.rs",
    "tests/src/sim/fault.rs",
    "tests/src/sim/message.rs",
    "tests/src/sim/plan.rs",
    "tests/src/sim/stats.rs",
    "tests/src/sim/stream.rs",
    "tests/src/sim/tenure.rs",
    "tests/src/sim/tree.rs",
    "tests/src/sim/world.rs",
]];

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let found = found();
    let known = |knot: &&Knot| KNOTS.iter().any(|known| knot.files.iter().all(|file| contains(known, file)));
    let wrong: Vec<String> = found.iter().filter(|knot| !known(knot)).map(told).collect();
    assert!(wrong.is_empty(), "files that import each other in a circle:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_untied_is_no_longer_listed() {
    let found: BTreeSet<PathBuf> = found().into_iter().flat_map(|knot| knot.files).collect();
    let free: Vec<_> =
        KNOTS.iter().copied().flatten().filter(|file| !found.contains(Path::new(file))).collect();
    assert!(free.is_empty(), "in no circle any more, take them out of KNOTS: {free:#?}");
}

fn contains(known: &[&str], file: &Path) -> bool {
    known.iter().any(|name| Path::new(name) == file)
}

/// The knots of all crates, with names as the workspace has them.
fn found() -> Vec<Knot> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata reads this workspace");
    let top = metadata.workspace_root.as_std_path();
    let packages = metadata.workspace_packages();
    let programs = packages.iter().flat_map(|package| &package.targets);
    let read = |file: &Path| std::fs::read_to_string(file).ok();
    let graphs = programs.map(|target| graph(target.src_path.as_std_path(), &read));
    graphs.flat_map(|graph| knots(&below(top, &graph))).collect()
}

/// The graph with names as the workspace has them.
fn below(top: &Path, graph: &Graph) -> Graph {
    let short = |file: &PathBuf| file.strip_prefix(top).unwrap_or(file).to_owned();
    graph.iter().map(|(file, imports)| (short(file), imports.iter().map(short).collect())).collect()
}

fn told(knot: &Knot) -> String {
    let files = |files: &mut dyn Iterator<Item = &PathBuf>, between: &str| {
        files.map(|file| file.display().to_string()).collect::<Vec<_>>().join(between)
    };
    let circle = files(&mut knot.circle.iter().chain(knot.circle.first()), " -> ");
    format!("{circle} (in a knot of {}: {})", knot.files.len(), files(&mut knot.files.iter(), ", "))
}
