//! Data to stdout. Everything else goes to stderr.

use std::io::Write;

/// Prints data; a reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
