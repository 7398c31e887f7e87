//! What the user wrote: names, paths and literals that still know where they stand.

use betty_schema::{Given, Key, METHODS, OPTIMIZERS, Range, Row, STARTS, Way};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, ExprPath, Ident, LitBool, LitInt, Type, Visibility};

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
    /// The map in `fixed_point(my_map)`.
    pub(crate) condition: Option<ExprPath>,
    pub(crate) optimizer: Option<Call>,
    pub(crate) schedule: Option<Call>,
    pub(crate) groups: Vec<Group>,
    /// A group could not be read, so that an optimizer that seems to be missing may be its.
    pub(crate) lost_group: bool,
    pub(crate) solver: Option<Call>,
    pub(crate) unroll: Option<Count>,
    pub(crate) warmup: Option<Count>,
    pub(crate) hypergradient: Option<Call>,
    pub(crate) preconditioner: Option<Call>,
    pub(crate) curvature: Option<Call>,
    pub(crate) solve: Option<Call>,
    pub(crate) clip: Option<Call>,
    pub(crate) project: Option<Call>,
    pub(crate) after_step: Option<ExprPath>,
    pub(crate) accumulate: Option<Count>,
    pub(crate) start: Option<Call>,
    pub(crate) tasks: Option<Count>,
    pub(crate) rounds: Option<Count>,
    pub(crate) vectorize: Option<LitBool>,
    pub(crate) train: Option<Vec<Part>>,
    pub(crate) freeze: Vec<Part>,
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
            condition: None,
            optimizer: None,
            schedule: None,
            groups: Vec::new(),
            lost_group: false,
            solver: None,
            unroll: None,
            warmup: None,
            hypergradient: None,
            preconditioner: None,
            curvature: None,
            solve: None,
            clip: None,
            project: None,
            after_step: None,
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

impl Level {
    /// The optimizers of the level and of its groups.
    pub(crate) fn optimizers(&self) -> impl Iterator<Item = &Call> {
        self.optimizer.iter().chain(self.groups.iter().filter_map(|group| group.optimizer.as_ref()))
    }

    /// The same, to be settled.
    pub(crate) fn optimizers_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.optimizer.iter_mut().chain(self.groups.iter_mut().filter_map(|group| group.optimizer.as_mut()))
    }

    /// The schedules of the level and of its groups, each with the optimizer whose learning rate it changes.
    pub(crate) fn schedules(&self) -> impl Iterator<Item = (&Call, Option<&Call>)> {
        let own = self.schedule.iter().map(|schedule| (schedule, self.optimizer.as_ref()));
        let groups = self.groups.iter();
        own.chain(groups.filter_map(|group| Some((group.schedule.as_ref()?, group.optimizer.as_ref()))))
    }

    /// Everything else that is a name with settings, of which none is a level's name.
    pub(crate) fn others_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        let own = [
            &mut self.schedule,
            &mut self.solver,
            &mut self.hypergradient,
            &mut self.preconditioner,
            &mut self.curvature,
            &mut self.solve,
            &mut self.clip,
            &mut self.project,
            &mut self.precision,
        ];
        let groups = self.groups.iter_mut();
        let in_groups = groups.flat_map(|group| [&mut group.schedule, &mut group.clip, &mut group.project]);
        own.into_iter().chain(in_groups).flatten()
    }

    /// The limits on gradients of the level and of its groups.
    pub(crate) fn clips(&self) -> impl Iterator<Item = &Call> {
        self.clip.iter().chain(self.groups.iter().filter_map(|group| group.clip.as_ref()))
    }

    /// The projections of the level and of its groups.
    pub(crate) fn projections(&self) -> impl Iterator<Item = &Call> {
        self.project.iter().chain(self.groups.iter().filter_map(|group| group.project.as_ref()))
    }
}

/// `log_lr: { optimizer: sgd(lr = 0.1), … }`
pub(crate) struct Group {
    /// Its name, which is where its parameters are in the level's module if no `paths` say so.
    pub(crate) name: Part,
    /// `paths: [encoder, head.bias]`
    pub(crate) paths: Option<Vec<Part>>,
    /// The fields that were written, whether or not their values could be read.
    pub(crate) written: Vec<Key>,
    pub(crate) optimizer: Option<Call>,
    pub(crate) schedule: Option<Call>,
    pub(crate) clip: Option<Call>,
    pub(crate) project: Option<Call>,
}

impl Group {
    /// The parts of the module that it is made of.
    pub(crate) fn parts(&self) -> &[Part] {
        self.paths.as_deref().unwrap_or(std::slice::from_ref(&self.name))
    }
}

/// A part of a module, `encoder.norm` for instance, and where it is written.
pub(crate) struct Part {
    pub(crate) path: String,
    pub(crate) token: TokenStream,
}

/// `unroll: 10` or `unroll: STEPS`
pub(crate) enum Count {
    Literal(LitInt),
    /// An expression of constants, which the compiler evaluates.
    Constant(TokenStream),
}

impl Count {
    /// The number, if it can be read off.
    pub(crate) fn known(&self) -> Option<u32> {
        match self {
            Self::Literal(literal) => literal.base10_parse().ok(),
            Self::Constant(_) => None,
        }
    }
}

