//! `level name: Module { field: value, … }`

use betty_schema::{FIELDS, Field, Key, did_you_mean, field, listed, suggestion};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprCall, ExprPath, Ident, LitBool, LitInt, Result, Token, Type, braced, bracketed, token};

use super::constant::is_constant;
use super::groups::groups;
use super::keyword;
use super::part::parts;
use super::value::{call, comma, ends_value, rest_of_value, skip_value, without_brackets};
use crate::ast::{Count, Level};
use crate::report::Report;

/// Reads a level; `Err` only where its header is broken, so that nothing of it is known.
pub(super) fn level(input: ParseStream<'_>, report: &mut Report, lost_edge: &mut bool) -> Result<Level> {
    let attrs = input.call(Attribute::parse_outer)?;
    input.parse::<keyword::level>()?;
    let name = level_name(input, report)?;
    input.parse::<Token![:]>()?;
    let module: Type = input.parse()?;
    if !input.peek(token::Brace) {
        return Err(input.error("expected the fields of the level in curly braces"));
    }
    let (docs, others): (Vec<_>, Vec<_>) = attrs.into_iter().partition(|attr| attr.path().is_ident("doc"));
    for attr in others {
        let path = attr.path();
        let name = path.get_ident().map_or_else(String::new, ToString::to_string);
        let reason = match name.as_str() {
            "cfg" | "cfg_attr" => format!("; `#[{name}]` would change the graph"),
            _ => String::new(),
        };
        report.error(&attr, format!("only doc comments are allowed on a level{reason}"));
    }
    let content;
    braced!(content in input);
    let mut level = Level::new(docs, name, module);
    while !content.is_empty() {
        if let Err(error) = one_field(&content, &mut level, report, lost_edge) {
            report.push(error);
            skip_value(&content);
        }
        comma(&content, ends_value, report);
    }
    Ok(level)
}

/// The name of a level; it becomes a field and a variable, so a few words cannot be one.
fn level_name(input: ParseStream<'_>, report: &mut Report) -> Result<Ident> {
    let name = input.call(Ident::parse_any)?;
    let text = name.to_string();
    let reserved = || syn::Error::new_spanned(&name, format!("`{text}` cannot name a level"));
    // A keyword cannot be a field of the generated struct, so such a level is given up.
    if syn::parse_str::<Ident>(&text).is_err() {
        return Err(reserved());
    }
    if text == "level" || text.starts_with("__") {
        report.push(reserved());
    }
    Ok(name)
}

fn one_field(input: ParseStream<'_>, level: &mut Level, report: &mut Report, lost_edge: &mut bool) -> Result<()> {
    for attr in input.call(Attribute::parse_outer)? {
        report.error(attr, "a field of a level takes no attributes; document the level instead");
    }
    let key = input.call(Ident::parse_any)?;
    let Some(field) = known_field(&key, level, report) else {
        *lost_edge = true;
        skip_value(input);
        return Ok(());
    };
    if level.written.contains(&field.key) {
        report.error(&key, format!("`{}` is given twice for level `{}`", field.name, level.name));
        skip_value(input);
        return Ok(());
    }
    level.written.push(field.key);
    let is_edge = matches!(field.key, Key::Upper | Key::Lower | Key::Start);
    let errors = report.count();
    let outcome = input.parse::<Token![:]>().and_then(|_| value_of(field, input, level, report));
    *lost_edge |= is_edge && (outcome.is_err() || report.count() > errors);
    outcome
}

/// The field that a key names, or was meant to name; the latter is reported.
fn known_field(key: &Ident, level: &Level, report: &mut Report) -> Option<&'static Field> {
    let name = key.to_string();
    if let Some(field) = field(&name) {
        return Some(field);
    }
    let meant = suggestion(&name, FIELDS.iter().map(|field| field.name));
    report.error(
        key,
        format!(
            "unknown field `{name}`{}; a level has {}",
            did_you_mean(meant),
            listed(FIELDS.iter().map(|field| field.name))
        ),
    );
    meant.and_then(field).filter(|field| !level.written.contains(&field.key))
}

