//! Text as it stands in a page.

use crate::words::output::escaped;

/// A text as text: nothing in it is an element, an attribute or the end of one.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escaped(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_text_says_it_stays_text() {
        assert_eq!(
            escape("</style><script src='x'>\"&\u{202e}\x1b"),
            "&lt;/style&gt;&lt;script src=&#39;x&#39;&gt;&quot;&amp;\\u{202e}\\u{1b}"
        );
    }
}
