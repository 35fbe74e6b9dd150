//! A table for people: columns of the width that they need, or of that which the terminal has.
//!
//! What does not fit is cut: first the last column, which is for remarks, then whichever is the widest. Where columns would
//! be cut until nobody can read them, or the first, by which a row is known, would be, some are left out as a whole: those that
//! can best be spared. So a row is one line on the narrowest terminal. Without a terminal nothing is cut or coloured.

use super::output::escaped;
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

    /// In this colour, where there are colours.
    pub fn coloured(self, colour: Colour) -> Cell {
        Cell { colour: Some(colour), ..self }
    }
}

/// Of what a column that is cut keeps at least, as long as others can be spared.
const NARROWEST: usize = 9;
/// The same for the first one: the usual name of a snapshot.
const NARROWEST_FIRST: usize = 24;
const GAP: usize = 2;

/// The lines of a table, each behind `margin`. On a narrow terminal the columns that are `spare` are left out, the
/// first of them first.
pub fn table<const N: usize>(
    margin: &str,
    head: [&str; N],
    rows: Vec<[Cell; N]>,
    terminal: Option<Terminal>,
    spare: &[usize],
) -> String {
    let mut widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| columns(&row[column].text));
        cells.max().unwrap_or(0).max(columns(head[column]))
    });
    let mut shown: Vec<usize> = (0..N).collect();
    if let Some(terminal) = terminal {
        let room = terminal.width.saturating_sub(margin.len());
        for column in spare {
            if shown.iter().map(|&one| least(&widths, one) + GAP).sum::<usize>() <= room + GAP {
                break;
            }
            shown.retain(|one| one != column);
        }
        fit(&mut widths, &shown, room);
    }
    let is_right: [bool; N] =
        std::array::from_fn(|column| rows.iter().any(|row| row[column].to_the_right));
    let coloured = terminal.is_some_and(|terminal| terminal.coloured);
    let mut text = String::new();
    for row in std::iter::once(head.map(Cell::new)).chain(rows) {
        let mut line = margin.to_owned();
        for &column in &shown {
            let cell = &row[column];
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

/// Of what a column keeps, as long as others can be spared.
fn least(widths: &[usize], column: usize) -> usize {
    widths[column].min(if column == 0 { NARROWEST_FIRST } else { NARROWEST })
}

/// Takes from the last column, if that is shown, then from the widest, until all fit.
fn fit(widths: &mut [usize], shown: &[usize], room: usize) {
    let room = room.saturating_sub(GAP * (shown.len() - 1));
    let mut excess = shown.iter().map(|&one| widths[one]).sum::<usize>().saturating_sub(room);
    let last = widths.len() - 1;
    if shown.contains(&last) {
        let given = excess.min(widths[last].saturating_sub(NARROWEST));
        widths[last] -= given;
        excess -= given;
    }
    for _ in 0..excess {
        let widest = |least: &dyn Fn(usize) -> usize| {
            let wide = shown.iter().copied().filter(|&one| widths[one] > least(one));
            wide.max_by_key(|&one| widths[one])
        };
        let taken_from = widest(&|one| least(widths, one)).or_else(|| widest(&|_| 1));
        let Some(column) = taken_from else { return };
        widths[column] -= 1;
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
        let text = table("  ", ["NAME", "N", "REMARK"], rows(), None, &[]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  NAME              N  REMARK");
        assert_eq!(lines[1], "  受信箱\\u{202e}x   7  as it is");
        assert_eq!(lines[2], format!("  a\\u{{1b}}[2Jb      12  {}", "x".repeat(60)));
    }

    #[test]
    fn on_a_terminal_every_line_fits_and_the_remark_is_cut_first() {
        for (width, begin) in
            [(80, "  a\\u{1b}[2Jb      12  xx"), (30, "  a\\u{1b}[2Jb    12  xxxxxxxx…")]
        {
            let terminal = Terminal { width, height: 24, coloured: false };
            let text = table("  ", ["NAME", "N", "REMARK"], rows(), Some(terminal), &[]);
            for line in text.lines() {
                assert!(columns(line) <= width, "{width}: {line:?}");
            }
            assert!(text.lines().nth(2).unwrap().starts_with(begin), "{text}");
        }
        let coloured = Terminal { width: 80, height: 24, coloured: true };
        let text = table("", ["NAME", "N", "REMARK"], rows(), Some(coloured), &[]);
        assert!(text.contains("\x1b[31mxxx"), "{text:?}");
    }

    #[test]
    fn on_a_narrow_terminal_columns_are_left_out_and_each_row_is_one_line_that_fits() {
        let row = |name: &str, state: &str| {
            [name, state, "2 h 5 min", "12.3 ms", &"remark ".repeat(9)].map(Cell::new)
        };
        let head = ["NAME", "STATE", "AGE", "PAUSE", "REMARK"];
        for width in (1..=120).rev() {
            let rows = vec![row("2026-11-21T07-45-12.345Z", "not clean"), row("daily", "failed")];
            let terminal = Terminal { width, height: 24, coloured: false };
            let text = table("", head, rows, Some(terminal), &[3, 4, 2]);
            assert_eq!(text.lines().count(), 3, "{text}");
            let fits = |line: &str| columns(line) <= width.max(4);
            assert!(text.lines().all(fits), "{width}:\n{text}");
            if width >= 36 {
                assert!(text.contains("2026-11-21T07-45-12.345Z"), "{width}:\n{text}");
            }
            if width >= 20 {
                assert!(text.contains("not clean") && text.contains("daily"), "{width}:\n{text}");
            }
            assert_eq!(text.contains("PAUSE"), width >= 66, "{width}:\n{text}");
        }
    }
}