impl ToTokens for Count {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(literal) => literal.to_tokens(tokens),
            Self::Constant(expression) => expression.to_tokens(tokens),
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
    /// The row of the method that it names.
    pub(crate) fn method(&self) -> Option<&'static Row> {
        METHODS.find(&self.name.to_string())
    }

    /// The setting of that name.
    pub(crate) fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name.as_ref().is_some_and(|of| of == name))
    }

    /// The value in `custom(MyMethod)`.
    pub(crate) fn unnamed(&self) -> Option<&TokenStream> {
        self.settings.iter().find(|setting| setting.name.is_none()).map(|setting| &setting.value.tokens)
    }

    /// Whether a setting of an optimizer is the value in `custom(lion(BETA))`, which is Rust: whatever it looks like, it names no level.
    pub(crate) fn is_own_value(&self, setting: &Setting) -> bool {
        let takes_value = OPTIMIZERS.find(&self.name.to_string()).is_some_and(|row| row.way == Way::Given);
        takes_value && setting.name.is_none()
    }

    /// The function in `fresh(my_net)`.
    pub(crate) fn start_function(&self) -> Option<&TokenStream> {
        match self.settings.as_slice() {
            [Setting { name: None, value }] if self.name == FRESH => Some(&value.tokens),
            _ => None,
        }
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

    /// Whether a learned number of an optimizer decides where its steps come to rest. One that differs from step to step does not.
    pub(crate) fn decides_rest(&self, setting: &Setting) -> bool {
        let option = OPTIMIZERS.find(&self.name.to_string()).and_then(|row| row.find(setting.option()));
        let by_step = matches!(setting.value.kind, ValueKind::Parameters { index: Some(_), .. });
        option.is_some_and(|option| option.at_rest) && !by_step
    }

    /// The one name in `from(meta)`, or in what may have been meant to be that.
    pub(crate) fn start_level(&self) -> Option<&Ident> {
        let takes_level = self.name == FROM || STARTS.find(&self.name.to_string()).is_none();
        match self.settings.as_slice() {
            [Setting { name: None, value: Value { kind: ValueKind::Word(level), .. } }] if takes_level => Some(level),
            _ => None,
        }
    }
}

/// The start that takes a level's name.
pub(crate) const FROM: &str = "from";

/// The start that takes a function.
pub(crate) const FRESH: &str = "fresh";

/// `iterations = 10`; without a name in `norm(1.0)`.
pub(crate) struct Setting {
    pub(crate) name: Option<Ident>,
    pub(crate) value: Value,
}

impl Setting {
    /// The option of an optimizer that it gives, as the table names it.
    pub(crate) fn option(&self) -> &'static str {
        let name = self.name.as_ref().map(ToString::to_string).unwrap_or_default();
        OPTIMIZERS.rows.iter().find_map(|row| row.find(&name)).map_or("", |option| option.name)
    }
}

/// The right side of a setting.
pub(crate) struct Value {
    /// Everything that an error about the value underlines, a sign included.
    pub(crate) tokens: TokenStream,
    pub(crate) kind: ValueKind,
}

impl Value {
    /// Whether the value lies in a range.
    pub(crate) fn lies_in(&self, range: Range) -> bool {
        match &self.kind {
            ValueKind::Word(word) => range.accepts(Given::Word(&word.to_string())),
            ValueKind::Flag(flag) => range.accepts(Given::Flag(*flag)),
            ValueKind::Integer(digits) if digits.parse::<i128>().is_ok() => {
                digits.parse().is_ok_and(|integer| range.accepts(Given::Integer(integer)))
            }
            ValueKind::Integer(_) | ValueKind::Float(_) => {
                self.number().is_some_and(|number| range.accepts(Given::Number(number)))
            }
            // The compiler evaluates it, and then it is checked.
            ValueKind::Constant => range != Range::Batch,
            ValueKind::Parameters { .. } | ValueKind::Other => false,
        }
    }

    /// The number that it is, if it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match &self.kind {
            ValueKind::Integer(digits) | ValueKind::Float(digits) => digits.parse().ok(),
            ValueKind::Word(_)
            | ValueKind::Flag(_)
            | ValueKind::Constant
            | ValueKind::Parameters { .. }
            | ValueKind::Other => None,
        }
    }

    /// The level in `rates` or `exp(rates.log_lr)`.
    pub(crate) fn level(&self) -> Option<&Ident> {
        match &self.kind {
            ValueKind::Word(level) | ValueKind::Parameters { level, .. } => Some(level),
            ValueKind::Integer(_)
            | ValueKind::Float(_)
            | ValueKind::Flag(_)
            | ValueKind::Constant
            | ValueKind::Other => None,
        }
    }
}

/// What a value is, in normalized digits where it is a number.
pub(crate) enum ValueKind {
    Integer(String),
    Float(String),
    Word(Ident),
    Flag(bool),
    /// `LR`, `2.0 * defaults::LR`: an expression of constants.
    Constant,
    /// `exp(rates.log_lr)`: a function of parameters of a level, or the parameters themselves.
    Parameters {
        transform: Option<Ident>,
        level: Ident,
        /// `log_lr`; empty for all parameters of the level.
        path: String,
        /// What stands in square brackets behind them.
        index: Option<TokenStream>,
    },
    Other,
}
