//! Patterns over tensors' names: `*` stands for any characters, also for none.

/// What each `*` of `pattern` stands for in `name`, as few characters as the rest allows, the first `*` first; `None` where
/// the pattern does not name it.
pub(crate) fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let Some((first, rest)) = pattern.split_once('*') else {
        return (name == pattern).then(Vec::new);
    };
    let mut name = name.strip_prefix(first)?;
    let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(m, l)| (Some(m), l));
    let mut found = Vec::new();
    for part in middle.into_iter().flat_map(|m| m.split('*')) {
        let (skipped, after) = name.split_once(part)?;
        found.push(skipped);
        name = after;
    }
    found.push(name.strip_suffix(last)?);
    Some(found)
}

/// `pattern` with `parts` in place of its `*`, one after the other; a `*` without a part stays.
pub(crate) fn filled(pattern: &str, parts: &[&str]) -> String {
    let mut pieces = pattern.split('*');
    let mut result = pieces.next().unwrap_or_default().to_owned();
    let mut parts = parts.iter();
    for piece in pieces {
        result += parts.next().unwrap_or(&"*");
        result += piece;
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    /// Every way to match, tried one after the other.
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
            (Some((p, rest)), Some((n, names))) => p == n && naive(rest, names),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_the_naive_search_does(pattern in "[ab*.]{0,8}", name in "[ab.]{0,8}") {
            prop_assert_eq!(captures(&pattern, &name).is_some(), naive(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn a_pattern_filled_with_what_it_captured_is_the_name(pattern in "[ab*.]{0,8}", name in "[ab.]{0,8}") {
            if let Some(parts) = captures(&pattern, &name) {
                prop_assert_eq!(parts.len(), pattern.matches('*').count());
                prop_assert_eq!(filled(&pattern, &parts), name);
            }
        }
    }
}
