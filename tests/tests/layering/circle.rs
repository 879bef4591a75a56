//! Circles in a graph of files.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use super::program::Graph;

/// A knot of files each of which reaches each other, and a shortest way round in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Knot {
    pub files: BTreeSet<PathBuf>,
    pub circle: Vec<PathBuf>,
}

/// All knots, by the first of their files.
pub fn knots(graph: &Graph) -> Vec<Knot> {
    let mut knots: Vec<Knot> = Vec::new();
    for file in graph.keys() {
        let Some(circle) = shortest_circle(graph, file) else { continue };
        match knots.iter_mut().find(|knot| knot.files.contains(file)) {
            Some(knot) if circle.len() < knot.circle.len() => knot.circle = circle,
            Some(_) => {}
            None => knots.push(Knot { files: knot(graph, file), circle }),
        }
    }
    knots
}

/// The files that one reaches and that reach it.
fn knot(graph: &Graph, file: &Path) -> BTreeSet<PathBuf> {
    let (there, mut files) = (reached(graph, file), BTreeSet::new());
    files.extend(there.into_keys().filter(|other| reached(graph, other).contains_key(file)));
    files
}

/// The shortest way from a file back to it, the file first.
fn shortest_circle(graph: &Graph, file: &Path) -> Option<Vec<PathBuf>> {
    let before = reached(graph, file);
    let mut circle = vec![before.get(file)?.clone()];
    while let Some(last) = circle.last().filter(|last| *last != file) {
        circle.push(before[last].clone());
    }
    circle.reverse();
    Some(circle)
}

/// Everything that can be reached from a file by one step or more, each with the file before it on a shortest way.
fn reached(graph: &Graph, from: &Path) -> BTreeMap<PathBuf, PathBuf> {
    let (mut before, mut queue) = (BTreeMap::new(), VecDeque::from([from.to_owned()]));
    while let Some(at) = queue.pop_front() {
        for next in graph.get(&at).into_iter().flatten() {
            if !before.contains_key(next) {
                before.insert(next.clone(), at.clone());
                queue.push_back(next.clone());
            }
        }
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry(to.into()).or_default();
            graph.entry(from.into()).or_default().insert(to.into());
        }
        graph
    }

    fn told(knots: &[Knot]) -> Vec<(String, String)> {
        let join = |files: &mut dyn Iterator<Item = &PathBuf>| {
            files.map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        knots.iter().map(|knot| (join(&mut knot.files.iter()), join(&mut knot.circle.iter()))).collect()
    }

    #[test]
    fn without_a_way_back_there_is_no_knot() {
        assert!(knots(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    }

    #[test]
    fn a_knot_is_told_with_its_shortest_circle() {
        let edges =
            [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("c", "b"), ("e", "a"), ("f", "g"), ("g", "f")];
        let pair = |files: &str, circle: &str| (files.to_owned(), circle.to_owned());
        assert_eq!(told(&knots(&graph(&edges))), [pair("a b c d", "b c"), pair("f g", "f g")]);
    }
}
