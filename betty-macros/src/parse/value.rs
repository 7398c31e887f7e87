//! The values of fields: names with settings, literals, and where a value ends.

use std::collections::BTreeSet;

use betty_schema::{Field, OPTIMIZERS};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, Ident, Lit, Member, Result, Token, parenthesized, token};

use super::constant::is_constant;
use super::skip_one;
use crate::ast::{Call, Level, Setting, Value, ValueKind};
use crate::report::Report;

/// `name` or `name(setting = value, …)`
pub(super) fn call(field: &Field, input: ParseStream<'_>, report: &mut Report) -> Result<Call> {
    if !input.peek(Ident::peek_any) {
        let value = rest_of_value(input)?;
        let message = format!("`{}` takes a name and its options: `{}`", field.name, field.example);
        return Err(syn::Error::new_spanned(value, message));
    }
    let name = input.call(Ident::parse_any)?;
    let mut call = Call { name, settings: Vec::new(), incomplete: false };
    if !input.peek(token::Paren) {
        return Ok(call);
    }
    let content;
    parenthesized!(content in input);
    while !content.is_empty() {
        match setting(&content) {
            Ok(setting) => call.settings.push(setting),
            Err(error) => {
                report.push(error);
                call.incomplete = true;
                rest_of_setting(&content);
            }
        }
        if content.peek(Token![,]) {
            content.parse::<Token![,]>()?;
        } else if !content.is_empty() {
            report.push(content.error("expected `,`"));
        }
    }
    Ok(call)
}

/// What stands where a list should, after an error.
pub(super) fn without_brackets(field: &Field, input: ParseStream<'_>, report: &mut Report) -> Result<TokenStream> {
    let value = rest_of_value(input)?;
    report.error(&value, format!("`{}` takes a list: `{}`", field.name, field.example));
    Ok(value)
}

fn setting(input: ParseStream<'_>) -> Result<Setting> {
    let name = if input.peek(Ident::peek_any) && input.peek2(Token![=]) {
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        Some(name)
    } else {
        None
    };
    if input.is_empty() || input.peek(Token![,]) {
        return Err(input.error("expected a value"));
    }
    // The parameters of a closure have commas between them.
    let tokens = if input.peek(Token![|]) || input.peek(Token![move]) {
        input.parse::<Expr>()?.to_token_stream()
    } else {
        expression(input).unwrap_or_else(|| rest_of_setting(input))
    };
    let kind = syn::parse2::<Kind>(tokens.clone()).ok().map(|kind| kind.0);
    let kind = match kind {
        Some(kind) => kind,
        None => match parameters(&tokens) {
            Some(parameters) => parameters,
            None if is_constant(&tokens) => ValueKind::Constant,
            None => ValueKind::Other,
        },
    };
    Ok(Setting { name, value: Value { tokens, kind } })
}

/// What looks like a level, or parameters of one, but like an expression of constants as well (`LR`, `DEFAULTS.lr`), is the latter,
/// unless there is such a level, and the number one that levels learn. Whatever a level starts from is no number.
pub(super) fn settle_constants(levels: &mut [Level]) {
    let names: BTreeSet<String> = levels.iter().map(|level| level.name.unraw().to_string()).collect();
    let is_level = |level: &Ident| names.contains(&level.unraw().to_string());
    for level in levels {
        for call in level.optimizers_mut() {
            let row = OPTIMIZERS.find(&call.name.to_string());
            for Setting { name, value } in &mut call.settings {
                let option = name.as_ref().and_then(|name| row?.find(&name.to_string()));
                // One that no optimizer has may have been meant to be learned.
                let is_learnable = option.is_none_or(|option| option.range.is_learnable());
                settle(value, |level| is_learnable && is_level(level));
            }
        }
        for value in level.others_mut().flat_map(|call| &mut call.settings).map(|setting| &mut setting.value) {
            settle(value, |_| false);
        }
    }
}

fn settle(value: &mut Value, is_level: impl FnOnce(&Ident) -> bool) {
    let Value { kind, tokens } = value;
    if let ValueKind::Word(level) | ValueKind::Parameters { level, .. } = kind
        && !is_level(level)
        && is_constant(tokens)
    {
        *kind = ValueKind::Constant;
    }
}

/// A value whose tokens make sense on their own.
struct Kind(ValueKind);

