//! Shape of the tree: whom a node takes a room from.
