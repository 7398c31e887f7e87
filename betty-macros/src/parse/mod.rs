//! Tokens to [`ast`](crate::ast): reads as much as it can, reports the rest, and goes on behind it.

mod constant;
mod groups;
mod level;
mod part;
mod value;

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Generics, Ident, Result, Token, Visibility, token};

use crate::ast::{Header, Program};
use crate::report::Report;

/// The word that opens a level.
mod keyword {
    syn::custom_keyword!(level);
}

const HEADER: &str = "expected the program's declaration: `pub struct Name;`";

/// Reads a whole program; what could not be read is reported, and marked in the program.
pub(crate) fn parse(tokens: TokenStream, report: &mut Report) -> Program {
    let mut read = Program { header: None, levels: Vec::new(), lost_level: true, lost_edge: true };
    let parser = |input: ParseStream<'_>| {
        read = program(input, report);
        Ok(())
    };
    // The parser above reads to the end whatever it meets, but syn cannot know that: it also tells of brackets in which an error was
    // met half-way.
    if let Err(error) = parser.parse2(tokens)
        && report.count() == 0
    {
        report.push(error);
    }
    read
}

fn program(input: ParseStream<'_>, report: &mut Report) -> Program {
    let header = match header(input, report) {
        Ok(header) => Some(header),
        Err(error) => {
            report.push(error);
            skip_to_level(input);
            None
        }
    };
    let mut program = Program { header, levels: Vec::new(), lost_level: false, lost_edge: false };
    while !input.is_empty() {
        if input.peek(Token![,]) || input.peek(Token![;]) {
            report.push(input.error("levels follow each other without punctuation"));
            skip_one(input);
            continue;
        }
        match level::level(input, report, &mut program.lost_edge) {
            Ok(level) => program.levels.push(level),
            Err(error) => {
                report.push(error);
                program.lost_level = true;
                skip_level(input);
            }
        }
    }
    value::settle_constants(&mut program.levels);
    program
}

fn header(input: ParseStream<'_>, report: &mut Report) -> Result<Header> {
    let attrs = input.call(Attribute::parse_outer)?;
    for attr in &attrs {
        if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
            report
                .error(attr, "a program expands to more than this struct; put the attribute on the `multilevel!` call");
        }
    }
    let vis: Visibility = input.parse()?;
    if !input.peek(Token![struct]) {
        return Err(input.error(HEADER));
    }
    input.parse::<Token![struct]>()?;
    let name: Ident = input.parse()?;
    if input.peek(Token![<]) {
        let generics: Generics = input.parse()?;
        report.error(generics, "a multilevel program cannot be generic; make the level types concrete");
    }
    if input.peek(Token![;]) {
        input.parse::<Token![;]>()?;
    } else {
        // The name is known, so everything but this token can still be checked.
        report.push(input.error(HEADER));
        skip_to_level(input);
    }
    Ok(Header { attrs, vis, name })
}

/// Skips what stands where a header should, up to the first level.
fn skip_to_level(input: ParseStream<'_>) {
    while !input.is_empty() && !starts_level(input) {
        skip_one(input);
    }
}

/// Skips a level whose header could not be read, braces included.
fn skip_level(input: ParseStream<'_>) {
    // The first token may be the very `level` that introduced the broken header.
    let mut first = true;
    while !input.is_empty() && (first || !starts_level(input)) {
        first = false;
        let braces = input.peek(token::Brace);
        skip_one(input);
        if braces {
            break;
        }
    }
}

/// Whether a level starts here, as far as one can tell without reading it; its docs belong to it.
fn starts_level(input: ParseStream<'_>) -> bool {
    input.peek(keyword::level) || (input.peek(Token![#]) && input.peek2(token::Bracket))
}

/// Skips one token tree; callers have made sure that there is one.
fn skip_one(input: ParseStream<'_>) {
    let skipped: Result<TokenTree> = input.parse();
    debug_assert!(skipped.is_ok(), "there is a token to skip");
}
