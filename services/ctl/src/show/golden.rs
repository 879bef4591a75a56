//! Compares what is printed with files.

use std::path::Path;

/// Compares with a file; `UPDATE_GOLDEN=1` writes it.
pub(super) fn golden(name: &str, printed: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{printed}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(printed, expected.trim_end(), "{}", path.display());
}