impl Parse for Kind {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let sign = if input.peek(Token![-]) {
            input.parse::<Token![-]>()?;
            "-"
        } else {
            ""
        };
        if sign.is_empty() && input.peek(Ident) {
            return Ok(Self(ValueKind::Word(input.parse()?)));
        }
        Ok(Self(match input.parse()? {
            Lit::Int(number) => ValueKind::Integer(format!("{sign}{}", number.base10_digits())),
            Lit::Float(number) => ValueKind::Float(format!("{sign}{}", number.base10_digits())),
            Lit::Bool(flag) if sign.is_empty() => ValueKind::Flag(flag.value),
            _ => ValueKind::Other,
        }))
    }
}

/// `exp(rates.log_lr)` or `rates.log_lr`, either with `[step]` behind it.
fn parameters(tokens: &TokenStream) -> Option<ValueKind> {
    let word = |place: Expr| match bare(place) {
        Expr::Path(path) => path.path.get_ident().cloned(),
        _ => None,
    };
    let (transform, place) = match bare(syn::parse2(tokens.clone()).ok()?) {
        Expr::Call(call) if call.args.len() == 1 => (Some(word(*call.func)?), call.args.into_iter().next()?),
        place => (None, place),
    };
    let mut place = bare(place);
    let mut index = None;
    if let Expr::Index(of) = place {
        index = Some(bare(*of.index).into_token_stream());
        place = bare(*of.expr);
    }
    let mut path = Vec::new();
    while let Expr::Field(field) = place {
        path.push(match field.member {
            Member::Named(name) => name.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        });
        place = bare(*field.base);
    }
    path.reverse();
    Some(ValueKind::Parameters { transform, level: word(place)?, path: path.join("."), index })
}

/// An expression without the groups that have no delimiters, in which a macro hands on what it was given.
fn bare(mut expression: Expr) -> Expr {
    while let Expr::Group(group) = expression {
        expression = *group.expr;
    }
    expression
}

/// An expression that is all of a setting's value: one may have commas between angle brackets.
fn expression(input: ParseStream<'_>) -> Option<TokenStream> {
    let ahead = input.fork();
    let expression: Expr = ahead.parse().ok()?;
    if !ahead.is_empty() && !ahead.peek(Token![,]) {
        return None;
    }
    input.advance_to(&ahead);
    Some(expression.into_token_stream())
}

/// The tokens up to the next comma, or to the next `name =` where that was forgotten.
fn rest_of_setting(input: ParseStream<'_>) -> TokenStream {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) && (tokens.is_empty() || !starts_setting(input)) {
        match input.parse::<TokenTree>() {
            Ok(token) => token.to_tokens(&mut tokens),
            Err(_) => break,
        }
    }
    tokens
}

/// The tokens of a field's value, at least one.
pub(super) fn rest_of_value(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !ends_value(input) {
        input.parse::<TokenTree>()?.to_tokens(&mut tokens);
    }
    if tokens.is_empty() {
        return Err(input.error("expected a value"));
    }
    Ok(tokens)
}

pub(super) fn skip_value(input: ParseStream<'_>) {
    while !ends_value(input) {
        skip_one(input);
    }
}

/// Whether a field's value ends here. A comma inside `<…>` does not end it, so what follows must look like a field; where the comma
/// was forgotten, the field alone ends it.
pub(super) fn ends_value(input: ParseStream<'_>) -> bool {
    if input.is_empty() || starts_field(input) {
        return true;
    }
    if !input.peek(Token![,]) {
        return false;
    }
    let ahead = input.fork();
    skip_one(&ahead);
    ahead.is_empty() || ahead.peek(Token![#]) || starts_field(&ahead)
}

/// `name =`, but not `name ==`.
fn starts_setting(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]) && !input.peek2(Token![=>])
}

/// The comma behind one of several things, of which `ends` says where it ends at the latest, unless it is the last. Where it was
/// forgotten, what stands in its place is passed over, and what follows is read all the same.
pub(super) fn comma(input: ParseStream<'_>, ends: impl Fn(ParseStream<'_>) -> bool, report: &mut Report) {
    if !input.is_empty() && !input.peek(Token![,]) {
        report.push(input.error("expected `,`"));
        while !ends(input) {
            skip_one(input);
        }
    }
    if input.peek(Token![,]) {
        skip_one(input);
    }
}

/// `key:`, but not `path::`.
fn starts_field(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![:]) && !input.peek2(Token![::])
}
