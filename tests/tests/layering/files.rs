//! Holds that the files of a crate import each other in one direction, so that each can be read, tested and moved with only
//! what is below it in mind. What counts as an import stands in `program`.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

use super::{
    circle::{Knot, knots},
    program::{Graph, graph},
};

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let wrong: Vec<String> = found().iter().map(told).collect();
    assert!(wrong.is_empty(), "files that import each other in a circle:\n{}", wrong.join("\n"));
}

/// The knots of all crates, with names as the workspace has them.
fn found() -> Vec<Knot> {
    graphs(&workspace()).iter().flat_map(knots).collect()
}

/// The files of each crate, with names as the workspace has them.
pub fn graphs(workspace: &Metadata) -> Vec<Graph> {
    let packages = workspace.workspace_packages();
    let programs = packages.iter().flat_map(|package| &package.targets);
    let read = |file: &Path| std::fs::read_to_string(file).ok();
    let graphs = programs.map(|target| graph(target.src_path.as_std_path(), &read));
    graphs.map(|graph| below(workspace.workspace_root.as_std_path(), &graph)).collect()
}

pub fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata reads this workspace")
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
