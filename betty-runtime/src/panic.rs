//! Panics of Burn, and of code that the user gave, as values that say what happened and where.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether panics are caught, and need not be printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// Where the last one that was not printed came from.
    static CALL_SITE: RefCell<CallSite> = const { RefCell::new(CallSite { line: None, called: None }) };
}

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Panic {
    /// What it said.
    pub(crate) message: String,
    /// The operation that it ended: a kernel, or a call of Burn's.
    pub(crate) operation: Option<String>,
    /// The line of the user's code that led to it, if the program knows its lines, or the function.
    pub(crate) line: Option<String>,
}

/// Where the user's code stood.
#[derive(Clone, Debug, Default, PartialEq)]
struct CallSite {
    line: Option<String>,
    /// The function that was called there.
    called: Option<String>,
}

/// What a panic in an operation carries.
struct InOperation {
    message: String,
    operation: String,
}

/// Runs `f`; a panic becomes a value and is not printed. Other threads' panics are reported as always.
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    let before = be_quiet();
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.set(before);
    result.map_err(from_payload)
}

/// Prints no more panics of this thread; whether that was so before.
fn be_quiet() -> bool {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            if QUIET.get() {
                CALL_SITE.set(call_site(info));
            } else {
                previous(info);
            }
        }));
    });
    CALL_SITE.take();
    QUIET.replace(true)
}

fn from_payload(payload: Box<dyn Any + Send>) -> Panic {
    let site = CALL_SITE.take();
    match payload.downcast::<InOperation>() {
        Ok(of) => Panic { message: of.message, operation: Some(of.operation), line: None },
        Err(payload) => {
            let operation = site.called.map(|called| format!("`{called}`"));
            Panic { message: message(&*payload), operation, line: site.line }
        }
    }
}

/// Runs `f`; a panic in it goes on with the name of the operation that it ended.
pub(crate) fn named(f: impl FnOnce(), operation: impl FnOnce() -> String) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        resume_unwind(Box::new(InOperation { message: message(&*payload), operation: operation() }));
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".into())
}

fn call_site(info: &PanicHookInfo<'_>) -> CallSite {
    // A panic that the user wrote knows its line, with or without debug information.
    match info.location().filter(|location| !is_foreign_file(location.file())) {
        Some(own) => {
            CallSite { line: Some(format!("at {}:{}:{}", own.file(), own.line(), own.column())), called: None }
        }
        None => in_backtrace(&Backtrace::force_capture().to_string()),
    }
}

/// The innermost frame that is neither Rust's, nor Burn's, nor ours, and the name of what it called.
fn in_backtrace(backtrace: &str) -> CallSite {
    let mut lines = backtrace.lines().map(str::trim).peekable();
    let mut called = None;
    while let Some(line) = lines.next() {
        let number = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let name = line[number..].strip_prefix(": ").filter(|_| number > 0).unwrap_or(line);
        let file = lines.next_if(|line| line.starts_with("at ")).map(|line| &line["at ".len()..]);
        // What was inlined has a file, but not its whole name.
        if file.map_or_else(|| is_foreign_name(name), |file| is_foreign_file(file) || has_foreign_crate(name)) {
            let is_burn = [Some(name), file].into_iter().flatten().any(|text| text.contains("burn"));
            called = Some(last_name(name)).filter(|_| is_burn).or(called);
            continue;
        }
        let file = file.map(|file| format!("at {}", file.strip_prefix("./").unwrap_or(file)));
        return CallSite { line: Some(file.unwrap_or_else(|| format!("in `{name}`"))), called };
    }
    CallSite::default()
}

/// `matmul` of `burn_tensor::Tensor<_>::matmul::<_>`.
fn last_name(path: &str) -> String {
    let mut depth = 0_usize;
    let plain = path.chars().filter(|&c| {
        let is_inside = depth > 0 || c == '<';
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        !is_inside
    });
    let plain: String = plain.collect();
    let names = plain.split("::").filter(|name| !name.is_empty() && !name.starts_with('{'));
    names.last().unwrap_or_default().to_owned()
}

