//! What somebody may have meant who wrote a name that there is not.

/// The nearest of these, if it is near enough.
pub fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(&written.to_lowercase(), name);
    let near = names.min_by_key(distance)?;
    (distance(&near) <= 1 + near.len() / 4).then_some(near)
}
