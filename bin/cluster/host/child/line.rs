//! The line to a child: words to its standard input, answers from its standard output.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

/// Nobody says more at once.
const LONGEST: u64 = 1 << 20;

/// Dropped, it ends the child's input.
#[derive(Debug)]
pub struct Line {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Line {
    pub fn new(input: ChildStdin, output: ChildStdout) -> Line {
        Line { input, output: BufReader::new(output) }
    }

    /// False if nobody reads it.
    pub async fn say(&mut self, word: &str) -> bool {
        let said = self.input.write_all(format!("{word}\n").as_bytes()).await;
        said.is_ok() && self.input.flush().await.is_ok()
    }

    /// The next answer; `None`: there will be none.
    pub async fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = (&mut self.output).take(LONGEST).read_until(b'\n', &mut line).await;
        read.ok().filter(|_| line.pop() == Some(b'\n'))?;
        String::from_utf8(line).ok()
    }
}
