//! Compares what was said, and knows the differences that have a reason.
//!
//! `tests/kubectl/differences` holds paragraphs: a line `story: reason`, then lines that only the
//! real server says (`- `) and lines that only pocketkube says (`+ `); `*` stands for any text. A
//! paragraph whose lines do not all apply is wrong.

use std::fmt::Write as _;

use crate::story::{Block, Story, folder};

/// Differences that have a reason.
pub(crate) struct Differences(Vec<Difference>);

struct Difference {
    story: String,
    /// With their signs.
    lines: Vec<String>,
}

impl Differences {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(folder().join("differences")).unwrap_or_default();
        let paragraphs = text.split("\n\n").filter_map(|paragraph| {
            let mut lines = paragraph
                .lines()
                .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
            let (story, reason) = lines.next()?.split_once(": ")?;
            let lines: Vec<String> = lines
                .filter(|line| line.starts_with(['-', '+']))
                .map(str::to_owned)
                .collect();
            let whole = !reason.trim().is_empty() && !lines.is_empty();
            assert!(whole, "a difference has a reason and lines: {paragraph}");
            Some(Difference {
                story: story.to_owned(),
                lines,
            })
        });
        Self(paragraphs.collect())
    }

    /// Says of each difference of a story that is not there.
    pub(crate) fn of_no_story(&self, stories: &[Story]) -> Vec<String> {
        let lines = self
            .0
            .iter()
            .filter(|difference| !stories.iter().any(|story| story.name == difference.story))
            .map(|difference| format!("differences: there is no story {}", difference.story));
        lines.collect()
    }

    fn of(&self, story: &str) -> impl Iterator<Item = &String> {
        self.0
            .iter()
            .filter(move |difference| difference.story == story)
            .flat_map(|difference| &difference.lines)
    }

    /// Whether all that differs has a reason.
    pub(crate) fn excuse(&self, story: &str, real: &[String], ours: &[String]) -> bool {
        diff(real, ours)
            .iter()
            .all(|line| self.of(story).any(|pattern| fits(pattern, line)))
    }

    /// What is wrong with what pocketkube said, if anything.
    pub(crate) fn judge(&self, story: &Story, blocks: &[Block]) -> Option<String> {
        let mut text = String::new();
        let mut seen = Vec::new();
        for (title, lines) in pairs(&story.recorded, blocks) {
            seen.extend(lines.iter().cloned());
            let unexcused = lines
                .iter()
                .filter(|line| !self.of(&story.name).any(|pattern| fits(pattern, line)));
            write_block(&mut text, &title, unexcused);
        }
        for pattern in self.of(&story.name) {
            if !seen.iter().any(|line| fits(pattern, line)) {
                let _ = writeln!(
                    text,
                    "  no longer differs, take it out of differences: {pattern}"
                );
            }
        }
        (!text.is_empty()).then(|| {
            format!(
                "{}: pocketkube (+) is not as the real control plane (-)\n{text}",
                story.name
            )
        })
    }
}

/// All that differs, as text.
pub(crate) fn of_all(before: &[Block], after: &[Block]) -> String {
    let mut text = String::new();
    for (title, lines) in pairs(before, after) {
        write_block(&mut text, &title, lines.iter());
    }
    text
}

fn write_block<'a>(text: &mut String, title: &str, lines: impl Iterator<Item = &'a String>) {
    for (number, line) in lines.enumerate() {
        if number == 0 {
            let _ = writeln!(text, "  {title}");
        }
        let _ = writeln!(text, "    {line}");
    }
}

/// What differs under each title. Titles that only one has differ as a whole.
fn pairs(real: &[Block], ours: &[Block]) -> Vec<(String, Vec<String>)> {
    // Commands may repeat, so a title counts with its number.
    let numbered = |blocks: &[Block]| {
        let mut titles: Vec<(String, Vec<String>)> = Vec::new();
        for block in blocks {
            let same = |(title, _): &&(String, Vec<String>)| {
                title.trim_end_matches('\u{a0}') == block.title
            };
            let before = titles.iter().filter(same).count();
            let title = format!("{}{}", block.title, "\u{a0}".repeat(before));
            titles.push((title, block.lines.clone()));
        }
        titles
    };
    let (real, ours) = (numbered(real), numbered(ours));
    let mut found = Vec::new();
    for (title, lines) in &real {
        let other = ours.iter().find(|(other, _)| other == title);
        let mut lines = diff(lines, other.map_or(&[][..], |(_, lines)| lines));
        if other.is_none() {
            lines.insert(0, format!("- {title}"));
        }
        found.push((title.clone(), lines));
    }
    for (title, lines) in &ours {
        if !real.iter().any(|(other, _)| other == title) {
            let mut lines = diff(&[], lines);
            lines.insert(0, format!("+ {title}"));
            found.push((title.clone(), lines));
        }
    }
    found
}

/// Lines that only one has, `- ` and `+ `, by the longest common subsequence.
fn diff(real: &[String], ours: &[String]) -> Vec<String> {
    let mut common = vec![vec![0_usize; ours.len() + 1]; real.len() + 1];
    for (row, left) in real.iter().enumerate().rev() {
        for (column, right) in ours.iter().enumerate().rev() {
            common[row][column] = if left == right {
                common[row + 1][column + 1] + 1
            } else {
                common[row + 1][column].max(common[row][column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut lines = Vec::new();
    while row < real.len() || column < ours.len() {
        if row < real.len() && column < ours.len() && real[row] == ours[column] {
            row += 1;
            column += 1;
        } else if column == ours.len()
            || (row < real.len() && common[row + 1][column] >= common[row][column + 1])
        {
            lines.push(format!("- {}", real[row]));
            row += 1;
        } else {
            lines.push(format!("+ {}", ours[column]));
            column += 1;
        }
    }
    lines
}

/// Whether `line` is as `pattern`, in which `*` is any text.
fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}
