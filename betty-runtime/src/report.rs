//! Errors as people read them. `fn main() -> Result<(), Box<dyn Error>>` prints `Debug`, so that says what `Display` says, and
//! what it rests on.

use std::error::Error;
use std::fmt::{self, Formatter};

/// Writes an error and its sources, each on a line of its own unless the message before repeats it.
///
/// # Errors
/// As for writing.
#[doc(hidden)]
pub fn write_report(error: &dyn Error, f: &mut Formatter<'_>) -> fmt::Result {
    let mut said = error.to_string();
    f.write_str(&said)?;
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !said.contains(&text) {
            write!(f, "\n  because {text}")?;
            said = text;
        }
        source = cause.source();
    }
    Ok(())
}

/// `Debug` of these errors is their message with its sources.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_as_report {
    ($($error:ident $(<$parameter:ident>)?),+ $(,)?) => {
        $(impl $(<$parameter: ::std::error::Error + 'static>)? ::std::fmt::Debug for $error $(<$parameter>)? {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::__private::write_report(self, f)
            }
        })+
    };
}

pub(crate) use debug_as_report;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[derive(thiserror::Error)]
    #[error("the outer one: {0}")]
    struct Repeating(#[source] Middle);

    #[derive(thiserror::Error)]
    #[error("the middle one")]
    struct Middle(#[source] Inner);

    #[derive(thiserror::Error)]
    #[error("the inner one of {0}")]
    struct Inner(usize);

    debug_as_report!(Repeating, Middle, Inner);

    #[test]
    fn debug_is_the_message_with_all_that_it_does_not_repeat() {
        assert_eq!(format!("{:?}", Inner(3)), "the inner one of 3");
        assert_eq!(format!("{:?}", Middle(Inner(3))), "the middle one\n  because the inner one of 3");
        let all = "the outer one: the middle one\n  because the inner one of 3";
        assert_eq!(format!("{:?}", Repeating(Middle(Inner(3)))), all);
        let boxed: Box<dyn std::error::Error> = Repeating(Middle(Inner(3))).into();
        assert_eq!(format!("{boxed:?}"), all);
    }

    fn rust_files(folder: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                rust_files(&entry, files);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                files.push(fs::read_to_string(&entry).expect("a text"));
            }
        }
    }

    /// The names of all public errors of a crate.
    fn errors(files: &[String]) -> Vec<&str> {
        let mut found = Vec::new();
        for text in files {
            for after in text.split("Error)]\n").skip(1).filter(|_| text.contains("thiserror")) {
                let declared = after.split_once("pub enum ").into_iter().chain(after.split_once("pub struct "));
                let first = declared.min_by_key(|(before, _)| before.len());
                let name = first.filter(|(before, _)| !before.contains("}\n")).map(|(_, rest)| rest);
                found.extend(name.and_then(|rest| rest.split(|c: char| !c.is_alphanumeric()).next()));
            }
        }
        found
    }

    #[test]
    fn every_public_error_says_what_it_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        for (member, least) in [("betty-runtime", 11), ("betty-examples", 9)] {
            let mut files = Vec::new();
            rust_files(&root.join(member).join("src"), &mut files);
            let errors = errors(&files);
            assert!(errors.len() >= least, "{errors:?}");
            let listed: Vec<&str> = files
                .iter()
                .flat_map(|text| text.split("debug_as_report!(").skip(1))
                .filter_map(|rest| rest.split(");").next())
                .flat_map(|list| list.split(|c: char| !c.is_alphanumeric()))
                .collect();
            for error in errors {
                assert!(
                    listed.contains(&error),
                    "`Debug` of `{error}` is not its message: `debug_as_report!({error});`"
                );
            }
        }
    }
}
