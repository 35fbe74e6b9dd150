//! A table for people: columns of the width that they need, or of that which the terminal has.
//!
//! What does not fit is cut: first the last column, which is for remarks, then whichever is the widest. Without a
//! terminal nothing is cut or coloured.

use super::lines::escaped;
use super::terminal::{Colour, Terminal, columns, cut};

/// What stands in one place.
pub struct Cell {
    text: String,
    colour: Option<Colour>,
    to_the_right: bool,
}

impl Cell {
    /// Whatever a command or a writer called itself.
    pub fn new(text: impl AsRef<str>) -> Cell {
        Cell { text: escaped(text.as_ref()).into_owned(), colour: None, to_the_right: false }
    }

    /// A number, under the last figure of others.
    pub fn number(number: u32) -> Cell {
        Cell { to_the_right: true, ..Cell::new(number.to_string()) }
    }

    pub fn coloured(self, colour: Colour) -> Cell {
        Cell { colour: Some(colour), ..self }
    }
}

/// Of what a column that is cut keeps at least.
const NARROWEST: usize = 8;
const GAP: usize = 2;

/// The lines of a table, each behind `margin`.
pub fn table<const N: usize>(
    margin: &str,
    head: [&str; N],
    rows: Vec<[Cell; N]>,
    terminal: Option<Terminal>,
) -> String {
    let mut widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| columns(&row[column].text));
        cells.max().unwrap_or(0).max(columns(head[column]))
    });
    if let Some(terminal) = terminal {
        fit(&mut widths, terminal.width.saturating_sub(margin.len() + GAP * (N - 1)));
    }
    let is_right: [bool; N] =
        std::array::from_fn(|column| rows.iter().any(|row| row[column].to_the_right));
    let coloured = terminal.is_some_and(|terminal| terminal.coloured);
    let mut text = String::new();
    for row in std::iter::once(head.map(Cell::new)).chain(rows) {
        let mut line = margin.to_owned();
        for (column, cell) in row.iter().enumerate() {
            let shown = cut(&cell.text, widths[column]);
            let space = " ".repeat(widths[column].saturating_sub(columns(&shown)));
            let shown = match cell.colour.filter(|_| coloured) {
                Some(colour) => colour.paint(&shown),
                None => shown.into_owned(),
            };
            match is_right[column] {
                true => line.extend([&*space, &shown]),
                false => line.extend([&*shown, &space]),
            }
            line.push_str(&" ".repeat(GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Takes from the last column, then from the widest, until all fit.
fn fit(widths: &mut [usize], width: usize) {
    let last = widths.len() - 1;
    let mut excess = widths.iter().sum::<usize>().saturating_sub(width);
    let given = excess.min(widths[last].saturating_sub(NARROWEST));
    widths[last] -= given;
    excess -= given;
    while excess > 0 {
        let widest = widths.iter_mut().max().filter(|widest| **widest > NARROWEST);
        let Some(widest) = widest else { return };
        *widest -= 1;
        excess -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[Cell; 3]> {
        vec![
            [Cell::new("受信箱\u{202e}x"), Cell::number(7), Cell::new("as it is")],
            [
                Cell::new("a\x1b[2Jb"),
                Cell::number(12),
                Cell::new("x".repeat(60)).coloured(Colour::Bad),
            ],
        ]
    }

    #[test]
    fn without_a_terminal_nothing_is_cut_and_nothing_controls_it() {
        let text = table("  ", ["NAME", "N", "REMARK"], rows(), None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  NAME              N  REMARK");
        assert_eq!(lines[1], "  受信箱\\u{202e}x   7  as it is");
        assert_eq!(lines[2], format!("  a\\u{{1b}}[2Jb      12  {}", "x".repeat(60)));
    }

    #[test]
    fn on_a_terminal_every_line_fits_and_the_remark_is_cut_first() {
        for (width, begin) in
            [(80, "  a\\u{1b}[2Jb      12  xx"), (30, "  a\\u{1b}[2Jb     12  xxxxxxx…")]
        {
            let terminal = Terminal { width, height: 24, coloured: false };
            let text = table("  ", ["NAME", "N", "REMARK"], rows(), Some(terminal));
            for line in text.lines() {
                assert!(columns(line) <= width, "{width}: {line:?}");
            }
            assert!(text.lines().nth(2).unwrap().starts_with(begin), "{text}");
        }
        let coloured = Terminal { width: 80, height: 24, coloured: true };
        let text = table("", ["NAME", "N", "REMARK"], rows(), Some(coloured));
        assert!(text.contains("\x1b[31mxxx"), "{text:?}");
    }
}