/// Crates in which no code of a user's stands.
const FOREIGN: [&str; 8] = ["std", "core", "alloc", "test", "burn", "cubecl", "rayon", "betty_runtime"];

fn is_foreign_name(name: &str) -> bool {
    !name.contains("::") || has_foreign_crate(name)
}

fn has_foreign_crate(name: &str) -> bool {
    let path = name.trim_start_matches(['<', '&', '*', '(', '[']).trim_start_matches("dyn ").trim_start_matches("mut ");
    let first = path.split("::").next().unwrap_or_default();
    let is_part = |of: &str| first.starts_with(of);
    name.contains("::") && (FOREIGN.contains(&first) || ["burn_", "cubecl_", "rayon_"].into_iter().any(is_part))
}

fn is_foreign_file(file: &str) -> bool {
    let file = file.replace('\\', "/");
    ["/rustc/", "/registry/src/", "/library/std/", "/library/core/", "/library/alloc/", "betty-runtime/src/"]
        .iter()
        .any(|foreign| file.contains(foreign))
}

impl Display for Panic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(operation) = &self.operation {
            write!(f, "{operation}: ")?;
        }
        // Burn lays its messages out in lines.
        let message = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        f.write_str(message.trim_matches(['=', ' ']))?;
        self.line.iter().try_for_each(|line| write!(f, " ({line})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in an optimised program, where what is inlined has no path.
    const INLINED: &str = "\
   0: std::backtrace::Backtrace::force_capture
             at /rustc/abc/library/std/src/backtrace.rs:312:9
   1: forward
             at /home/me/.cargo/registry/src/index/burn-nn-0.22.1/src/linear.rs:12:9
   2: weighted_loss
             at ./src/model.rs:42:13";

    const BACKTRACE: &str = "\
   0: std::backtrace::Backtrace::force_capture
             at /rustc/abc/library/std/src/backtrace.rs:312:9
   1: betty_runtime::panic::call_site
             at ./betty-runtime/src/panic.rs:70:5
   2: <burn_tensor::tensor::Tensor<_> as core::ops::arith::Add>::add
             at /home/me/.cargo/registry/src/index/burn-tensor-0.22.1/src/ops.rs:12:9
   3: model::weighted_loss
             at ./src/model.rs:42:13
   4: <model::Cleaning as betty_runtime::engine::program::Multilevel>::loss
             at ./src/main.rs:10:1";

    #[test]
    fn the_innermost_frame_of_the_user_is_the_call_site() {
        let site = in_backtrace(BACKTRACE);
        assert_eq!(site.line.as_deref(), Some("at src/model.rs:42:13"));
        assert_eq!(site.called.as_deref(), Some("add"));
        let site = in_backtrace(INLINED);
        assert_eq!(site.line.as_deref(), Some("at src/model.rs:42:13"));
        assert_eq!(site.called.as_deref(), Some("forward"));
    }

    #[test]
    fn without_lines_the_function_is_the_call_site() {
        let names: Vec<&str> = BACKTRACE.lines().filter(|line| !line.trim().starts_with("at ")).collect();
        assert_eq!(in_backtrace(&names.join("\n")).line.as_deref(), Some("in `model::weighted_loss`"));
    }

    #[test]
    fn a_function_has_the_last_name_of_its_path() {
        assert_eq!(last_name("burn_tensor::tensor::Tensor<_,K>::matmul"), "matmul");
        assert_eq!(last_name("<burn_tensor::Tensor<_> as core::ops::arith::Add<f32>>::add"), "add");
        assert_eq!(last_name("burn_nn::Linear::forward::{{closure}}"), "forward");
    }

    #[test]
    fn a_panic_that_was_caught_says_what_it_said() {
        let panic = caught(|| panic!("{} and so on", 1)).expect_err("a panic");
        assert_eq!((panic.message.as_str(), panic.operation), ("1 and so on", None));
        let panic = caught(|| named(|| panic!("too far"), || "`gather`".into())).expect_err("a panic");
        assert_eq!(panic.to_string(), "`gather`: too far");
        assert_eq!(caught(|| 3), Ok(3));
    }
}
