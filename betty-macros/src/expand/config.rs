//! The config struct, whose default is the numbers written in the program.

use betty_schema::{
    ALL, BATCHES, CLIPS, CURVATURES, Family, Given, Holds, LEVEL_SOLVERS, METHODS, OPTIMIZERS, Opt, PRECISIONS,
    PRECONDITIONERS, PROJECTIONS, Range, SCHEDULES, SOLVERS, STARTS, TRANSFORMS, field,
};
use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::LitBool;
use syn::ext::IdentExt;

use super::Names;
use super::constant::{checked, checked_count};
use crate::ast::{Call, Count, Group, Header, Level, Part, Value, ValueKind};

pub(super) fn expand(header: &Header, names: &Names, levels: &[Level]) -> TokenStream {
    let vis = &header.vis;
    let config = &names.config;
    let docs =
        format!(" The numbers of [`{}`]: by default those written in the program; JSON overrides them.", names.program);
    let level_names: Vec<_> = levels.iter().map(|level| &level.name).collect();
    let level_texts = levels.iter().map(|level| level.name.unraw().to_string());
    let level_docs = levels.iter().map(|level| format!(" The numbers of level `{}`.", level.name.unraw()));
    let defaults = levels.iter().map(level_config);
    let derives = quote! {
        #[derive(
            ::core::clone::Clone,
            ::core::fmt::Debug,
            ::core::cmp::PartialEq,
            ::betty_runtime::__private::serde::Serialize,
            ::betty_runtime::__private::serde::Deserialize,
        )]
        #[serde(crate = "::betty_runtime::__private::serde", deny_unknown_fields)]
    };
    quote_spanned! {Span::mixed_site()=>
        #[doc = #docs]
        #derives
        #vis struct #config {
            #(#[doc = #level_docs] #vis #level_names: ::betty_runtime::LevelConfig,)*
        }

        impl ::core::default::Default for #config {
            fn default() -> Self {
                Self { #(#level_names: #defaults,)* }
            }
        }

        impl ::betty_runtime::ProgramConfig for #config {
            fn levels(&self) -> ::std::vec::Vec<&::betty_runtime::LevelConfig> {
                ::std::vec::Vec::from([#(&self.#level_names),*])
            }

            fn levels_mut(&mut self) -> ::std::vec::Vec<&mut ::betty_runtime::LevelConfig> {
                ::std::vec::Vec::from([#(&mut self.#level_names),*])
            }

            fn to_json(&self) -> ::core::result::Result<::std::string::String, ::betty_runtime::ConfigError> {
                ::betty_runtime::__private::levels_to_json(
                    &[#(#level_texts),*],
                    &::betty_runtime::ProgramConfig::levels(self),
                    &::betty_runtime::ProgramConfig::levels(&<Self as ::core::default::Default>::default()),
                )
            }
        }
    }
}

fn level_config(level: &Level) -> TokenStream {
    let unroll = count("unroll", level.unroll.as_ref());
    let warmup = count("warmup", level.warmup.as_ref());
    let accumulate = count("accumulate", level.accumulate.as_ref());
    let tasks = count("tasks", level.tasks.as_ref());
    let rounds = count("rounds", level.rounds.as_ref());
    let vectorize = level.vectorize.as_ref().is_some_and(LitBool::value);
    let start = start(level.start.as_ref());
    // A level that names none has made a mistake, unless something else moves it.
    let steps = level.solver.is_none() && (level.optimizer.is_some() || level.groups.is_empty());
    let optimizer = option(steps.then(|| choice(level.optimizer.as_ref(), &OPTIMIZERS)));
    let schedule = option(level.schedule.as_ref().map(|call| choice(Some(call), &SCHEDULES)));
    let groups = groups(&level.groups);
    let solver = option(level.solver.as_ref().map(|call| choice(Some(call), &LEVEL_SOLVERS)));
    let hypergradient = option(level.hypergradient.as_ref().map(|call| choice(Some(call), &METHODS)));
    let preconditioner = option(level.preconditioner.as_ref().map(|call| choice(Some(call), &PRECONDITIONERS)));
    let curvature = curvature(level.curvature.as_ref());
    let solve = option(level.solve.as_ref().map(|call| choice(Some(call), &SOLVERS)));
    let clip = option(level.clip.as_ref().and_then(clip));
    let train = option(level.train.as_deref().map(paths));
    let freeze = paths(&level.freeze);
    let precision = option(level.precision.as_ref().and_then(precision));
    let project = option(level.project.as_ref().map(|call| choice(Some(call), &PROJECTIONS)));
    quote! {
        ::betty_runtime::LevelConfig {
            unroll: #unroll,
            warmup: #warmup,
            optimizer: #optimizer,
            schedule: #schedule,
            groups: #groups,
            solver: #solver,
            hypergradient: #hypergradient,
            preconditioner: #preconditioner,
            curvature: #curvature,
            solve: #solve,
            clip: #clip,
            project: #project,
            accumulate: #accumulate,
            start: #start,
            tasks: #tasks,
            rounds: #rounds,
            vectorize: #vectorize,
            train: #train,
            freeze: #freeze,
            precision: #precision,
        }
    }
}

fn groups(groups: &[Group]) -> TokenStream {
    if groups.is_empty() {
        return quote!(::std::collections::BTreeMap::new());
    }
    let groups = groups.iter().map(|group| {
        let name = &group.name.path;
        let paths = option(group.paths.as_deref().map(paths));
        let optimizer = choice(group.optimizer.as_ref(), &OPTIMIZERS);
        let schedule = option(group.schedule.as_ref().map(|call| choice(Some(call), &SCHEDULES)));
        let clip = option(group.clip.as_ref().and_then(clip));
        let project = option(group.project.as_ref().map(|call| choice(Some(call), &PROJECTIONS)));
        quote!((
            ::std::string::String::from(#name),
            ::betty_runtime::GroupConfig { paths: #paths, optimizer: #optimizer, schedule: #schedule, clip: #clip, project: #project },
        ))
    });
    quote!(::std::collections::BTreeMap::from([#(#groups),*]))
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

fn paths(parts: &[Part]) -> TokenStream {
    if parts.is_empty() {
        return quote!(::std::vec::Vec::new());
    }
    let paths = parts.iter().map(|part| &part.path);
    quote!(::std::vec::Vec::from([#(::std::string::String::from(#paths)),*]))
}

/// The number in a field, or the one that holds where none is given.
fn count(name: &str, number: Option<&Count>) -> TokenStream {
    let Some(Holds::Number(range, absent)) = field(name).map(|field| field.holds) else { return quote!(1) };
    if let Some(Count::Constant(expression)) = number {
        return checked_count(range, expression, &format!("`{name}`"));
    }
    let known = number.and_then(Count::known).and_then(|count| usize::try_from(count).ok());
    Literal::usize_unsuffixed(known.unwrap_or(absent)).to_token_stream()
}

/// One variant of a config enum with all its options. A name or an option that was rejected gets a stand-in: the
/// program will not compile, but nothing else shall go wrong because of it.
fn choice(call: Option<&Call>, family: &Family) -> TokenStream {
    let known = call.and_then(|call| family.find(&call.name.to_string()));
    let Some(row) = known.or(family.rows.first()) else {
        return TokenStream::new();
    };
    let (variant, config) = (format_ident!("{}", row.variant), format_ident!("{}", row.config()));
    let (learnable, owner) = (family.learnable, row.name);
    let family = format_ident!("{}", family.config);
    let fields = row.options.iter().map(|option| {
        let name = format_ident!("{}", option.name);
        let value = call
            .and_then(|call| given(owner, call, option))
            .or_else(|| option.default.and_then(|text| literal(option.range, text)))
            .unwrap_or_else(|| quote!(1.0));
        if !(learnable && option.range.is_learnable()) {
            return quote!(#name: #value);
        }
        match call.and_then(|call| call.setting(option.name)).and_then(|setting| learned(&setting.value)) {
            Some(learned) => quote!(#name: #learned),
            None => quote!(#name: ::betty_runtime::Hyperparameter::Fixed(#value)),
        }
    });
    quote! {
        ::betty_runtime::#family::#variant(::betty_runtime::#config { #(#fields,)* })
    }
}

fn given(owner: &str, call: &Call, option: &Opt) -> Option<TokenStream> {
    value_in(option.range, &call.setting(option.name)?.value, || format!("`{}` of `{owner}`", option.name))
}

/// A value in a range, which `what` is called; `None` if it does not lie there.
fn value_in(range: Range, value: &Value, what: impl FnOnce() -> String) -> Option<TokenStream> {
    match &value.kind {
        // A word is no number, and was refused.
        ValueKind::Constant if range == Range::Batch => None,
        ValueKind::Constant => Some(checked(range, &value.tokens, &what())),
        _ => literal(range, &text(value)?),
    }
}

/// A number that a level learns.
fn learned(value: &Value) -> Option<TokenStream> {
    let (transform, level, path, make) = match &value.kind {
        ValueKind::Word(level) => (None, level, "", quote!(learned)),
        ValueKind::Parameters { transform, level, path, index: None } => {
            (transform.as_ref(), level, path.as_str(), quote!(learned))
        }
        ValueKind::Parameters { transform, level, path, index: Some(_) } => {
            (transform.as_ref(), level, path.as_str(), quote!(learned_by_step))
        }
        _ => return None,
    };
    let known = transform.and_then(|transform| TRANSFORMS.find(&transform.to_string()));
    let transform = format_ident!("{}", known.map_or("Identity", |word| word.variant));
    let level = level.unraw().to_string();
    Some(quote! {
        ::betty_runtime::Hyperparameter::#make(::betty_runtime::Transform::#transform, #level, #path)
    })
}

fn text(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Integer(text) | ValueKind::Float(text) => Some(text.clone()),
        ValueKind::Word(word) => Some(word.to_string()),
        ValueKind::Flag(flag) => Some(flag.to_string()),
        ValueKind::Constant | ValueKind::Parameters { .. } | ValueKind::Other => None,
    }
}

/// The expression of a value in a range; `None` if it does not lie there.
pub(crate) fn literal(range: Range, text: &str) -> Option<TokenStream> {
    match range {
        Range::Count => {
            let count = Literal::usize_unsuffixed(text.parse().ok()?);
            Some(quote!(#count))
        }
        Range::CountOrAll => {
            let count =
                (text != ALL).then(|| literal(Range::Count, text)).map_or(Some(None), |count| count.map(Some))?;
            Some(option(count))
        }
        Range::Natural => {
            let seed = Literal::u64_unsuffixed(text.parse().ok()?);
            Some(quote!(#seed))
        }
        Range::Number | Range::Positive | Range::NonNegative | Range::Fraction => {
            let number: f64 = text.parse().ok()?;
            // A literal has no sign of its own.
            let size = range.accepts(Given::Number(number)).then(|| Literal::f64_unsuffixed(number.abs()))?;
            Some(if number.is_sign_negative() { quote!(-#size) } else { quote!(#size) })
        }
        Range::Flag => {
            let flag: bool = text.parse().ok()?;
            Some(quote!(#flag))
        }
        Range::Batch => {
            let variant = format_ident!("{}", BATCHES.find(text)?.variant);
            Some(quote!(::betty_runtime::LowerBatch::#variant))
        }
    }
}

fn start(call: Option<&Call>) -> TokenStream {
    let known = call.and_then(|call| STARTS.find(&call.name.to_string()));
    let variant = format_ident!("{}", known.unwrap_or(&STARTS.words[0]).variant);
    quote!(::betty_runtime::Start::#variant)
}

fn curvature(call: Option<&Call>) -> TokenStream {
    let known = call.and_then(|call| CURVATURES.find(&call.name.to_string()));
    let variant = format_ident!("{}", known.unwrap_or(&CURVATURES.words[0]).variant);
    quote!(::betty_runtime::CurvatureOf::#variant)
}

fn precision(call: &Call) -> Option<TokenStream> {
    let variant = format_ident!("{}", PRECISIONS.find(&call.name.to_string())?.variant);
    Some(quote!(::betty_runtime::Precision::#variant))
}

fn clip(call: &Call) -> Option<TokenStream> {
    let variant = format_ident!("{}", CLIPS.find(&call.name.to_string())?.variant);
    let limit = value_in(Range::Positive, &call.settings.first()?.value, || format!("the limit of `{}`", call.name))?;
    Some(quote!(::betty_runtime::Clip::#variant(#limit)))
}
