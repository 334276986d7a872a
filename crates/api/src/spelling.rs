//! What somebody may have meant by a word that is not known.

/// So many letters may be wrong in a word of this length.
fn errors_max(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

/// The known word that is nearest to this one, when one is near: of several, the first.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = errors_max(word.chars().count());
    let near = known.into_iter().filter_map(|candidate| {
        let errors = distance(&word.to_lowercase(), &candidate.to_lowercase());
        (errors <= allowed && candidate != word).then_some((errors, candidate))
    });
    near.min_by_key(|(errors, _)| *errors)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, take out, change, or swap with their neighbour (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let changed = usize::from(one[i - 1] != other[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + changed);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognized_and_another_word_is_not() {
        let known = ["template", "placement", "overrides", "retainReplicas"];
        let near = |word| nearest(word, known);
        assert_eq!(near("templat"), Some("template"));
        assert_eq!(near("tempalte"), Some("template"));
        assert_eq!(near("Overrides"), Some("overrides"));
        assert_eq!(near("retainreplicas"), Some("retainReplicas"));
        assert_eq!(near("selector"), None);
        assert_eq!(near("op"), None);
    }
}
