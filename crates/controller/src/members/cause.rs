//! What an error says, down to its cause.

use std::error::Error;

/// The longest that is told.
const CHARS_MAX: usize = 512;

/// Why a member did not answer, in the words of whoever noticed: refused, timed out, a certificate
/// that is not believed. Wrappers that only say that something failed say nothing here.
pub(crate) fn cause(error: &kube::Error) -> String {
    let first: &(dyn Error + 'static) = match error {
        kube::Error::Service(inner) => inner.as_ref(),
        other => other,
    };
    let mut told: Vec<String> = Vec::new();
    let mut next = Some(first);
    while let Some(error) = next {
        let words = error.to_string();
        let is_new = !told.iter().any(|before| before.contains(&words));
        if is_new && !words.starts_with("client error (") {
            told.push(words);
        }
        next = error.source();
    }
    match told.is_empty() {
        true => first.to_string(),
        false => told.join(": ").chars().take(CHARS_MAX).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    fn check(words: &[&'static str], expected: &str) {
        let chain = words
            .iter()
            .rev()
            .fold(None, |source, words| Some(Box::new(Said(words, source))));
        let error = kube::Error::Service(chain.unwrap());
        assert_eq!(cause(&error), expected);
    }

    #[test]
    fn the_cause_is_told_once_and_wrappers_are_not() {
        check(
            &["client error (Connect)", "tcp connect error", "refused"],
            "tcp connect error: refused",
        );
        check(&["broken pipe: closed", "closed"], "broken pipe: closed");
        check(&["client error (Connect)"], "client error (Connect)");
    }
}
