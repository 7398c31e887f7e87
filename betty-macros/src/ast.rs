//! What the user wrote: names, paths and literals that still know where they stand.

use proc_macro2::TokenStream;
use syn::{Attribute, ExprPath, Ident, LitBool, LitInt, Type, Visibility};

use crate::methods::{Key, OPTIMIZERS};

/// One call of `multilevel!`.
pub(crate) struct Program {
    /// `None` after an error: without a name there is nothing to generate.
    pub(crate) header: Option<Header>,
    pub(crate) levels: Vec<Level>,
    /// A level could not be read, so a name that nobody declares proves nothing.
    pub(crate) lost_level: bool,
    /// An entry of a list may have been lost, so an edge that is not there proves nothing.
    pub(crate) lost_edge: bool,
}

/// `/// docs pub struct Name;`
pub(crate) struct Header {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) name: Ident,
}

/// `level name: Module { … }`
pub(crate) struct Level {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) module: Type,
    /// The fields that were written, whether or not their values could be read.
    pub(crate) written: Vec<Key>,
    pub(crate) upper: Vec<Ident>,
    pub(crate) lower: Vec<Ident>,
    pub(crate) batch: Option<Type>,
    pub(crate) loss: Option<ExprPath>,
    pub(crate) optimizer: Option<Call>,
    pub(crate) unroll: Option<LitInt>,
    pub(crate) warmup: Option<LitInt>,
    pub(crate) hypergradient: Option<Call>,
    pub(crate) clip: Option<Call>,
    pub(crate) project: Option<Call>,
    pub(crate) accumulate: Option<LitInt>,
    pub(crate) start: Option<Call>,
    pub(crate) tasks: Option<LitInt>,
    pub(crate) rounds: Option<LitInt>,
    pub(crate) vectorize: Option<LitBool>,
    pub(crate) train: Option<Vec<String>>,
    pub(crate) freeze: Vec<String>,
    pub(crate) precision: Option<Call>,
}

impl Level {
    pub(crate) fn new(docs: Vec<Attribute>, name: Ident, module: Type) -> Self {
        Self {
            docs,
            name,
            module,
            written: Vec::new(),
            upper: Vec::new(),
            lower: Vec::new(),
            batch: None,
            loss: None,
            optimizer: None,
            unroll: None,
            warmup: None,
            hypergradient: None,
            clip: None,
            project: None,
            accumulate: None,
            start: None,
            tasks: None,
            rounds: None,
            vectorize: None,
            train: None,
            freeze: Vec::new(),
            precision: None,
        }
    }
}

/// `cg(iterations = 10)`, or only `cg`.
pub(crate) struct Call {
    pub(crate) name: Ident,
    pub(crate) settings: Vec<Setting>,
    /// A setting could not be read, so one that seems to be missing may be the one.
    pub(crate) incomplete: bool,
}

impl Call {
    /// The value in `custom(MyMethod)`.
    pub(crate) fn unnamed(&self) -> Option<&TokenStream> {
        self.settings.iter().find(|setting| setting.name.is_none()).map(|setting| &setting.value.tokens)
    }

    /// The settings of an optimizer that name a level which learns a number, and the name.
    pub(crate) fn learned(&self) -> impl Iterator<Item = (&Setting, &Ident)> {
        let optimizer = OPTIMIZERS.find(&self.name.to_string());
        self.settings.iter().filter_map(move |setting| {
            let option = optimizer?.find(&setting.name.as_ref()?.to_string())?;
            let level = setting.value.level().filter(|_| option.range.is_learnable())?;
            Some((setting, level))
        })
    }

    /// The one name in `from(meta)`.
    pub(crate) fn start_level(&self) -> Option<&Ident> {
        match self.settings.as_slice() {
            [Setting { name: None, value: Value { kind: ValueKind::Word(level), .. } }] => Some(level),
            _ => None,
        }
    }
}

/// `iterations = 10`; without a name in `norm(1.0)`.
pub(crate) struct Setting {
    pub(crate) name: Option<Ident>,
    pub(crate) value: Value,
}

/// The right side of a setting.
pub(crate) struct Value {
    /// Everything that an error about the value underlines, a sign included.
    pub(crate) tokens: TokenStream,
    pub(crate) kind: ValueKind,
}

impl Value {
    /// The level in `rates` or `exp(rates.log_lr)`.
    pub(crate) fn level(&self) -> Option<&Ident> {
        match &self.kind {
            ValueKind::Word(level) | ValueKind::Parameters { level, .. } => Some(level),
            ValueKind::Integer(_) | ValueKind::Float(_) | ValueKind::Flag(_) | ValueKind::Other => None,
        }
    }
}

/// What a value is, in normalized digits where it is a number.
pub(crate) enum ValueKind {
    Integer(String),
    Float(String),
    Word(Ident),
    Flag(bool),
    /// `exp(rates.log_lr)`: a function of parameters of a level, or the parameters themselves.
    Parameters {
        transform: Option<Ident>,
        level: Ident,
        /// `log_lr`; empty for all parameters of the level.
        path: String,
    },
    Other,
}
