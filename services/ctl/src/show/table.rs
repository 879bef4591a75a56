//! Tables without lines: columns two spaces apart, a heading in capitals.

use tabled::{
    builder::Builder,
    settings::{Padding, Style},
};

/// Rows under a heading; `none` if there are no rows.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: Vec<[String; N]>, none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let mut builder = Builder::default();
    builder.push_record(heading);
    rows.into_iter().for_each(|row| builder.push_record(row.map(|cell| plain(&cell))));
    drawn(builder)
}

/// Names and values, one a line. What has no value is left out.
pub(crate) fn fields<const N: usize>(fields: [(&str, String); N]) -> String {
    let mut builder = Builder::default();
    for (name, value) in fields {
        if !value.is_empty() {
            builder.push_record([name.to_owned(), plain(&value)]);
        }
    }
    drawn(builder)
}

fn drawn(builder: Builder) -> String {
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    let lines: Vec<_> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Text of others on one line, with nothing in it that steers a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![["a".to_owned(), "1".to_owned()], ["bcd".to_owned(), "Jürgen 王".to_owned()]];
        assert_eq!(table(["NAME", "WHO"], rows, "nobody"), "NAME  WHO\na     1\nbcd   Jürgen 王");
        assert_eq!(table(["NAME"], Vec::new(), "nobody"), "nobody");
    }

    #[test]
    fn a_field_without_a_value_is_left_out() {
        let printed = fields([("room", "x".into()), ("mirror", String::new()), ("epoch", "3".into())]);
        assert_eq!(printed, "room   x\nepoch  3");
    }

    #[test]
    fn a_title_cannot_steer_the_terminal() {
        let printed = fields([("title", "a\x1b[2Jb\nc".into())]);
        assert_eq!(printed, "title  a\u{fffd}[2Jb\u{fffd}c");
    }
}
