//! `groups: { path: { field: value, … }, name: { paths: [path, …], field: value, … }, … }`

use betty_schema::{Field, Key, did_you_mean, listed, of_a_group, suggestion};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Ident, Result, Token, braced, token};

use super::part::{NoPart, part, parts};
use super::skip_one;
use super::value::{call, comma, ends_value, rest_of_value, skip_value};
use crate::ast::Group;
use crate::report::Report;

/// All groups of a level; those that could not be read are reported and left out.
pub(super) fn groups(field: &Field, input: ParseStream<'_>, report: &mut Report) -> Result<Vec<Group>> {
    if !input.peek(token::Brace) {
        let value = rest_of_value(input)?;
        let message = format!("`{}` takes parts of the module in curly braces: `{}`", field.name, field.example);
        return Err(syn::Error::new_spanned(value, message));
    }
    let content;
    braced!(content in input);
    let mut groups = Vec::new();
    while !content.is_empty() {
        match group(field, &content, report) {
            Ok(group) => groups.push(group),
            Err(error) => {
                report.push(error);
                while !ends_group(&content) {
                    skip_one(&content);
                }
            }
        }
        comma(&content, ends_group, report);
    }
    Ok(groups)
}

/// Whether a group ends here, or what stands in its place: whatever has commas is in its braces.
fn ends_group(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,]) || starts_group(input)
}

/// `path: {`
fn starts_group(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    name(&ahead).is_ok_and(|name| part(name).is_ok()) && ahead.peek(Token![:]) && ahead.peek2(token::Brace)
}

/// What stands before the colon.
fn name(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        match input.peek(Token![::]) {
            true => input.parse::<Token![::]>()?.to_tokens(&mut tokens),
            false if input.peek(Token![:]) => break,
            false => input.parse::<TokenTree>()?.to_tokens(&mut tokens),
        }
    }
    Ok(tokens)
}

fn group(field: &Field, input: ParseStream<'_>, report: &mut Report) -> Result<Group> {
    let name = part(name(input)?).map_err(|reason| {
        let message = || format!("`{}` takes paths in the level's module: `{}`", field.name, field.example);
        match reason {
            NoPart::Apart(second) => syn::Error::new_spanned(second, "expected `:`"),
            NoPart::Other(tokens) if tokens.is_empty() => input.error(message()),
            NoPart::Other(tokens) => syn::Error::new_spanned(tokens, message()),
        }
    })?;
    input.parse::<Token![:]>()?;
    if !input.peek(token::Brace) {
        return Err(input.error("expected the fields of the group in curly braces"));
    }
    let content;
    braced!(content in input);
    let mut group =
        Group { name, paths: None, written: Vec::new(), optimizer: None, schedule: None, clip: None, project: None };
    while !content.is_empty() {
        if let Err(error) = one_field(&content, &mut group, report) {
            report.push(error);
            skip_value(&content);
        }
        comma(&content, ends_value, report);
    }
    Ok(group)
}

fn one_field(input: ParseStream<'_>, group: &mut Group, report: &mut Report) -> Result<()> {
    let key = input.call(Ident::parse_any)?;
    let Some(field) = known_field(&key, group, report) else {
        skip_value(input);
        return Ok(());
    };
    if group.written.contains(&field.key) {
        report.error(&key, format!("`{}` is given twice for group `{}`", field.name, group.name.path));
        skip_value(input);
        return Ok(());
    }
    group.written.push(field.key);
    input.parse::<Token![:]>()?;
    match field.key {
        Key::Paths => {
            let errors = report.count();
            let paths = parts(field, input, report)?;
            group.paths = (report.count() == errors).then_some(paths);
        }
        Key::Optimizer => group.optimizer = Some(call(field, input, report)?),
        Key::Schedule => group.schedule = Some(call(field, input, report)?),
        Key::Clip => group.clip = Some(call(field, input, report)?),
        _ => group.project = Some(call(field, input, report)?),
    }
    Ok(())
}

/// The field that a key names, or was meant to name; the latter is reported.
fn known_field(key: &Ident, group: &Group, report: &mut Report) -> Option<&'static Field> {
    let name = key.to_string();
    let find = |name: &str| of_a_group().find(|field| field.name == name);
    if let Some(field) = find(&name) {
        return Some(field);
    }
    let names = || of_a_group().map(|field| field.name);
    let meant = suggestion(&name, names());
    report.error(
        key,
        format!(
            "`{name}` is no field of a group{}; a group has {}, and the level has the rest",
            did_you_mean(meant),
            listed(names())
        ),
    );
    meant.and_then(find).filter(|field| !group.written.contains(&field.key))
}
