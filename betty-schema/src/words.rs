//! Choices that are one word, and the enums of the runtime that hold them.

/// The words of a choice.
pub struct Words {
    /// What one of them is called in a sentence.
    pub noun: &'static str,
    /// What several are called.
    pub nouns: &'static str,
    /// Completes "… must be" for what is no word.
    pub expected: &'static str,
    /// The words, in the order in which errors and the manual list them.
    pub words: &'static [Word],
}

/// One of them.
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// The variant of the runtime's enum.
    pub variant: &'static str,
    /// What it says, for the manual.
    pub meaning: &'static str,
}

impl Words {
    /// The word, if it is one of them.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Word> {
        self.words.iter().find(|word| word.name == name)
    }

    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.words.iter().map(|word| word.name)
    }
}

const fn word(name: &'static str, variant: &'static str, meaning: &'static str) -> Word {
    Word { name, variant, meaning }
}

/// Which batch of a lower level a hypergradient through it uses: `LowerBatch`.
pub static BATCHES: Words = Words {
    noun: "batch",
    nouns: "batches",
    expected: "`last` or `fresh`",
    words: &[word("last", "Last", "that of the level's last step"), word("fresh", "Fresh", "one of its own")],
};

/// Where a level's steps begin each time the levels above wait for it: `Start`.
pub static STARTS: Words = Words {
    noun: "start",
    nouns: "starts",
    expected: "`kept`, `initial`, `fresh`, `look_ahead` or `from`",
    words: &[
        word("kept", "Kept", "where the last ones ended"),
        word("initial", "Initial", "at the parameters that the level was given, with a new optimizer"),
        word(
            "fresh",
            "Fresh",
            "at parameters that the function `fn my_net(&Device) -> Net` draws anew each time, with a new optimizer",
        ),
        word(
            "look_ahead",
            "LookAhead",
            "where the last ones ended; after the step above they are undone and taken again, on the next batches, under the \
             new parameters above",
        ),
        word(
            "from",
            "From",
            "at the current parameters of level `meta`, with a new optimizer: the two have the same module",
        ),
    ],
};

/// Of which gradient of a level, where levels below answer to it, hypergradients take the derivative: `CurvatureOf`.
pub static CURVATURES: Words = Words {
    noun: "curvature",
    nouns: "curvatures",
    expected: "`total` or `partial`",
    words: &[
        word("total", "Total", "of its total gradient, with the levels below answering: exact"),
        word(
            "partial",
            "Partial",
            "of the gradient of its own loss, with the levels below standing still: an approximation, whose work grows with the \
             number of levels and not with its exponential",
        ),
    ],
};

/// The functions that keep a learned number in its range: `Transform`.
pub static TRANSFORMS: Words = Words {
    noun: "transform",
    nouns: "transforms",
    expected: "a number, or the path of the parameters of a level above, as in `exp(rates.log_lr)`",
    words: &[
        word("exp", "Exp", "eˣ, greater than zero"),
        word("softplus", "Softplus", "log(1 + eˣ), greater than zero"),
        word("sigmoid", "Sigmoid", "1/(1 + e⁻ˣ), between 0 and 1"),
    ],
};

/// The ways to clip a gradient, each with one number greater than zero: `Clip`.
pub static CLIPS: Words = Words {
    noun: "clip",
    nouns: "clips",
    expected: "`null`, or an object with one of `norm` and `value`",
    words: &[
        word("norm", "Norm", "scales the gradient of all parameters together to at most this norm"),
        word("value", "Value", "moves every entry into ±limit"),
    ],
};

/// The float types of products: `Precision`.
pub static PRECISIONS: Words = Words {
    noun: "precision",
    nouns: "precisions",
    expected: "`null`, or the name of a float type",
    words: &[
        word("f32", "F32", "32 bits, of which 24 are significant"),
        word("bf16", "Bf16", "16 bits, of which 8 are significant"),
        word("f16", "F16", "16 bits, of which 11 are significant"),
    ],
};
