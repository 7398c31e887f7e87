//! A path in a level's module, `encoder.layers.0` for instance.

use proc_macro2::TokenStream;

/// The path that these tokens are, if they are one.
pub(super) fn part(tokens: &TokenStream) -> Option<String> {
    // `layers.0.1` holds a number with a point.
    let part: String = tokens.clone().into_iter().map(|token| token.to_string()).collect();
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    part.split('.').all(is_name).then_some(part)
}