fn value_of(field: &Field, input: ParseStream<'_>, level: &mut Level, report: &mut Report) -> Result<()> {
    match field.key {
        Key::Upper => level.upper = list(field, input, report)?,
        Key::Lower => level.lower = list(field, input, report)?,
        Key::Batch => level.batch = Some(input.parse()?),
        Key::Loss => level.loss = Some(path(field, input)?),
        Key::Condition => level.condition = Some(condition(input)?),
        Key::Unroll => level.unroll = Some(integer(input)?),
        Key::Warmup => level.warmup = Some(integer(input)?),
        Key::AfterStep => level.after_step = Some(path(field, input)?),
        Key::Accumulate => level.accumulate = Some(integer(input)?),
        Key::Tasks => level.tasks = Some(integer(input)?),
        Key::Rounds => level.rounds = Some(integer(input)?),
        Key::Vectorize => level.vectorize = Some(flag(input)?),
        Key::Start => level.start = Some(call(field, input, report)?),
        Key::Optimizer => level.optimizer = Some(call(field, input, report)?),
        Key::Schedule => level.schedule = Some(call(field, input, report)?),
        Key::Groups => {
            let errors = report.count();
            let groups = groups(field, input, report);
            level.lost_group = groups.is_err() || report.count() > errors;
            level.groups = groups?;
        }
        Key::Solver => level.solver = Some(call(field, input, report)?),
        Key::Hypergradient => level.hypergradient = Some(call(field, input, report)?),
        Key::Preconditioner => level.preconditioner = Some(call(field, input, report)?),
        Key::Curvature => level.curvature = Some(call(field, input, report)?),
        Key::Solve => level.solve = Some(call(field, input, report)?),
        Key::Clip => level.clip = Some(call(field, input, report)?),
        Key::Train => level.train = Some(parts(field, input, report)?),
        Key::Freeze => level.freeze = parts(field, input, report)?,
        Key::Project => level.project = Some(call(field, input, report)?),
        Key::Precision => level.precision = Some(call(field, input, report)?),
        // No level has it.
        Key::Paths => skip_value(input),
    }
    Ok(())
}

/// `[a, b]`; one bare name is taken for a list of one after an error.
fn list(field: &Field, input: ParseStream<'_>, report: &mut Report) -> Result<Vec<Ident>> {
    if !input.peek(token::Bracket) {
        let value = without_brackets(field, input, report)?;
        return Ok(syn::parse2::<Ident>(value).into_iter().collect());
    }
    let content;
    bracketed!(content in input);
    match content.call(|content| Punctuated::<Ident, Token![,]>::parse_terminated_with(content, Ident::parse_any)) {
        Ok(names) => Ok(names.into_iter().collect()),
        Err(error) => {
            skip_all(&content);
            Err(error)
        }
    }
}

fn integer(input: ParseStream<'_>) -> Result<Count> {
    let value = rest_of_value(input)?;
    let literal = syn::parse2(value.clone()).ok();
    // syn takes the sign of a number for a part of it.
    match literal.filter(|literal: &LitInt| !literal.base10_digits().starts_with('-')) {
        Some(literal) => Ok(Count::Literal(literal)),
        None if is_constant(&value) => Ok(Count::Constant(value)),
        None => {
            let expected = "expected an integer, or an expression of constants (`STEPS`, `defaults::STEPS`)";
            Err(syn::Error::new_spanned(value, expected))
        }
    }
}

fn flag(input: ParseStream<'_>) -> Result<LitBool> {
    let value = rest_of_value(input)?;
    syn::parse2(value.clone()).map_err(|_| syn::Error::new_spanned(value, "expected `true` or `false`"))
}

/// The path in `fixed_point(my_map)`.
fn condition(input: ParseStream<'_>) -> Result<ExprPath> {
    let value = rest_of_value(input)?;
    let expected = "`condition` takes the path of a function in `fixed_point`: `condition: fixed_point(my_map)`";
    let refused = || syn::Error::new_spanned(&value, expected);
    let call: ExprCall = syn::parse2(value.clone()).map_err(|_| refused())?;
    let is_known = matches!(&*call.func, Expr::Path(name) if name.path.is_ident("fixed_point"));
    match call.args.first() {
        Some(Expr::Path(path)) if is_known && call.args.len() == 1 => Ok(path.clone()),
        _ => Err(refused()),
    }
}

fn path(field: &Field, input: ParseStream<'_>) -> Result<ExprPath> {
    let expected = format!("`{}` takes the path of a function: `{}`", field.name, field.example);
    // Its parameters look like fields, so a closure is read as a whole.
    if input.peek(Token![|]) || input.peek(Token![||]) || input.peek(Token![move]) {
        return Err(syn::Error::new_spanned(input.parse::<Expr>()?, expected));
    }
    let value = rest_of_value(input)?;
    syn::parse2(value.clone()).map_err(|_| syn::Error::new_spanned(value, expected))
}

fn skip_all(input: ParseStream<'_>) {
    while !input.is_empty() {
        super::skip_one(input);
    }
}
