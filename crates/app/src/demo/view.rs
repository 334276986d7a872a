//! What the demo's reader sees: a live block on a terminal, plain lines otherwise.

use super::samples::{Now, Viewer};
use owo_colors::OwoColorize;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How often the live block is drawn; a person sees no more.
const REDRAW: Duration = Duration::from_millis(200);

/// Where the story goes: stderr for the story, stdout for data.
pub(crate) struct View {
    began: Instant,
    live: bool,
    quiet: bool,
    drawn_lines: usize,
    /// Names of the members and of what their load balancers' addresses stand for.
    members: Vec<String>,
    viewers: Vec<Viewer>,
    doing: String,
}

impl View {
    /// A view on stdout; live when it is a terminal; silent when the reader wants data only.
    pub(crate) fn new(began: Instant, data_only: DataOnly, viewers: &[Viewer]) -> Self {
        Self {
            began,
            live: std::io::stdout().is_terminal() && data_only == DataOnly::No,
            quiet: data_only == DataOnly::Yes,
            drawn_lines: 0,
            members: Vec::new(),
            viewers: viewers.to_vec(),
            doing: String::new(),
        }
    }

    /// Who the members are.
    pub(crate) fn members(&mut self, members: &[String]) {
        self.members = members.to_vec();
    }

    /// Begins something; on a terminal it stands below the live block until it ends.
    pub(crate) fn doing(&mut self, what: &str) {
        self.doing = what.to_owned();
        if !self.live {
            self.line(&format!("… {what}"));
        }
    }

    /// A heading.
    pub(crate) fn heading(&mut self, text: &str) {
        let bold = if self.live {
            text.bold().to_string()
        } else {
            text.to_owned()
        };
        self.line("");
        self.line(&bold);
    }

    /// One line that stays.
    pub(crate) fn line(&mut self, text: &str) {
        self.erase();
        let elapsed = self.began.elapsed().as_secs_f64();
        if text.is_empty() {
            self.print("\n");
        } else {
            self.print(&format!("{elapsed:>6.1}s  {text}\n"));
        }
    }

    /// Text that stays, as it is.
    pub(crate) fn text(&mut self, text: &str) {
        self.erase();
        self.print(text);
    }

    /// How long to wait until the next drawing; nothing when there is no live block.
    pub(crate) fn redraw_every(&self) -> Option<Duration> {
        self.live.then_some(REDRAW)
    }

    /// Draws the live block anew.
    pub(crate) fn draw(&mut self, now: &Now, name_of: impl Fn(IpAddr) -> String) {
        if !self.live {
            return;
        }
        self.erase();
        let mut block = String::from("\n");
        for member in &self.members {
            let cell = match now.replicas.get(member) {
                Some(Some(replicas)) => {
                    let full = "■".repeat(usize::try_from(replicas.ready).unwrap_or_default());
                    let missing = (replicas.desired - replicas.ready).max(0);
                    let empty = "□".repeat(usize::try_from(missing).unwrap_or_default());
                    format!(
                        "{}{}  {}/{}",
                        full.green(),
                        empty,
                        replicas.ready,
                        replicas.desired
                    )
                }
                _ => "no answer".red().to_string(),
            };
            let _ = writeln!(block, "  {member:<12} {cell}");
        }
        for viewer in &self.viewers {
            let said = describe(now, viewer, &name_of);
            let _ = writeln!(block, "  {:<12} {said}", viewer.city.cyan());
        }
        let _ = writeln!(block, "  {}", self.doing.dimmed());
        self.drawn_lines = block.lines().count();
        self.print(&block);
    }

    fn erase(&mut self) {
        if self.drawn_lines > 0 {
            // Cursor up, then clear to the end of the screen (ECMA-48).
            self.print(&format!("\x1b[{}A\x1b[J", self.drawn_lines));
            self.drawn_lines = 0;
        }
    }

    fn print(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut out = std::io::stdout().lock();
        // A reader that went away must not stop the demo.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Whether stdout carries data instead of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataOnly {
    /// The story is printed.
    No,
    /// Only data is.
    Yes,
}

/// An answer in words: who is named, TTL, scope, stale or not.
pub(crate) fn describe(now: &Now, viewer: &Viewer, name_of: impl Fn(IpAddr) -> String) -> String {
    match now.answers.get(viewer.city) {
        Some(Some(answer)) => {
            let mut text = if answer.addresses.is_empty() {
                answer.rcode.clone()
            } else {
                let named: Vec<String> = answer
                    .addresses
                    .iter()
                    .map(|address| format!("{} ({address})", name_of(*address)))
                    .collect();
                named.join(", ")
            };
            if let Some(ttl) = answer.ttl_secs {
                let _ = write!(text, "  ttl {ttl}");
            }
            if let Some(scope) = answer.scope {
                let _ = write!(text, "  scope /{scope}");
            }
            if answer.is_stale() {
                text.push_str("  stale (EDE 3)");
            }
            text
        }
        Some(None) => "no answer".to_owned(),
        None => "not asked yet".to_owned(),
    }
}
